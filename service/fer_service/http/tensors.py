"""Requests of the Open Inference Protocol: JSON, with the binary tensor extension.

https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md

Tensors are many times larger in memory as JSON values than as bytes. So their data are cut out of the JSON before
it is parsed, and decoded in pieces.
"""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import from_json

from fer_service.contract.bundle import INPUT_NAME
from fer_service.contract.errors import InvalidTensor, RequestError
from fer_service.contract.inference import (
    IMAGES,
    Datatype,
    InferenceRequest,
    InputTensor,
)
from fer_service.contract.text import printable
from fer_service.contract.validation import first_error
from fer_service.http.json_body import decode_text
from fer_service.http.multipart import Upload

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
_MAX_JSON: Final = 2**16  # bytes besides the data
_MAX_TENSORS: Final = 16
_DATA: Final = re.compile(rb'"data"\s*:\s*\[(?P<first>\s*"?)')
_NUMBERS: Final = re.compile(rb"[\[\]0-9,\s]*")
_TEXT: Final = re.compile(rb'\s*"([^"]*)"\s*(,|\Z)')
_FLAT: Final = bytes.maketrans(b"[]", b"  ")
_BLOCK: Final = 2**16  # characters of numbers that are decoded at a time
LENGTH: Final = struct.Struct("<I")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


class Range(NamedTuple):
    """Position of data in a body."""

    start: int
    end: int


@dataclass(frozen=True)
class TensorLimits:
    """Maximum size of a request.

    Attributes:
        images: Maximum number of images.
        crops: Maximum number of crops.
        side: Side of the crops in pixels.
    """

    images: int
    crops: int
    side: int


@dataclass(frozen=True)
class Inference:
    """A request whose data are decoded.

    Attributes:
        request: The rest of it.
        images: Its images; empty if it has crops.
        crops: Its crops, uint8 [N, S, S, 3]; None if it has images.
    """

    request: InferenceRequest
    images: list[Upload]
    crops: NDArray[np.uint8] | None


def read_inference(body: bytes, header_lengths: Sequence[str], limits: TensorLimits) -> Inference:
    """Read a request.

    Args:
        body: The whole body.
        header_lengths: Values of the header `Inference-Header-Content-Length`.
        limits: What the request may hold.

    Raises:
        InvalidTensor: the body, a header or a tensor is invalid, or there are too many images or crops.
    """
    length = _json_length(header_lengths, len(body))
    skeleton, ranges = _cut(body, length)
    try:
        request = InferenceRequest.model_validate_json(skeleton)
    except ValidationError as error:
        raise InvalidTensor(first_error(error.errors()).sentence("the JSON")) from error
    if len(request.inputs) != 1:
        names = ", ".join(printable(each.name) for each in request.inputs)
        raise InvalidTensor(f"send one input, {IMAGES!r} or {INPUT_NAME!r}, not {names}")
    (tensor,) = request.inputs
    data = _binary_range(tensor, Range(length, len(body)))
    listed = data is None
    if data is None:
        if tensor.data is None or not 0 <= tensor.data < len(ranges):
            raise InvalidTensor(f"{tensor.name}: data must be a list, or binary with binary_data_size")
        data = ranges[tensor.data]
    if tensor.name == IMAGES:
        count = _checked(tensor, "BYTES", limits.images, "images", "FER_MAX_BATCH_IMAGES")
        read = _listed_images if listed else _binary_images
        return Inference(request, read(body, data, count), None)
    if tensor.name == INPUT_NAME:
        row = (limits.side, limits.side, 3)
        if tuple(tensor.shape[1:]) != row:
            expected = f"[N, {limits.side}, {limits.side}, 3]"
            raise InvalidTensor(f"{INPUT_NAME}: the shape must be {expected}, not {tensor.shape}")
        crops = f"{limits.crops:,} crops, FER_MAX_BATCH_IMAGES × FER_MAX_FACES"
        count = _checked(tensor, "UINT8", limits.crops * math.prod(row), "values", crops)
        values = (_listed_numbers if listed else _binary_numbers)(body, data, count)
        return Inference(request, [], values.reshape(-1, *row))
    raise InvalidTensor(f"unknown input {printable(tensor.name)!r}; the inputs are {IMAGES!r} and {INPUT_NAME!r}")


def _json_length(headers: Sequence[str], size: int) -> int:
    """Return how many bytes of the body are JSON."""
    if not headers:
        return size
    if len(set(headers)) > 1 or not _DIGITS.fullmatch(headers[0]):
        raise InvalidTensor(f"{HEADER_LENGTH} must be one number of bytes")
    length = int(headers[0])
    if length > size:
        raise InvalidTensor(f"{HEADER_LENGTH} is {length:,}, but the body has {size:,} bytes")
    return length


