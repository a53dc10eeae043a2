"""A request's body → the images in it, in memory only, and never more of it than is allowed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header
from starlette.requests import Request

from fer_service.contract.errors import ImageTooLarge, InvalidParameter, MissingImage, UnsupportedMediaType

FIELD: Final = "file"
# What multipart adds to an image: boundaries and the part's headers.
_PART_OVERHEAD: Final = 64 * 2**10
_RAW_TYPES: Final = ("application/octet-stream", "application/x-www-form-urlencoded")


@dataclass(frozen=True)
class Upload:
    """An image as it came.

    Attributes:
        name: The client's file name, or the image's number.
        data: Its bytes.
    """

    name: str
    data: bytes


async def read_one(request: Request, max_bytes: int) -> bytes:
    """The request's one image: its `file` field, or its raw body.

    Raises:
        MissingImage: the body is empty, no multipart, or has no `file` field.
        InvalidParameter: there are several `file` fields.
        ImageTooLarge: it has more than `max_bytes`; nothing beyond them is read.
        UnsupportedMediaType: the content type is neither an image nor multipart.
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    media_type = kind.decode("latin-1").lower()
    if media_type == "multipart/form-data":
        uploads = await _read_form(request, max_bytes, 1)
        if len(uploads) > 1:
            raise InvalidParameter(
                f"the request has {len(uploads)} {FIELD!r} fields; POST /predict/batch takes several"
            )
        data = uploads[0].data
    elif not media_type or media_type.startswith("image/") or media_type in _RAW_TYPES:
        data = b"".join([chunk async for chunk in _limited(request, max_bytes, max_bytes)])
    else:
        raise UnsupportedMediaType(
            f"{media_type} is neither an image (image/*, application/octet-stream) nor multipart/form-data"
        )
    if not data:
        raise MissingImage(f"the image is empty; send its bytes as the body or as the field {FIELD!r}")
    if len(data) > max_bytes:
        raise too_large(len(data), max_bytes)
    return data


async def read_many(request: Request, max_bytes: int, max_count: int) -> list[Upload]:
    """The images of a multipart request's `file` fields, in order; a single one may be empty or too large.

    Raises:
        MissingImage: there is no `file` field.
        InvalidParameter: there are more than `max_count`.
        ImageTooLarge: together they have more bytes than `max_count` images may have.
        UnsupportedMediaType: the content type is not multipart/form-data.
    """
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    if kind.lower() != b"multipart/form-data":
        raise UnsupportedMediaType(f"send the images as multipart/form-data, in fields named {FIELD!r}")
    uploads = await _read_form(request, max_bytes, max_count)
    if len(uploads) > max_count:
        raise InvalidParameter(f"the request has {len(uploads)} images; {max_count} are allowed")
    return uploads


def too_large(size: int, max_bytes: int) -> ImageTooLarge:
    """The error for an image with this many bytes."""
    return ImageTooLarge(f"the image has {size:,} bytes; {max_bytes:,} are allowed")


async def _read_form(request: Request, max_bytes: int, max_count: int) -> list[Upload]:
    _, parameters = parse_options_header(request.headers.get("content-type", ""))
    boundary = parameters.get(b"boundary")
    if not boundary:
        raise MissingImage("the multipart body has no boundary in its content type")
    uploads: list[Upload] = []

    def on_file(part: File) -> None:
        if part.field_name == FIELD.encode():
            name = (part.file_name or b"").decode("utf-8", "replace") or str(len(uploads))
            part.file_object.seek(0)
            uploads.append(Upload(name, part.file_object.read()))
        part.close()

    def on_field(part: Field) -> None:
        # A part without a file name is an image too, if it has the image's name.
        if part.field_name == FIELD.encode():
            uploads.append(Upload(str(len(uploads)), part.value or b""))

    total = max_count * (max_bytes + _PART_OVERHEAD)
    parser = FormParser(
        "multipart/form-data",
        on_field,
        on_file,
        boundary=boundary,
        # Above its limit the parser would write images to disk; nothing here reaches it.
        config={"MAX_MEMORY_FILE_SIZE": total + 1, "MAX_FIELD_SIZE": max_bytes, "MAX_FIELDS": max_count + 32},
    )
    try:
        async for chunk in _limited(request, total, max_bytes):
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise MissingImage(f"the multipart body cannot be read: {error}") from error
    finally:
        parser.close()
    if not uploads:
        raise MissingImage(f"the multipart body has no field named {FIELD!r}")
    return uploads


async def _limited(request: Request, total: int, max_bytes: int) -> AsyncIterator[bytes]:
    """The body's chunks; refused before it is read where its length says that it is too large."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > total:
        raise too_large(int(declared), max_bytes)
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read > total:
            raise ImageTooLarge(f"the body has more than the {total:,} bytes that are allowed")
        yield chunk
