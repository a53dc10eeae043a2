"""Images in the body of a request. They stay in memory, and no more is read than allowed."""

import io
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import closing
from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from fer_service.contract.errors import ImageTooLarge, InvalidParameter, MissingImage, UnsupportedMediaType
from fer_service.http.codings import check_body
from fer_service.http.json_body import decode_image, decode_images
from fer_service.http.multipart import FIELD, ONE_IMAGE_ONLY, FormReader, Upload

_PART_OVERHEAD: Final = 64 * 2**10  # bytes that multipart adds to an image: boundaries and the part's headers
_FORM: Final = "multipart/form-data"
_JSON: Final = "application/json"
# Amazon S3 sends objects without a type as binary/octet-stream.
_RAW_TYPES: Final = ("application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded")
_OTHER_VIDEO_TYPES: Final = ("application/mp4", "application/ogg", "image/gif", "image/apng")
_MAX_CONTENT_TYPE: Final = 1000  # characters; the time to parse it grows faster than its length
_MAX_LENGTH_DIGITS: Final = 18  # a real body is shorter
Book = Callable[[int], None]


def _book_nothing(size: int) -> None:
    """Allow every chunk."""


async def read_image(
    request: Request, max_bytes: int, book: Book = _book_nothing, texts: Collection[str] = ()
) -> Upload:
    """Read the one image of a request, and its boxes: its file, its raw body, or the base64 in its JSON.

    Args:
        request: The request.
        max_bytes: Maximum bytes of the image; nothing beyond them is read.
        book: Called with the bytes of each chunk before it is kept; may raise.
        texts: Names of other fields of a form whose values are kept.

    Raises:
        InvalidRequest: the body is invalid multipart.
        MissingImage: the body is empty, or multipart without an image.
        InvalidParameter: there are several images, or the JSON is invalid.
        ImageTooLarge: the image has more than `max_bytes`.
        UndecodableImage: the text in the JSON is not base64.
        UnsupportedMediaType: the content type is neither an image nor a form nor JSON.
        UnsupportedCoding: the body is compressed or encoded.
    """
    check_body(request.headers)
    media_type = media_type_of(request)
    if media_type == _FORM:
        excess = "the request has 2 images; send several images to /predict/batch"
        form = FormReader(_content_type(request), 1, excess, texts)
        (upload,) = await _read_form(request, form, max_bytes, book)
    elif media_type == _JSON:
        upload = await run_in_threadpool(decode_image, await read_json(request, 1, max_bytes, book))
    elif not media_type or media_type.startswith("image/") or media_type in _RAW_TYPES:
        upload = Upload("0", await _read_all(request, max_bytes, book))
    else:
        raise UnsupportedMediaType(
            f"unsupported content type {media_type}; send image/*, application/octet-stream, {_FORM} or {_JSON}"
        )
    if not upload.data:
        raise MissingImage(f"the image is empty; send its bytes as the body or as the field {FIELD!r}")
    if len(upload.data) > max_bytes:
        raise too_large(len(upload.data), max_bytes)
    return upload


async def read_video(request: Request, max_bytes: int, book: Book = _book_nothing) -> bytes:
    """Read the video of a request: its file, or its raw body.

    Args:
        request: The request.
        max_bytes: Maximum bytes of the video; nothing beyond them is read.
        book: Called with the bytes of each chunk before it is kept; may raise.

    Raises:
        InvalidRequest: the body is invalid multipart.
        MissingImage: the body is empty, or multipart without a file.
        InvalidParameter: there are several files, or boxes.
        ImageTooLarge: the video has more than `max_bytes`.
        UnsupportedMediaType: the content type is neither a video nor a form.
        UnsupportedCoding: the body is compressed or encoded.
    """
    check_body(request.headers)
    media_type = media_type_of(request)
    try:
        if media_type == _FORM:
            form = FormReader(_content_type(request), 1, "the request has 2 files; send one video per request")
            (upload,) = await _read_form(request, form, max_bytes, book)
            if upload.boxes is not None:
                raise InvalidParameter(ONE_IMAGE_ONLY)
            data = upload.data
        elif not media_type or media_type.startswith("video/") or media_type in _RAW_TYPES + _OTHER_VIDEO_TYPES:
            data = await _read_all(request, max_bytes, book)
        else:
            raise UnsupportedMediaType(
                f"unsupported content type {media_type}; send video/*, application/octet-stream or {_FORM}"
            )
    except ImageTooLarge as error:
        raise _video_too_large(max_bytes) from error
    if not data:
        raise MissingImage(f"the video is empty; send its bytes as the body or as the field {FIELD!r}")
    if len(data) > max_bytes:
        raise _video_too_large(max_bytes)
    return data


