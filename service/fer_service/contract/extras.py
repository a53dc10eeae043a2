"""The extras of this package: further packages that some commands need."""

from typing import Literal


def install_command(extra: Literal["client", "parquet", "ray", "video"]) -> str:
    """Return the command that installs an extra, in the folder of the clone."""
    return f'pip install -e ".[{extra}]"'
