"""ONNX files, read whole. Files that refer to others are refused: no hash would cover what runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from fer_service.contract.errors import StartError
from fer_service.system.files import read_file

MAX_BYTES: Final = 2**31 - 1  # the limit of protobuf
# The messages of onnx.proto that may hold a tensor or a node, and the numbers of the fields that lead there.
_FIELDS: Final = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
GIT_LFS_POINTER: Final = b"version https://git-lfs"  # what a clone without Git LFS has instead of large files
_ZIP: Final = b"PK\x03\x04"  # checkpoints of PyTorch are ZIP archives
_DATA_LOCATION: Final = 14  # of a tensor; 0 means inside the file
_OP_TYPE: Final = 4  # of a node
_PROPERTY, _KEY = 14, 1  # of a model, and of a property
_COMPILED: Final = b"EPContext"  # a node whose graph a provider compiled, often into another file
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5  # wire types


def read_model_file(path: Path, failure: type[StartError], missing: str = "no such file") -> bytes:
    """Return the content of an ONNX file.

    Args:
        path: The file.
        failure: Exception class for a faulty file.
        missing: What to say if there is no such file.

    Raises:
        StartError: (as `failure`) The file is missing, unreadable, damaged, or refers to other files.
    """
    try:
        content = read_file(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise failure(f"{path}: {missing}") from error
    except OSError as error:
        raise failure(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise failure(f"{path}: not an ONNX file that onnxruntime can open: it is empty")
    if content.startswith(GIT_LFS_POINTER):
        raise failure(f"{path}: it is a Git LFS pointer, not the model; fetch the file with: git lfs pull")
    if content.startswith(_ZIP):
        raise failure(f"{path}: it is a checkpoint or a ZIP archive; `fer-train export` writes the file of a run")
    try:
        outside = refers_outside(content)
    except ValueError as error:
        raise failure(f"{path}: not an ONNX file that onnxruntime can open: {error}") from error
    if outside:
        raise failure(
            f"{path}: it has external data, which its SHA-256 does not cover; write it again as one file: "
            "onnx.save(onnx.load(path), path)"
        )
    return content


def property_names(path: Path) -> frozenset[str]:
    """Return the names of an ONNX file's metadata properties, without a session; none for any other file."""
    try:
        properties = _messages(memoryview(read_file(path, MAX_BYTES)), _PROPERTY)
        return frozenset(bytes(key).decode() for entry in properties for key in _messages(entry, _KEY))
    except (OSError, ValueError):
        return frozenset()


def refers_outside(content: bytes) -> bool:
    """Return True if a tensor of an ONNX file, or a compiled graph, is in another file.

    It reads the file as protobuf (https://protobuf.dev/programming-guides/encoding), without the package onnx.

    Raises:
        ValueError: the content is damaged.
    """
    waiting = [("model", memoryview(content))]
    while waiting:
        kind, message = waiting.pop()
        for number, value in _fields(message):
            if isinstance(value, int):
                if kind == "tensor" and number == _DATA_LOCATION and value:
                    return True
            elif kind == "node" and number == _OP_TYPE and bytes(value) == _COMPILED:
                return True
            elif number in _FIELDS[kind]:
                waiting.append((_FIELDS[kind][number], value))
    return False


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the values of one field that are not integers."""
    return (value for each, value in _fields(message) if each == number and not isinstance(value, int))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the number of each field and its value: an integer, or the bytes of anything longer."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = (tag & 0xFFFFFFFF) >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in {_EIGHT_BYTES, _FOUR_BYTES}:
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError("it is damaged")
        if length > len(message) - at:
            raise ValueError("it is damaged or incomplete")
        yield number, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return an integer of seven bits per byte, and the position after it."""
    value = 0
    for place in range(10):
        if at + place >= len(message):
            raise ValueError("it is damaged or incomplete")
        byte = message[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError("it is damaged")