def _cut(body: bytes, length: int) -> tuple[bytes, list[Range]]:
    """Return the JSON with a number in place of each list of data, and where those lists stand."""
    pieces: list[bytes] = []
    ranges: list[Range] = []
    at = size = 0
    while found := _DATA.search(body, at, length):
        start = found.start("first")
        numbers = _NUMBERS.match(body, start, length)
        if found["first"].endswith(b'"') or not numbers:
            end = body.find(b"]", start, length)
        else:  # perhaps a list of lists
            end = body.rfind(b"]", start, numbers.end())
        if end < 0:
            raise InvalidTensor("data must be a list of texts in base64, or of numbers from 0 to 255")
        pieces += [body[at : start - 1], str(len(ranges)).encode()]
        ranges.append(Range(start, end))
        size += start - at
        at = end + 1
        if len(ranges) > _MAX_TENSORS or size > _MAX_JSON:
            break
    size += length - at
    if len(ranges) > _MAX_TENSORS or size > _MAX_JSON:
        raise InvalidTensor(f"the JSON without data has more than {_MAX_JSON:,} bytes or {_MAX_TENSORS} tensors")
    return b"".join([*pieces, body[at:length]]), ranges


def _binary_range(tensor: InputTensor, rest: Range) -> Range | None:
    """Return where the binary data of the only input stand, or None if they are in the JSON."""
    size = tensor.parameters.get("binary_data_size")
    if "shared_memory_region" in tensor.parameters:
        raise InvalidTensor(f"{printable(tensor.name)}: shared memory is not supported")
    sent = rest.end - rest.start
    if size is None:
        if sent:
            raise InvalidTensor(f"{sent:,} bytes follow the JSON, but no input has binary_data_size")
        return None
    if type(size) is not int or size != sent:
        raise InvalidTensor(
            f"{printable(tensor.name)}: binary_data_size must be the {sent:,} bytes that follow the JSON, by "
            f"{HEADER_LENGTH}, not {printable(str(size)[:40])}"
        )
    if tensor.data is not None:
        raise InvalidTensor(f"{printable(tensor.name)}: it has data and binary_data_size")
    return rest


def _checked(tensor: InputTensor, datatype: Datatype, maximum: int, what: str, setting: str) -> int:
    """Return the number of values of a tensor."""
    if tensor.datatype != datatype:
        raise InvalidTensor(
            f"{tensor.name}: the datatype must be {datatype}, not {printable(tensor.datatype[:40])}"
        )
    count = math.prod(tensor.shape)
    if not 1 <= count <= maximum:
        raise InvalidTensor(
            f"{tensor.name}: the shape {tensor.shape} has {count:,} {what}, not 1 to {maximum:,} ({setting})"
        )
    return count


def _other_count(count: int, found: int | str) -> InvalidTensor:
    return InvalidTensor(f"the shape has {count:,} values, but the data have {found}")


def _listed_images(body: bytes, data: Range, count: int) -> list[Upload]:
    uploads: list[Upload] = []
    at, more = data.start, True
    while more:
        text = _TEXT.match(body, at, data.end)
        if not text:
            raise InvalidTensor(
                f"{IMAGES}: data must be a list of texts in base64; number {len(uploads)} is not one"
            )
        if len(uploads) == count:
            raise _other_count(count, "more")
        content, error = b"", None
        try:
            content = decode_text(body, *text.span(1), f"{IMAGES}.{len(uploads)}")
        except RequestError as raised:
            error = raised
        uploads.append(Upload(str(len(uploads)), content, error))
        at, more = text.end(), text[2] == b","
    if len(uploads) != count:
        raise _other_count(count, len(uploads))
    return uploads


def _binary_images(body: bytes, data: Range, count: int) -> list[Upload]:
    """Return the elements of a BYTES tensor, each behind its length."""
    uploads: list[Upload] = []
    at = data.start
    while at < data.end:
        start = at + LENGTH.size
        if start > data.end or (end := start + LENGTH.unpack_from(body, at)[0]) > data.end:
            raise InvalidTensor(f"{IMAGES}: element {len(uploads)} is longer than the data")
        if len(uploads) == count:
            raise _other_count(count, "more")
        uploads.append(Upload(str(len(uploads)), body[start:end]))
        at = end
    if len(uploads) != count:
        raise _other_count(count, len(uploads))
    return uploads


def _binary_numbers(body: bytes, data: Range, count: int) -> NDArray[np.uint8]:
    if data.end - data.start != count:
        raise _other_count(count, f"{data.end - data.start:,}")
    return np.frombuffer(body, np.uint8, count, data.start)


def _listed_numbers(body: bytes, data: Range, count: int) -> NDArray[np.uint8]:
    values = np.empty(count, np.uint8)
    at, done = data.start, 0
    while at < data.end:
        comma = body.find(b",", min(at + _BLOCK, data.end), data.end)
        end = data.end if comma < 0 else comma
        try:
            block = bytes(from_json(b"[" + body[at:end].translate(_FLAT) + b"]"))
        except (ValueError, TypeError):
            raise InvalidTensor(f"{INPUT_NAME}: data must be whole numbers from 0 to 255") from None
        if done + len(block) > count:
            raise _other_count(count, "more")
        values[done : done + len(block)] = np.frombuffer(block, np.uint8)
        at, done = end + 1, done + len(block)
    if done != count:
        raise _other_count(count, f"{done:,}")
    return values
