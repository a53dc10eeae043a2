"""Answers of the Open Inference Protocol: JSON, with the binary tensor extension (see `tensors`)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from fer_service.contract.errors import InvalidTensor
from fer_service.contract.inference import Datatype, InferenceAnswer, InferenceRequest, OutputTensor
from fer_service.contract.text import printable
from fer_service.http.tensors import HEADER_LENGTH, LENGTH

BINARY: Final = "application/octet-stream"
_TYPES: Final = {"INT32": np.dtype("<i4"), "FP32": np.dtype("<f4")}


class Output(NamedTuple):
    """An output of a model.

    Attributes:
        datatype: Type of its values.
        shape: Its shape.
        values: Its values in row-major order.
    """

    datatype: Datatype
    shape: list[int]
    values: Sequence[str | int | float]


def write_answer(
    answer: InferenceAnswer, outputs: Mapping[str, Output], request: InferenceRequest
) -> tuple[bytes, str, dict[str, str]]:
    """Return body, media type and headers of an answer.

    Args:
        answer: The answer without outputs.
        outputs: The outputs of the model.
        request: Which of them it wants, and in which form.

    Raises:
        InvalidTensor: it wants what there is not.
    """
    wanted = _wanted(request, outputs)
    tensors, parts = [], []
    for name, binary in wanted.items():
        datatype, shape, values = outputs[name]
        if binary:
            parts.append(_bytes_of(datatype, values))
            sizes = {"binary_data_size": len(parts[-1])}
            tensors.append(OutputTensor(name=name, datatype=datatype, shape=shape, parameters=sizes))
        else:
            tensors.append(OutputTensor(name=name, datatype=datatype, shape=shape, data=list(values)))
    text = answer.model_copy(update={"outputs": tensors}).model_dump_json(exclude_none=True).encode()
    if not parts:
        return text, "application/json", {}
    return b"".join([text, *parts]), BINARY, {HEADER_LENGTH: str(len(text))}


def check_outputs(request: InferenceRequest, names: Sequence[str]) -> None:
    """Refuse a request for unknown outputs before its work begins.

    Raises:
        InvalidTensor: the model does not have one of the outputs.
    """
    _wanted(request, dict.fromkeys(names))


def _wanted(request: InferenceRequest, outputs: Mapping[str, object]) -> dict[str, bool]:
    """Return the wanted outputs by name, with True for those that are sent as bytes."""
    binary = request.parameters.get("binary_data_output", False)
    if not request.outputs:
        return dict.fromkeys(outputs, binary is True)
    wanted = {}
    for each in request.outputs:
        if each.name not in outputs:
            raise InvalidTensor(f"unknown output {printable(each.name)!r}; the outputs are {', '.join(outputs)}")
        for parameter in ("classification", "shared_memory_region"):
            if parameter in each.parameters:
                raise InvalidTensor(f"output {each.name}: the parameter {parameter} is not supported")
        wanted[each.name] = each.parameters.get("binary_data", binary) is True
    return wanted


def _bytes_of(datatype: Datatype, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        encoded = [value.encode() for value in values]
        return b"".join(part for each in encoded for part in (LENGTH.pack(len(each)), each))
    return np.asarray(values, _TYPES[datatype]).tobytes()
