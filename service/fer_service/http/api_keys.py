"""API keys from a file."""

import hashlib
import hmac
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fer_service.contract.errors import SettingsError

_MIN_LENGTH: Final = 16
_CHECK_SECONDS: Final = 1.0
logger = logging.getLogger(__name__)


class ApiKeys:
    """The API keys of a file. A changed file is read within a second, so keys rotate without a restart."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Args:
            path: One key per line; `#` starts a comment.
            clock: Seconds; limits how often the file is checked.

        Raises:
            SettingsError: the file cannot be read, is empty, or holds an invalid key.
        """
        self._path = path
        self._clock = clock
        self._checked = clock()
        self._stamp = _stamp(path)
        self._digests = _read(path)

    def holder(self, presented: str) -> str | None:
        """Return a name for the holder of a key, made from its digest; None if the key is not in the file."""
        self._reload_if_changed()
        digest = _digest(presented)
        found = None
        # Each key is compared in constant time, so that the response time leaks nothing.
        for known in self._digests:
            if hmac.compare_digest(known, digest):
                found = known
        return None if found is None else found.hex()[:12]

    def _reload_if_changed(self) -> None:
        now = self._clock()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = _read(self._path)
        except SettingsError as error:
            logger.error("%s; the previous keys stay in use", error)
            return
        logger.info("reloaded %d API keys", len(self._digests))


def _read(path: Path) -> list[bytes]:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise SettingsError(f"FER_API_KEYS_FILE={path}: cannot be read: {reason}") from error
    keys = {}
    for number, line in enumerate(lines, 1):
        key = line.partition("#")[0].strip()
        if key and (len(key) < _MIN_LENGTH or not key.isascii() or len(key.split()) > 1):
            raise SettingsError(
                f"FER_API_KEYS_FILE={path}: invalid key in line {number}; a key is one word of at least "
                f"{_MIN_LENGTH} ASCII characters without '#'"
            )
        if key:
            keys[key] = _digest(key)
    if not keys:
        raise SettingsError(f"FER_API_KEYS_FILE={path}: no key found; write one per line, or unset the variable")
    return list(keys.values())


def _stamp(path: Path) -> tuple[int, ...]:
    """Return a value that changes with the file; mounted secrets change by a link, so the inode counts."""
    try:
        status = os.stat(path)  # noqa: PTH116 (a path is given, no more)
    except OSError:
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
