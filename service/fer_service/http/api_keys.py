"""The API keys of a file, and who holds them."""

import hashlib
import hmac
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fer_service.contract.errors import SettingsError

_SHORTEST: Final = 16
_LOOK_EVERY_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


class ApiKeys:
    """The API keys of a file; a changed file counts within a second, so that keys rotate without a restart."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: One key a line; `#` begins a comment.
            clock: Seconds, for how often the file is looked at.

        Raises:
            SettingsError: the file cannot be read, holds no key, or one that is too short.
        """
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._stamp = _stamp(path)
        self._digests = _read(path)

    def holder(self, presented: str) -> str | None:
        """Who holds this key: a name made from its digest; None where it is none of the file's."""
        self._look()
        digest = _digest(presented)
        found = None
        # Every key is compared, and whole, so that the time an answer takes says nothing about any of them.
        for known in self._digests:
            if hmac.compare_digest(known, digest):
                found = known
        return None if found is None else found.hex()[:12]

    def _look(self) -> None:
        now = self._clock()
        if now - self._looked < _LOOK_EVERY_SECONDS:
            return
        self._looked = now
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = _read(self._path)
        except SettingsError as error:
            logger.error("%s; the keys stay as they were", error)
            return
        logger.info("%d API keys read anew", len(self._digests))


def _read(path: Path) -> list[bytes]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"FER_API_KEYS_FILE={path}: it cannot be read: {reason}") from error
    keys = {}
    for number, line in enumerate(lines, 1):
        key = line.partition("#")[0].strip()
        if key and (len(key) < _SHORTEST or not key.isascii() or len(key.split()) > 1):
            raise SettingsError(
                f"FER_API_KEYS_FILE={path}: line {number} is no key; a key is one word of {_SHORTEST} or more "
                "ASCII characters without '#'"
            )
        if key:
            keys[key] = _digest(key)
    if not keys:
        raise SettingsError(f"FER_API_KEYS_FILE={path}: it holds no key; write one a line, or unset the variable")
    return list(keys.values())


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes when the file does; mounted secrets are exchanged by a link, which the inode tells."""
    try:
        status = os.stat(path)  # noqa: PTH116 (a path is given, no more)
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
