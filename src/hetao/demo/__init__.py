"""The demonstrations: public data, four hospitals on one machine, every step real."""
