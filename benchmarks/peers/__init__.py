"""Hetao beside other federated programs, on the same data, through processes."""
