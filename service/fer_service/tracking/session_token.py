"""Signed texts that hold the tracks of a session, for clients that send single images.

The service keeps nothing: a client sends the text of the last answer with its next image, and any replica goes on.
A signature keeps foreign data away from the tracker. A token is `base64url(signature + zlib(JSON))`.
"""

import base64
import binascii
import hashlib
import hmac
import json
import zlib
from collections.abc import Sequence
from typing import Any, Final

from fer_service.contract.boxes import Box
from fer_service.tracking.smoothing import Average
from fer_service.tracking.tracked_stream import TrackedStream
from fer_service.tracking.tracker import Track, Tracker

MAX_AGE: Final = 10.0  # seconds for which a face keeps its id; single images come less often than frames
_SIGNATURE_BYTES: Final = 16
_NUMBERS: Final = 1600  # in a token, which must fit into a URL of 8 KiB
_PER_TRACK: Final = 8  # numbers besides the probabilities
_SCALE: Final = 10_000  # of probabilities, which are whole numbers in a token


class InvalidToken(Exception):
    """The text is not a token that this service has signed for this model."""


class SessionTokens:
    """Writes and reads tokens of one model."""

    def __init__(self, key: str, model: str, labels: Sequence[str], uncertain_below: float) -> None:
        """Prepare.

        Args:
            key: Secret of all replicas of the service.
            model: What distinguishes the model, such as its hash: a token is for this model only.
            labels: Labels of the model.
            uncertain_below: Threshold of the model.
        """
        self._key = hashlib.sha256(f"{key}\n{model}".encode()).digest()
        self._labels = tuple(labels)
        self._uncertain_below = uncertain_below
        self._most = max(1, _NUMBERS // (_PER_TRACK + len(labels)))

    def start(self, half_life: float) -> TrackedStream:
        """Return a session without faces."""
        return TrackedStream(self._uncertain_below, half_life, Tracker(MAX_AGE))

    def read(self, token: str, half_life: float) -> TrackedStream:
        """Return the session of a token.

        Args:
            token: Text that `write` returned.
            half_life: Half-life of the smoothing in seconds; 0 turns smoothing off.

        Raises:
            InvalidToken: this service has not written it, or for another model.
        """
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            data = base64.b64decode(padded, b"-_", validate=True)
        except (ValueError, binascii.Error) as error:
            raise InvalidToken from error
        signature, packed = data[:_SIGNATURE_BYTES], data[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(packed)):
            raise InvalidToken
        content: dict[str, Any] = json.loads(zlib.decompress(packed))
        tracks, averages = [], {}
        for number, x, y, width, height, seen, right, down, *values in content["tracks"]:
            tracks.append(Track(number, Box(x, y, width, height), seen, (right, down)))
            if values:
                shares = [value / _SCALE for value in values]
                averages[number] = Average(dict(zip(self._labels, shares, strict=True)), seen)
        tracker = Tracker(MAX_AGE, tracks, content["next"])
        return TrackedStream(self._uncertain_below, half_life, tracker, averages)

    def write(self, session: TrackedStream) -> str:
        """Return the token of a session. Of very many faces the first ones are kept."""
        tracks = []
        for track in session.tracker.tracks[: self._most]:
            average = session.averages.get(track.id)
            values = [average.values[label] for label in self._labels] if average else []
            tracks.append(
                [
                    *(track.id, *map(round, track.box), round(track.last_seen, 3), *map(round, track.velocity)),
                    *(round(value * _SCALE) for value in values),
                ]
            )
        content = {"next": session.tracker.next_id, "tracks": tracks}
        packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode(), 9)
        return base64.urlsafe_b64encode(self._signature(packed) + packed).rstrip(b"=").decode()

    def _signature(self, packed: bytes) -> bytes:
        return hmac.digest(self._key, packed, "sha256")[:_SIGNATURE_BYTES]
