"""Hetao: hospitals answer one question together; no patient row leaves any of them.

This file imports nothing, so that the verifier loads nothing but the verifier.
`hetao.fit` is looked up when it is first used.
"""

__version__ = "0.1.0"
__all__ = ["__version__", "fit"]


def __getattr__(name: str) -> object:
    """Return a public name, importing the module that holds it on first use."""
    if name == "fit":
        from hetao.notebook import fit

        return fit
    raise AttributeError(f"module 'hetao' has no attribute {name!r}")
