"""Logs and witnesses over HTTP; what they serve is believed for its proofs alone."""
