"""Images in the body of a request. They stay in memory, and no more is read than allowed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.requests import Request

from fer_service.contract.errors import ImageTooLarge, InvalidParameter, MissingImage, UnsupportedMediaType

FIELD: Final = "file"
_PART_OVERHEAD: Final = 64 * 2**10  # bytes that multipart adds to an image: boundaries and the part's headers
_RAW_TYPES: Final = ("application/octet-stream", "application/x-www-form-urlencoded")
_MAX_BOUNDARY: Final = 256  # what the parser accepts; RFC 2046 allows 70
_MAX_LENGTH_DIGITS: Final = 18  # a real body is shorter


@dataclass(frozen=True)
class Upload:
    """An uploaded image.

    Attributes:
        name: The client's file name, or the image's number.
        data: The encoded image.
    """

    name: str
    data: bytes


async def read_image(request: Request, max_bytes: int) -> bytes:
    """Read the one image of a request: its `file` field, or its raw body.

    Args:
        request: The request.
        max_bytes: Maximum bytes of the image; nothing beyond them is read.

    Raises:
        MissingImage: the body is empty, invalid multipart, or multipart without a `file` field.
        InvalidParameter: there are several `file` fields.
        ImageTooLarge: the image has more than `max_bytes`.
        UnsupportedMediaType: the content type is neither an image nor multipart/form-data.
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    media_type = kind.decode("latin-1").lower()
    if media_type == "multipart/form-data":
        uploads = await _read_form(request, max_bytes, 1)
        if len(uploads) > 1:
            raise InvalidParameter(
                f"the request has {len(uploads)} fields named {FIELD!r}; send several images to /predict/batch"
            )
        data = uploads[0].data
    elif not media_type or media_type.startswith("image/") or media_type in _RAW_TYPES:
        data = b"".join([chunk async for chunk in _limited(request, max_bytes, max_bytes)])
    else:
        raise UnsupportedMediaType(
            f"unsupported content type {media_type}; send image/*, application/octet-stream or multipart/form-data"
        )
    if not data:
        raise MissingImage(f"the image is empty; send its bytes as the body or as the field {FIELD!r}")
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    return data


async def read_images(request: Request, max_bytes: int, max_count: int) -> list[Upload]:
    """Read the `file` fields of a multipart request, in order; a single image may be empty or too large.

    Args:
        request: The request.
        max_bytes: Maximum bytes per image.
        max_count: Maximum number of images.

    Raises:
        MissingImage: the `file` field is missing.
        InvalidParameter: there are more than `max_count`.
        ImageTooLarge: the body has more bytes than `max_count` images may have.
        UnsupportedMediaType: the content type is not multipart/form-data.
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    if kind.lower() != b"multipart/form-data":
        raise UnsupportedMediaType(f"send the images as multipart/form-data, in fields named {FIELD!r}")
    uploads = await _read_form(request, max_bytes, max_count)
    if len(uploads) > max_count:
        raise InvalidParameter(f"the request has {len(uploads)} images, the maximum is {max_count}")
    return uploads


def declared_length(request: Request, default: int) -> int:
    """Return the length that a request declares for its body.

    Args:
        request: The request.
        default: The length if it declares none.
    """
    declared = request.headers.get("content-length", "")
    return int(declared.lstrip("0")[:_MAX_LENGTH_DIGITS] or 0) if declared.isdecimal() else default


def too_large(size: int, max_bytes: int) -> ImageTooLarge:
    """Return the error for an image of this many bytes."""
    return ImageTooLarge(f"the image has {size:,} bytes, the maximum is {max_bytes:,} (FER_MAX_IMAGE_BYTES)")


async def _read_form(request: Request, max_bytes: int, max_count: int) -> list[Upload]:
    _, parameters = parse_options_header(request.headers.get("content-type", ""))
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise MissingImage("the content type multipart/form-data needs a boundary")
    if len(boundary) > _MAX_BOUNDARY:
        raise MissingImage(
            f"the multipart boundary has {len(boundary):,} characters, the maximum is {_MAX_BOUNDARY}"
        )
    uploads: list[Upload] = []

    def on_file(part: File) -> None:
        if part.field_name == FIELD.encode():
            name = (part.file_name or b"").decode("utf-8", "replace") or str(len(uploads))
            part.file_object.seek(0)
            uploads.append(Upload(name, part.file_object.read()))
        part.close()

    def on_field(part: Field) -> None:
        # Some clients send the image without a file name.
        if part.field_name == FIELD.encode():
            uploads.append(Upload(str(len(uploads)), part.value or b""))

    total = max_count * (max_bytes + _PART_OVERHEAD)
    parser = FormParser(
        "multipart/form-data",
        on_field,
        on_file,
        boundary=boundary,
        # The parser writes larger parts to disk; no part can be larger.
        config={"MAX_MEMORY_FILE_SIZE": total + 1, "MAX_FIELD_SIZE": max_bytes, "MAX_FIELDS": max_count + 32},
    )
    try:
        async for chunk in _limited(request, total, max_bytes):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise MissingImage(f"invalid multipart body: {error}") from error
    finally:
        parser.close()
    if not uploads:
        raise MissingImage(f"missing field {FIELD!r} in the multipart body")
    return uploads


async def _limited(request: Request, total: int, max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the body's chunks; refuse it before reading if its declared length is too large."""
    declared = declared_length(request, 0)
    if declared > total:
        raise too_large(declared, max_bytes)
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read > total:
            raise ImageTooLarge(f"the body has more than {total:,} bytes, the maximum")
        yield chunk
