"""Names of what systems and tools leave in folders of images."""

import re
from typing import Final

_SYSTEM: Final = {
    "__macosx",
    "__pycache__",
    "@eadir",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "~snapshot",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "network trash folder",
    "temporary items",
    "recycler",
    "@tmp",
    "cvs",
    "node_modules",
    "thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "icon\r",
}
_LOST: Final = re.compile(r"FOUND\.\d{3}", re.IGNORECASE)  # what Windows' chkdsk found


def is_system_entry(name: str) -> bool:
    """Return True for hidden files and for those that systems and tools leave behind, such as `__MACOSX`."""
    return name.startswith((".", "~$")) or name.casefold() in _SYSTEM or bool(_LOST.fullmatch(name))
