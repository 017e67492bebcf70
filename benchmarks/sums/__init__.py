"""What the sums of a regression reveal about single people: attacks and figures."""
