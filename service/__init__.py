"""Find every face in a picture and say which emotion each one shows."""

__version__ = "0.1.0"
