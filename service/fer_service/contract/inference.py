"""The JSON of the Open Inference Protocol, version 2: what KServe, Triton and their clients speak.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MODEL: Final = "emotion"  # a name that every model has besides its own
IMAGES: Final = "images"
EXTENSIONS: Final = ("binary_tensor_data",)

Datatype = Literal["BYTES", "UINT8", "INT32", "FP32"]
Parameters = Annotated[dict[str, Any], BeforeValidator(lambda value: {} if value is None else value)]
Name = Annotated[str, Field(max_length=128)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


class InferenceError(_Record):
    """An error of this protocol."""

    error: str


class ServerLive(_Record):
    """Liveness."""

    live: bool


class ServerReady(_Record):
    """Readiness."""

    ready: bool


class ModelReady(_Record):
    """Readiness of a model."""

    name: str
    ready: bool


class ServerMetadata(_Record):
    """The server."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(_Record):
    """A tensor that a model takes or returns."""

    name: str
    datatype: Datatype
    shape: list[int] = Field(description="-1 is any number")


class ModelMetadata(_Record):
    """A model and its tensors. A request has one of the inputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class InputTensor(_Record):
    """An input of a request. Its data are kept elsewhere; `data` is their number."""

    model_config = ConfigDict(strict=True)

    name: Name
    datatype: str
    shape: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field(min_length=1, max_length=8)
    parameters: Parameters = Field(default_factory=dict)
    data: int | None = None


class RequestedOutput(_Record):
    """An output that a request wants."""

    model_config = ConfigDict(strict=True)

    name: Name
    parameters: Parameters = Field(default_factory=dict)


class InferenceRequest(_Record):
    """A request without its data."""

    model_config = ConfigDict(strict=True)

    id: Name = ""
    parameters: Parameters = Field(default_factory=dict)
    inputs: list[InputTensor] = Field(min_length=1)
    outputs: Annotated[list[RequestedOutput], BeforeValidator(lambda value: value or [])] = Field(
        default_factory=list
    )


class OutputTensor(_Record):
    """An output of an answer."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: dict[str, Any] | None = Field(None, description="`binary_data_size`: bytes behind the JSON")
    data: list[str | int | float] | None = Field(None, description="Values in row-major order")


class InferenceAnswer(_Record):
    """An answer."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]
