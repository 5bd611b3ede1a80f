"""The version, apart from the face, so that rooms can tell it without seeing all the others."""

__version__ = "0.1.0"
