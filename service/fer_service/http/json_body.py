"""Images as base64 in a JSON body (RFC 8259, RFC 4648).

A general JSON parser would turn 28 MB of brackets into hundreds of megabytes of lists, and would hold a large text
several times. This one reads only the two forms that a body may have, and decodes the text in
pieces. The list of boxes, which may come with a single image, is returned as it stands.
"""

import binascii
import io
import re
from typing import Final

from fer_service.analysis.given_boxes import MAX_BYTES
from fer_service.contract.errors import InvalidParameter, MissingImage, RequestError, UndecodableImage
from fer_service.contract.text import printable
from fer_service.http.multipart import BOXES, ONE_IMAGE_ONLY, Upload
from fer_service.imaging.foreign import ADDRESS, NOT_FETCHED

IMAGE: Final = "image"
IMAGES: Final = "images"
_FORMS: Final = {IMAGE: '{"image": "<base64>"}', IMAGES: '{"images": ["<base64>", …]}'}
# A text whole, so that its brackets do not count.
_BRACKETS: Final = re.compile(rb'"[^"]*"|[][]')
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_VALUES: Final = {b"[": "a list", b"{": "an object", b'"': "a text", b"t": "true", b"f": "false", b"n": "null"}
_NUMBER: Final = b"-0123456789"
# The escapes that JSON writers use for characters of base64 and for line breaks.
_ESCAPES: Final = (
    *((b"\\" + escape, b"") for escape in (b"n", b"r", b"t")),
    *((b"\\u00" + code, character) for code, character in ((b"2b", b"+"), (b"2B", b"+"), (b"2f", b"/"))),
    *((b"\\u00" + code, character) for code, character in ((b"2F", b"/"), (b"3d", b"="), (b"3D", b"="))),
    (b"\\/", b"/"),
)
_LONGEST_ESCAPE: Final = 6
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")  # from the URL-safe alphabet
_NOT_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/]")
_PATH: Final = re.compile(rb"\.(jpe?g|png|webp|gif|bmp|tiff?|avif|heic)\s*$", re.IGNORECASE)
_BLOCK: Final = 2**16  # characters that are decoded at a time
_MAX_PREFIX: Final = 1000  # characters of a data URL before its data
_SHOWN: Final = 40  # characters of an unknown name in an error


def decode_image(body: bytes) -> Upload:
    """Return the image of a body `{"image": "<base64>"}`, and its boxes if there is a second name `boxes`.

    Args:
        body: The whole body.

    Raises:
        MissingImage: the body is empty.
        InvalidParameter: the body does not have this form.
        UndecodableImage: the text is not base64.
    """
    ((start, end),), boxes = _parts(body, IMAGE, 1, "")
    return Upload("0", decode_text(body, start, end, IMAGE), boxes=boxes)


def decode_images(body: bytes, max_count: int, excess: str) -> list[Upload]:
    """Return the images of a body `{"images": ["<base64>", …]}`; one that is not base64 has an error.

    Args:
        body: The whole body.
        max_count: Maximum number of images.
        excess: Text of the refusal of more.

    Raises:
        MissingImage: the body is empty.
        InvalidParameter: the body does not have this form, or holds more than `max_count` images.
    """
    uploads = []
    texts, _ = _parts(body, IMAGES, max_count, excess)
    for number, (start, end) in enumerate(texts):
        data, error = b"", None
        try:
            data = decode_text(body, start, end, f"{IMAGES}.{number}")
        except RequestError as raised:
            error = raised
        uploads.append(Upload(str(number), data, error))
    return uploads


