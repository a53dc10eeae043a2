"""API keys from a file."""

import hashlib
import hmac
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fer_service.contract.errors import SettingsError
from fer_service.system.files import read_file

_MIN_LENGTH: Final = 16
_CHECK_SECONDS: Final = 1.0
_MAX_BYTES: Final = 2**20
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
        content = _read(path)
        self._content = _digest(content)
        self._digests = _parse(content, path)
        self._problem = ""  # why the file was last refused

    def holder(self, presented: str) -> str | None:
        """Return a name for the holder of a key, made from its digest; None if the key is not in the file."""
        self._reload_if_changed()
        digest = _digest(presented.encode("utf-8", "surrogateescape"))
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
        try:
            # The content is compared: a file can change without a change of its time, its size or its inode.
            content = _read(self._path)
            digests = self._digests if _digest(content) == self._content else _parse(content, self._path)
        except SettingsError as error:
            if str(error) != self._problem:
                logger.error("%s; the previous keys stay in use", error)
            self._problem = str(error)
            return
        self._problem = ""
        if digests is self._digests:
            return
        self._content, self._digests = _digest(content), digests
        logger.info("reloaded %d API keys", len(self._digests))


def _read(path: Path) -> bytes:
    try:
        return read_file(path, _MAX_BYTES)
    except OSError as error:
        raise SettingsError(f"FER_API_KEYS_FILE={path}: cannot be read: {error.strerror}") from error


def _parse(content: bytes, path: Path) -> list[bytes]:
    """Return the digests of the keys."""
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeError as error:
        raise SettingsError(f"FER_API_KEYS_FILE={path}: cannot be read: not a text file") from error
    keys = {}
    for number, line in enumerate(lines, 1):
        key = line.partition("#")[0].strip()
        if key and (len(key) < _MIN_LENGTH or not key.isascii() or len(key.split()) > 1):
            raise SettingsError(
                f"FER_API_KEYS_FILE={path}: invalid key in line {number}; a key is one word of at least "
                f"{_MIN_LENGTH} ASCII characters without '#'"
            )
        if key:
            keys[key] = _digest(key.encode())
    if not keys:
        raise SettingsError(f"FER_API_KEYS_FILE={path}: no key found; write one per line, or unset the variable")
    return list(keys.values())


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