async def read_images(
    request: Request, max_bytes: int, max_count: int, book: Book = _book_nothing
) -> list[Upload]:
    """Read the images of a form or of JSON, in order; a single image may be empty or too large.

    Args:
        request: The request.
        max_bytes: Maximum bytes per image.
        max_count: Maximum number of images.
        book: Called with the bytes of each chunk before it is kept; may raise.

    Raises:
        InvalidRequest: the body is invalid multipart.
        MissingImage: there is none.
        InvalidParameter: there are more than `max_count`, or the JSON is invalid.
        ImageTooLarge: the body has more bytes than `max_count` images may have.
        UnsupportedMediaType: the content type is neither a form nor JSON.
        UnsupportedCoding: the body is compressed or encoded.
    """
    check_body(request.headers)
    excess = f"the request has more than {max_count} images, the maximum (FER_MAX_BATCH_IMAGES)"
    media_type = media_type_of(request)
    if media_type == _JSON:
        body = await read_json(request, max_count, max_bytes, book)
        return await run_in_threadpool(decode_images, body, max_count, excess)
    if media_type != _FORM:
        way_out = f"send the images as {_FORM}, in fields named {FIELD!r}, or as {_JSON}"
        if not media_type and declared_length(request, 1) == 0:
            raise MissingImage(f"the body is empty; {way_out}")
        raise UnsupportedMediaType(way_out)
    form = FormReader(_content_type(request), max_count, excess)
    return await _read_form(request, form, max_bytes, book)


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


def _body_too_large(size: str, total: int) -> ImageTooLarge:
    return ImageTooLarge(f"the body has {size} bytes, the maximum is {total:,} (FER_MAX_IMAGE_BYTES sets it)")


def _video_too_large(max_bytes: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"the video has more than {max_bytes:,} bytes, the maximum (FER_MAX_VIDEO_BYTES); cut or compress it, or "
        "use `fer-service predict`, which reads files of any length"
    )


def _content_type(request: Request) -> str:
    content_type = request.headers.get("content-type", "")
    if len(content_type) > _MAX_CONTENT_TYPE:
        raise UnsupportedMediaType(
            f"the Content-Type header has {len(content_type):,} characters, the maximum is {_MAX_CONTENT_TYPE:,}"
        )
    return content_type


def media_type_of(request: Request) -> str:
    """Return the media type of a body in lower case, without parameters."""
    kind, _ = parse_options_header(_content_type(request))
    return kind.decode("latin-1").lower()


async def read_json(request: Request, max_count: int, max_bytes: int, book: Book) -> bytes:
    """Read a body of JSON with images in base64.

    Args:
        request: The request.
        max_count: Maximum number of images.
        max_bytes: Maximum bytes per image.
        book: Called with the bytes of each chunk before it is kept; may raise.

    Raises:
        ImageTooLarge: the body has more bytes than `max_count` images may have.
    """
    # Base64 takes four thirds, and escapes and line breaks in it an eighth more at most.
    return await _read_all(request, max_count * (max_bytes * 3 // 2 + _PART_OVERHEAD), book)


async def _read_all(request: Request, total: int, book: Book) -> bytes:
    with io.BytesIO() as buffer:
        async for chunk in _limited(request, total, book):
            buffer.write(chunk)
        return buffer.getvalue()  # shares the buffer's memory


async def _read_form(request: Request, form: FormReader, max_bytes: int, book: Book) -> list[Upload]:
    with closing(form):
        async for chunk in _limited(request, form.max_count * (max_bytes + _PART_OVERHEAD), book):
            form.write(chunk)
        return form.finish()


async def _limited(request: Request, total: int, book: Book) -> AsyncIterator[bytes]:
    """Yield the body's chunks, each booked; refuse it before reading if its declared length is too large."""
    declared = declared_length(request, 0)
    if declared > total:
        raise _body_too_large(f"{declared:,}", total)
    read = 0
    async for chunk in request.stream():
        read += len(chunk)
        if read > total:
            raise _body_too_large(f"more than {total:,}", total)
        book(len(chunk))
        yield chunk
