"""The files of a multipart/form-data body (RFC 7578), in memory once."""

import io
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from fer_service.contract.errors import InvalidParameter, InvalidRequest, MissingImage, RequestError
from fer_service.contract.text import printable
from fer_service.http.codings import check_part

FIELD: Final = "file"
BOXES: Final = "boxes"
ONE_IMAGE_ONLY: Final = "boxes belong to one image: send each image with its boxes to /predict"
# What other services call it, also in the plural. Such a field counts if it has a file name: others are texts.
_OTHER_NAMES: Final = frozenset({"image", "img", "photo", "picture", "upload", "video", "clip", "movie"})
# Parameters of the query, which would be ignored in a form, by their names without signs (`maxFaces`).
_PARAMETERS: Final = ("detect", "max_faces", "min_score", "draw", "session", "smooth", "every")
QUERY_ONLY: Final = {name.replace("_", ""): name for name in _PARAMETERS}
_MAX_BOUNDARY: Final = 256  # what the parser accepts; RFC 2046 allows 70
_OTHER_PARTS: Final = 32  # other fields, which are skipped
# RFC 7578 forbids this form of a file's name, but some clients send it, and an encoded `filename` too.
_EXTENDED_NAME: Final = re.compile(rb";\s*filename\*=utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_INDEX: Final = re.compile(r"\[\d*\]$")
_FILE_TYPES: Final = (b"image/", b"video/", b"application/mp4", b"application/ogg", b"application/octet-stream")
_SHOWN: Final = 5  # names of fields in an error
_SHOWN_LENGTH: Final = 40


@dataclass(frozen=True)
class Upload:
    """An uploaded image.

    Attributes:
        name: The client's file name, or the image's number.
        data: The encoded image.
        error: Why there is no image, if its text could not be decoded.
        boxes: JSON text of the boxes that came with it, or None.
        texts: Values of the other fields that were asked for.
    """

    name: str
    data: bytes
    error: RequestError | None = None
    boxes: bytes | None = None
    texts: Mapping[str, str] = field(default_factory=dict)


class FormReader:
    """Collects the images from a body that comes in chunks; other parts are skipped.

    An image is a field `file`, or a file in a field of another usual name (`image`, `files[]`, `file[0]`). The
    field `boxes` belongs to a single image. A file input of a page that is left empty is skipped.

    Attributes:
        uploads: The complete parts.
        max_count: Maximum number of them.
    """

    def __init__(self, content_type: str, max_count: int, excess: str, texts: Collection[str] = ()) -> None:
        """Start with the head of the request.

        Args:
            content_type: Content type with its boundary.
            max_count: Maximum number of images.
            excess: Text of the refusal of more.
            texts: Names of other fields whose values are kept.

        Raises:
            InvalidRequest: the boundary is missing or too long.
        """
        _, parameters = parse_options_header(content_type)
        boundary = parameters.get(b"boundary")
        if not boundary:
            raise InvalidRequest("the content type multipart/form-data needs a boundary")
        if len(boundary) > _MAX_BOUNDARY:
            raise InvalidRequest(
                f"the multipart boundary has {len(boundary):,} characters, the maximum is {_MAX_BOUNDARY}"
            )
        self.uploads: list[Upload] = []
        self.max_count = max_count
        self._excess = excess
        self._parts = 0
        self._in_part = False
        self._header, self._value = b"", b""
        self._headers: dict[bytes, bytes] = {}
        self._name, self._has_name = "", False
        self._skipped: list[str] = []
        self._data: io.BytesIO | None = None  # None for a part that is skipped
        self._in_boxes = False
        self._boxes: bytes | None = None
        self._wanted = texts
        self._text = ""  # name of the text that is read
        self._texts: dict[str, str] = {}
        self._left_empty = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._read_header,
                "on_header_value": self._read_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._read_data,
                "on_part_end": self._end_part,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Read the next chunk of the body.

        Raises:
            InvalidRequest: the body is invalid multipart.
            InvalidParameter: it has too many parts, or a parameter of the query as a field.
            UnsupportedCoding: a part is compressed or encoded.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequest(f"invalid multipart body: {error}") from error

    def finish(self) -> list[Upload]:
        """Return the uploads of the complete body.

        Raises:
            InvalidRequest: the body ends too early.
            MissingImage: it has no part of this name.
        """
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise InvalidRequest(f"invalid multipart body: {error}") from error
        if self._in_part:
            raise InvalidRequest("the multipart body ends before its closing boundary; send all of it")
        if self._left_empty and not self.uploads:
            self.uploads = [Upload("0", b"")]
        self.uploads = [replace(upload, boxes=self._boxes, texts=self._texts) for upload in self.uploads]
        if not self.uploads:
            raise MissingImage(
                f"missing field {FIELD!r} in the multipart body{self._others()}; send the image or video "
                f"as a file in the field {FIELD!r}: curl -F {FIELD}=@photo.jpg"
            )
        return self.uploads

    def _others(self) -> str:
        """Return which fields came instead."""
        names = ", ".join(self._skipped[:_SHOWN]) + ", …" * (len(self._skipped) > _SHOWN)
        return f", which has {names}" if names else ", which has no fields"

    def close(self) -> None:
        """Release the memory of a body that is not wanted any more."""
        self.uploads = []
        self._data = None
        self._parser.callbacks = {}  # they refer to this object

    def _begin_part(self) -> None:
        self._headers = {}
        self._in_part = True
        self._parts += 1
        if self._parts > self.max_count + _OTHER_PARTS:
            raise InvalidParameter(
                f"the form has more than {self.max_count + _OTHER_PARTS} fields; send the images only"
            )

    def _read_header(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _read_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._header.lower()] = self._value.strip(b" \t")
        self._header, self._value = b"", b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if extended := _EXTENDED_NAME.search(self._headers.get(b"content-disposition", b"")):
            options[b"filename"] = unquote_to_bytes(extended[1])
        name = options.get(b"name")
        if name is None:
            raise InvalidRequest("invalid multipart body: a part has no name in its Content-Disposition")
        # Some libraries give the type of a file and no name.
        is_file = b"filename" in options or self._headers.get(b"content-type", b"").lower().startswith(_FILE_TYPES)
        text = name.decode("utf-8", "replace")
        self._text = text if text in self._wanted and not is_file else ""
        self._in_boxes = name == BOXES.encode()
        if self._in_boxes:
            self._check_boxes()
        elif not self._text and not _is_image(name, is_file):
            parameter = QUERY_ONLY.get(text.replace("_", "").replace("-", "").casefold())
            if parameter and b"filename" not in options:
                raise InvalidParameter(
                    f"{printable(text)} is not a field of the form: "
                    f"send it in the query of the URL, ?{parameter}=…"
                )
            shown = f"'{printable(text)[:_SHOWN_LENGTH]}'"
            self._skipped.append(shown if b"filename" in options else f"{shown} (text, not a file)")
            self._data = None
            return
        check_part(self._headers)
        name = options.get(b"filename", b"")
        self._has_name = bool(name) or b"filename" not in options
        self._name = name.decode("utf-8", "replace") or str(len(self.uploads))
        self._data = io.BytesIO()

    def _read_data(self, data: bytes, start: int, end: int) -> None:
        if self._data is not None:
            self._data.write(memoryview(data)[start:end])

    def _end_part(self) -> None:
        self._in_part = False
        if self._data is None:
            return
        content, self._data = self._data.getvalue(), None  # getvalue() shares the buffer's memory
        if self._in_boxes:
            self._boxes = content if content.strip() != b"null" else b""  # programs with types send it for no list
            return
        if self._text:
            self._texts[self._text] = content.decode("utf-8", "replace")
            return
        if not content and not self._has_name:
            self._left_empty = True
            return
        self.uploads.append(Upload(self._name, content))
        if len(self.uploads) > self.max_count:
            raise InvalidParameter(self._excess)

    def _check_boxes(self) -> None:
        if self.max_count > 1:
            raise InvalidParameter(ONE_IMAGE_ONLY)
        if self._boxes is not None:
            raise InvalidParameter("the form has the field 'boxes' twice: send one list of all boxes")


def _is_image(name: bytes, is_file: bool) -> bool:
    if name == FIELD.encode():
        return True
    # PHP and others number the fields of a list.
    usual = _INDEX.sub("", name.decode("latin-1").lower()).removesuffix("s")
    return is_file and (usual == FIELD or usual in _OTHER_NAMES)