def decode_text(body: bytes, start: int, end: int, name: str) -> bytes:
    """Return the bytes of a text in base64, or of a data URL.

    Args:
        body: A JSON document.
        start: Where the text begins in it, after its quote.
        end: Where it ends.
        name: Name of the text, for errors.

    Raises:
        UndecodableImage: the text is not base64.
    """
    head = _unescaped(body[start : min(start + _MAX_PREFIX, end)]).lstrip()
    if ADDRESS.match(head):
        raise UndecodableImage(f"{name}: this is an address. {NOT_FETCHED}")
    if _PATH.search(head):
        raise UndecodableImage(f"{name}: this is the name of a file, and the service reads no files; send base64")
    if head[:5].lower() == b"data:":
        start = _after_prefix(body, start, end, name)
    with io.BytesIO() as out:
        rest, padded = b"", False
        while start < end:
            stop = _block_end(body, start, end)
            block = _unescaped(body[start:stop]).translate(_STANDARD, b" \t\r\n")
            if padded and block.strip(b"="):
                raise UndecodableImage(f"{name}: invalid base64: more characters follow its end, the sign =")
            padded = padded or block.endswith(b"=")
            block = rest + block.rstrip(b"=")
            if wrong := _NOT_BASE64.search(block):
                shown = printable(wrong[0].decode("latin-1"))
                raise UndecodableImage(f"{name}: invalid base64: it has the character {shown!r}")
            whole = len(block) - len(block) % 4
            out.write(binascii.a2b_base64(block[:whole]))
            rest, start = block[whole:], stop
        if len(rest) == 1:
            raise UndecodableImage(
                f"{name}: invalid base64: one character is left after the last group of four, so the text is "
                "cut off"
            )
        out.write(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4)))
        return out.getvalue()  # shares the buffer's memory


def _parts(body: bytes, name: str, max_count: int, excess: str) -> tuple[list[tuple[int, int]], bytes | None]:
    """Return begin and end of each text under the name, without its quotes and with its escapes, and the boxes."""
    scanner = _Scanner(body, name)
    if not scanner.next():
        raise MissingImage(f"the body is empty; send {_FORMS[name]}")
    if scanner.next() != b"{" and scanner.value():
        raise InvalidParameter(f"the body is {scanner.value()}, not an object; send {scanner.form()}")
    scanner.take(b"{")
    found: list[tuple[int, int]] | None = None
    boxes: bytes | None = None
    while scanner.next() != b"}" or found is not None:
        start, end = scanner.text("a name")
        key = body[start:end]
        _check_name(key, name)
        if (found if key == name.encode() else boxes) is not None:
            raise InvalidParameter(f"the JSON body has {key.decode()!r} twice; send {_FORMS[name]}")
        scanner.take(b":")
        if key == BOXES.encode():
            boxes = scanner.list_of_boxes()
        else:
            found = scanner.texts(max_count, excess) if name == IMAGES else [scanner.text(IMAGE)]
        if scanner.next() != b",":
            break
        scanner.take(b",")
    scanner.take(b"}")
    if found is None:
        raise InvalidParameter(f"missing name {name!r} in the JSON body; send {_FORMS[name]}")
    if scanner.next():
        raise scanner.invalid("there is more data after the object")
    return found, boxes


def _check_name(key: bytes, name: str) -> None:
    if key == BOXES.encode() and name == IMAGES:
        raise InvalidParameter(ONE_IMAGE_ONLY)
    if key not in (name.encode(), BOXES.encode()):
        shown = printable(key[:_SHOWN].decode("utf-8", "replace"))
        way_out = f". {NOT_FETCHED}:" if b"url" in key.lower() else "; send"
        raise InvalidParameter(
            f"unknown name {shown!r} in the JSON body{way_out} {_FORMS[name]}, and options in the query"
        )


