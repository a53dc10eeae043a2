"""Download and cache of YuNet's weights. The running service never downloads anything."""

import contextlib
import hashlib
import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fer_service.contract.errors import DetectorError
from fer_service.system.files import write_atomically
from fer_service.system.folders import cache_folder
from fer_service.system.program import as_typed

_TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True)
class Weights:
    """A file with a pinned URL and a known checksum.

    Attributes:
        name: File name in the cache.
        url: Download address, at a fixed commit.
        sha256: Checksum of the content, in hexadecimal.
    """

    name: str
    url: str
    sha256: str

    @property
    def path(self) -> Path:
        """Path in the user's cache folder."""
        return cache_folder() / self.name

    @property
    def is_cached(self) -> bool:
        """True if the file is in the cache and the cache can be entered."""
        try:
            return self.path.is_file()
        except OSError:
            return False

    def pull(self) -> Path:
        """Download the file, check it and cache it; do nothing if it is cached already.

        Raises:
            DetectorError: the download or the write failed, or the checksum is wrong.
        """
        with contextlib.suppress(OSError):
            if self.is_cached and _sha256(self.path.read_bytes()) == self.sha256:
                return self.path
        try:
            with urllib.request.urlopen(self.url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 (pinned https)
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise DetectorError(f"cannot download {self.url}: {getattr(error, 'reason', error)}") from error
        return self._keep(content, self.url)

    def store(self, file: Path) -> Path:
        """Check a file that was downloaded by other means, and cache it.

        Args:
            file: Path of the downloaded file.

        Raises:
            DetectorError: the read or the write failed, or the checksum is wrong.
        """
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DetectorError(f"cannot read {file}: {error.strerror or error}") from error
        return self._keep(content, str(file))

    def _keep(self, content: bytes, origin: str) -> Path:
        if _sha256(content) != self.sha256:
            raise DetectorError(
                f"{origin}: wrong checksum: SHA-256 is {_sha256(content)[:16]}…, expected {self.sha256[:16]}…; "
                "the file was not cached"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path, content)
        except OSError as error:
            raise DetectorError(f"cannot write {self.path}: {error.strerror or error}") from error
        return self.path


YUNET: Final = Weights(
    name="yunet_n_dynamic.onnx",
    url=(
        "https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/"
        "02246e79b1e976c83d1e135a85e0628120c93769/onnx/yunet_n_dynamic.onnx"
    ),
    sha256="104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
)


def pull_command() -> str:
    """Return the command that downloads YuNet, as the user would type it."""
    return f"{as_typed('fer-service', 'fer_service')} detector pull"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
