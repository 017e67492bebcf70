"""Anchors: somebody outside says when a root was there. 32 bytes leave, no more."""

from hetao.anchor.stamp import Anchor, Stamp, Stamped, is_signed_by, read_stamp, root_of

__all__ = ["Anchor", "Stamp", "Stamped", "is_signed_by", "read_stamp", "root_of"]