class _Scanner:
    """Reads a body from its begin to its end."""

    def __init__(self, body: bytes, name: str) -> None:
        """Start at the begin.

        Args:
            body: The body.
            name: The name that it should hold.
        """
        self._body = body
        self._name = name
        self._at = len(_BYTE_ORDER_MARK) if body.startswith(_BYTE_ORDER_MARK) else 0

    def next(self) -> bytes:
        """Return the next byte that is not a space, or nothing at the end."""
        found = _SPACE.match(self._body, self._at)
        self._at = found.end() if found else self._at
        return self._body[self._at : self._at + 1]

    def value(self) -> str:
        """Return what kind of value begins here; empty if it is none."""
        first = self.next()
        return "a number" if first and first in _NUMBER else _VALUES.get(first, "")

    def form(self) -> str:
        """Return what to send instead of the value that begins here."""
        several = self._name == IMAGE and self.next() == b"["
        return _FORMS[self._name] + f", and several images to /predict/batch as {_FORMS[IMAGES]}" * several

    def take(self, mark: bytes) -> None:
        """Read a mark."""
        if self.next() != mark:
            raise self.invalid(f"expected {mark.decode()}")
        self._at += 1

    def text(self, what: str) -> tuple[int, int]:
        """Read a text; base64 and the names hold no escaped quotes."""
        if self.next() != b'"':
            if what == "a name" or not self.value():
                raise self.invalid(f"expected {what} in quotes")
            raise InvalidParameter(f"{what}: must be a text in base64, not {self.value()}; send {self.form()}")
        start = self._at + 1
        end = self._body.find(b'"', start)
        if end < 0:
            raise self.invalid("the text has no end")
        self._at = end + 1
        return start, end

    def list_of_boxes(self) -> bytes:
        """Read the list of boxes, as it stands; empty if it is null, as programs with types send for no list."""
        if self.next() != b"[":
            if self._body.startswith(b"null", self._at):
                self._at += len(b"null")
                return b""
            kind = self.value()
            raise InvalidParameter(f"{BOXES}: must be a list, not {kind}") if kind else self.invalid("expected [")
        depth, end = 0, self._at
        for mark in _BRACKETS.finditer(self._body, self._at, self._at + MAX_BYTES):
            depth += {b"[": 1, b"]": -1}.get(mark[0], 0)
            if depth == 0:
                end = mark.end()
                break
        if depth:
            raise self.invalid(f"the list of boxes has no end, or more than {MAX_BYTES:,} bytes")
        start, self._at = self._at, end
        return self._body[start:end]

    def texts(self, max_count: int, excess: str) -> list[tuple[int, int]]:
        """Read a list of texts."""
        if self.next() != b"[" and self.value():
            raise InvalidParameter(
                f"{IMAGES}: must be a list of texts in base64, not {self.value()}; send {_FORMS[IMAGES]}"
            )
        self.take(b"[")
        found: list[tuple[int, int]] = []
        if self.next() == b"]":
            raise InvalidParameter(f"{IMAGES}: the list is empty; send {_FORMS[IMAGES]}")
        while True:
            found.append(self.text(f"{IMAGES}.{len(found)}"))
            if len(found) > max_count:
                raise InvalidParameter(excess)
            if self.next() != b",":
                break
            self.take(b",")
        self.take(b"]")
        return found

    def invalid(self, why: str) -> InvalidParameter:
        """Return the error for a body that is not JSON from here on."""
        return InvalidParameter(f"invalid JSON at byte {self._at:,}: {why}; send {_FORMS[self._name]}")


def _after_prefix(body: bytes, start: int, end: int, name: str) -> int:
    """Return where the data of a data URL begin (RFC 2397)."""
    comma = body.find(b",", start, min(start + _MAX_PREFIX, end))
    if comma < 0 or not _unescaped(body[start:comma]).rstrip().lower().endswith(b";base64"):
        raise UndecodableImage(f"{name}: a data URL must be like data:image/jpeg;base64,<base64>")
    return comma + 1


def _block_end(body: bytes, start: int, end: int) -> int:
    """Return where a block ends that begins here; it ends in no escape."""
    stop = start + _BLOCK
    if stop >= end:
        return end
    escape = body.find(b"\\", stop - _LONGEST_ESCAPE + 1, stop)
    return stop if escape < 0 else escape


def _unescaped(text: bytes) -> bytes:
    if b"\\" in text:
        for escape, character in _ESCAPES:
            text = text.replace(escape, character)
    return text
