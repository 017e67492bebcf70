"""Anchors: somebody outside says when a root was there. 32 bytes leave, no more."""

from hetao.anchor.stamp import Anchor, Stamp, Stamped, read_stamp, root_of

__all__ = ["Anchor", "Stamp", "Stamped", "read_stamp", "root_of"]
