"""YuNet's weights: where they come from and where they are kept. The running service never fetches them."""

import hashlib
import http.client
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from fer_service.contract.errors import DetectorError

_TIMEOUT_SECONDS: Final = 10


@dataclass(frozen=True)
class Weights:
    """A file with a pinned address and a known content.

    Attributes:
        name: File name in the cache.
        url: Where it is fetched from: a fixed commit.
        sha256: Of its content, in hexadecimal.
    """

    name: str
    url: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where it is kept: the user's cache folder."""
        return platformdirs.user_cache_path("fer-service") / self.name

    def pull(self) -> Path:
        """Fetch the file, check it, and keep it; nothing is fetched where it is there already.

        Raises:
            DetectorError: it cannot be fetched or kept, or its content is not what it should be.
        """
        if self.path.is_file() and _sha256(self.path.read_bytes()) == self.sha256:
            return self.path
        try:
            with urllib.request.urlopen(self.url, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 (pinned https)
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise DetectorError(f"{self.url} cannot be fetched: {getattr(error, 'reason', error)}") from error
        return self._keep(content, f"{self.url} answered with")

    def take(self, file: Path) -> Path:
        """Keep a file that was fetched by other means, after checking it.

        Args:
            file: The weights.

        Raises:
            DetectorError: it cannot be read or kept, or its content is not what it should be.
        """
        try:
            content = file.read_bytes()
        except OSError as error:
            raise DetectorError(f"{file} cannot be read: {error.strerror or error}") from error
        return self._keep(content, f"{file} has")

    def _keep(self, content: bytes, origin: str) -> Path:
        if _sha256(content) != self.sha256:
            raise DetectorError(
                f"{origin} other content (SHA-256 {_sha256(content)[:16]}…) than {self.sha256[:16]}…; "
                "nothing was kept"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=self.path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(partial).replace(self.path)
        except OSError as error:
            raise DetectorError(f"{self.path} cannot be written: {error.strerror or error}") from error
        return self.path


YUNET: Final = Weights(
    name="yunet_n_dynamic.onnx",
    url=(
        "https://raw.githubusercontent.com/ShiqiYu/libfacedetection.train/"
        "02246e79b1e976c83d1e135a85e0628120c93769/onnx/yunet_n_dynamic.onnx"
    ),
    sha256="104ee26c71d5c270ce79a6b3dced91c91013260d29a6bf18f9296c5b8c4c2b12",
)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
