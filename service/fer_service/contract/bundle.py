"""The model file: an ONNX graph from uint8 crops to probabilities, with all about it in its metadata."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_service.contract.errors import BundleError
from fer_service.contract.validation import first_error

METADATA_KEY = "fer"
INPUT_NAME = "faces"
OUTPUT_NAME = "probabilities"
Fraction = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    """A later writer may know more fields than this reader; those are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CropGeometry(_Record):
    """How a face becomes the network's input: the part of the preprocessing that is no arithmetic.

    Attributes:
        frame: Side of the square crop as a multiple of the face's height; 1.0 is FER-2013's framing.
        align: Whether the crop is rotated so that the eyes are level.
        interpolation: Used for enlarging and mild shrinking; shrinking by more than 2 averages areas first.
        border: What stands beyond the image's edge.
    """

    frame: float = Field(1.0, gt=0, le=4)
    align: bool = False
    interpolation: Literal["linear", "cubic"] = "linear"
    border: Literal["replicate", "black"] = "replicate"


class ClassMetrics(_Record):
    """One class of a classification report."""

    precision: Fraction
    recall: Fraction
    f1: Fraction
    support: int = Field(ge=0)


class Metrics(_Record):
    """What the file scores on a split, as it is served.

    Attributes:
        split: Name of the split.
        count: Number of images.
        accuracy: Share of right top-1 answers.
        macro_f1: Mean of the classes' F1.
        ece15: Expected calibration error in 15 equal bins of confidence (Guo et al. 2017, arXiv:1706.04599).
        nll: Mean negative log likelihood of the true class, in nats.
        per_class: By label.
        confusion: Counts; row = true class, column = answer, both in the order of the labels.
    """

    split: str
    count: int = Field(ge=1)
    accuracy: Fraction
    macro_f1: Fraction
    ece15: Fraction
    nll: float = Field(ge=0)
    per_class: dict[str, ClassMetrics]
    confusion: list[list[int]]


class HeldOut(_Record):
    """How a selection split was made where the data had none.

    Attributes:
        split: What it was taken from.
        fraction: Of every class.
        seed: Of the draw.
        limit: The data was cut to so many images a split before; None is all.
    """

    split: str
    fraction: Fraction
    seed: int
    limit: int | None = None


class TrainingData(_Record):
    """What the network was fitted to.

    Attributes:
        name: What people call the data.
        splits: Images in the split it was fitted to and in the one it was chosen by.
        sha256: Of the data's bytes, in hexadecimal.
        rename: From the data's class names to the file's labels, where they differ.
        held_out: How the selection split was made, where the data had none.
    """

    name: str
    splits: dict[str, int]
    sha256: str
    rename: dict[str, str] = Field(default_factory=dict)
    held_out: HeldOut | None = None


class Parity(_Record):
    """How far the exported graph is from the trained network."""

    max_difference: float = Field(ge=0)
    rows: int = Field(ge=1)


class WholeLine(_Record):
    """What detecting and cropping cost, over the images in which the detector finds the face.

    Attributes:
        detector: Which one.
        found: Share of the images in which it finds a face.
        direct: Accuracy on those as they are.
        accuracy: Accuracy on the same ones, found and cropped by the service.
    """

    detector: str
    found: Fraction
    direct: Fraction
    accuracy: Fraction


class Metadata(_Record):
    """The JSON object in the ONNX file's metadata property `fer`."""

    # Pydantic reserves names that begin with "schema"; the file's field is called so all the same.
    schema_version: Literal[1] = Field(1, alias="schema")
    name: str
    version: str
    description: str = ""
    variant: str = ""  # what was done to the trained network: mirrored, quantised, …
    labels: tuple[str, ...] = Field(min_length=2)
    input_size: int = Field(ge=8, le=1024)
    crop: CropGeometry
    uncertain_below: Fraction
    selective_accuracy: Fraction = 0.85  # of the answers that are not uncertain
    accepted: Fraction | None = None  # their share
    temperature: float = Field(gt=0)
    recipe: str
    seed: int | None = None
    epochs: int | None = None
    data: TrainingData
    metrics: Metrics
    deduplicated: Metrics | None = None
    robustness: dict[str, Fraction] = Field(default_factory=dict)  # accuracy, by what was done to the images
    whole_line: WholeLine | None = None
    parity: Parity
    created: str
    commit: str
    licence: str

    @model_validator(mode="after")
    def _labels_differ(self) -> "Metadata":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels repeat themselves")
        return self


class Tensor(Protocol):
    """Name, type and shape of a graph's input or output, as onnxruntime describes them."""

    name: str
    type: str
    shape: list[int | str]


class Graph(Protocol):
    """The part of an opened ONNX file that the contract speaks about."""

    @property
    def inputs(self) -> list[Tensor]:
        """The graph's inputs."""

    @property
    def outputs(self) -> list[Tensor]:
        """The graph's outputs."""

    @property
    def properties(self) -> Mapping[str, str]:
        """The file's metadata properties."""


@dataclass(frozen=True)
class Bundle:
    """A model file that keeps the contract.

    Attributes:
        path: Where it was read from.
        sha256: Of the whole file, in hexadecimal.
        metadata: What the file says of itself.
    """

    path: Path
    sha256: str
    metadata: Metadata


def read_metadata(graph: Graph, where: str) -> Metadata:
    """Check an opened ONNX file against the contract and return what it says of itself.

    Raises:
        BundleError: with a sentence that says what is missing or wrong.
    """
    text = graph.properties.get(METADATA_KEY)
    if text is None:
        raise BundleError(
            f"{where} is no emotion bundle: its metadata has no property {METADATA_KEY!r}. "
            "Make one with `fer-train export`."
        )
    try:
        metadata = Metadata.model_validate_json(text)
    except ValidationError as error:
        mistake = first_error(error.errors()).sentence("the whole property")
        raise BundleError(f"{where}: metadata property {METADATA_KEY!r}: {mistake}") from error

    size, classes = metadata.input_size, len(metadata.labels)
    faces = _only(graph.inputs, "input", where)
    if (faces.name, faces.type) != (INPUT_NAME, "tensor(uint8)") or faces.shape[1:] != [size, size, 3]:
        raise BundleError(
            f"{where}: the input must be {INPUT_NAME}: uint8 [N, {size}, {size}, 3], "
            f"not {faces.name}: {faces.type} {faces.shape}"
        )
    if isinstance(faces.shape[0], int):
        raise BundleError(f"{where}: the input's batch size is fixed at {faces.shape[0]}; it must be symbolic")
    answer = _only(graph.outputs, "output", where)
    if (answer.name, answer.type) != (OUTPUT_NAME, "tensor(float)") or answer.shape[1:] != [classes]:
        raise BundleError(
            f"{where}: the output must be {OUTPUT_NAME}: float32 [N, {classes}], one column a label, "
            f"not {answer.name}: {answer.type} {answer.shape}"
        )
    return metadata


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _only(tensors: list[Tensor], kind: str, where: str) -> Tensor:
    if len(tensors) != 1:
        raise BundleError(f"{where}: a bundle has one {kind}, this file has {len(tensors)}")
    return tensors[0]
