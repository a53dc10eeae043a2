"""The model file: an ONNX graph from uint8 crops to probabilities, described by its metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_service.contract.errors import BundleError, StartError
from fer_service.contract.validation import first_error

METADATA_KEY = "fer"
INPUT_NAME = "faces"
OUTPUT_NAME = "probabilities"
MAX_METADATA = 2**20  # characters; the property of a real file has some thousands
MAX_LABELS = 1000  # each face of a response has a probability for every one of them
Fraction = Annotated[float, Field(ge=0, le=1)]
_Model = TypeVar("_Model", bound=BaseModel)


def _printable(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable, without spaces around it")
    return text


# Names that are shown in logs, metrics, tables and images.
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]


class _Record(BaseModel):
    """A part of the metadata. Unknown fields are ignored, so that newer files stay readable."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class CropGeometry(_Record):
    """Geometry of the crop around a face. All later preprocessing is part of the graph.

    Attributes:
        frame: Side of the square crop divided by the height of the face; 1.0 is the framing of FER-2013.
        align: Rotate the crop so that the eyes are level.
        interpolation: For enlarging and for shrinking by at most 2. Stronger shrinking averages areas first.
        border: Content of the crop outside the image.
    """

    frame: float = Field(1.0, gt=0, le=4)
    align: bool = False
    interpolation: Literal["linear", "cubic"] = "linear"
    border: Literal["replicate", "black"] = "replicate"


class ClassMetrics(_Record):
    """Figures of one class in a classification report."""

    precision: Fraction
    recall: Fraction
    f1: Fraction
    support: int = Field(ge=0)


class Metrics(_Record):
    """Scores of the file on a split, measured through the service's own classes.

    Attributes:
        split: Name of the split.
        count: Number of images.
        accuracy: Share of correct top-1 answers.
        macro_f1: Mean F1 over the classes that have images.
        ece15: Expected calibration error in 15 equal bins of confidence (Guo et al. 2017, arXiv:1706.04599).
        nll: Mean negative log likelihood of the true class, in nats.
        per_class: Figures by label.
        confusion: Counts; row = true class, column = predicted class, both in the order of the labels.
    """

    split: str
    count: int = Field(ge=1)
    accuracy: Fraction
    macro_f1: Fraction
    ece15: Fraction
    nll: float = Field(ge=0)
    per_class: dict[str, ClassMetrics]
    confusion: list[list[int]]


class Evaluation(Metrics):
    """Scores on labelled images, with the answers that the service would mark `uncertain`.

    Attributes:
        detector: Name of the detector that found the faces; None if every image was taken as one face.
        without_face: Images in which the detector found no face. They are not scored.
        several_faces: Images in which it found more than one. The largest is scored.
        uncertain: Share of uncertain answers.
        accepted_accuracy: Accuracy of the other answers; None if there are none.
        uncertain_per_class: Share of uncertain answers by true label, for the labels that have images.
    """

    detector: str | None = None
    without_face: int = Field(0, ge=0)
    several_faces: int = Field(0, ge=0)
    uncertain: Fraction
    accepted_accuracy: Fraction | None
    uncertain_per_class: dict[str, Fraction]


class HeldOut(_Record):
    """Parameters of a validation split that was drawn because the data had none.

    Attributes:
        split: Split that the images were taken from.
        fraction: Share of the images of each class.
        seed: Seed of the random draw.
        limit: Maximum images per split, applied before the draw; None means no limit.
    """

    split: str
    fraction: Fraction
    seed: int
    limit: int | None = None


class TrainingData(_Record):
    """The data set of the training run.

    Attributes:
        name: Name of the data set.
        splits: Number of images in the training split and in the validation split.
        sha256: Hash of the data, in hexadecimal.
        rename: Class names of the data mapped to labels of the file, where they differ.
        held_out: How the validation split was drawn; None if the data has one.
    """

    name: str
    splits: dict[str, int]
    sha256: str
    rename: dict[str, str] = Field(default_factory=dict)
    held_out: HeldOut | None = None


class WeightsFile(_Record):
    """A file of weights that the training used: its name (of a run, that of its folder), and its SHA-256."""

    file: str
    sha256: str


class Parity(_Record):
    """Largest difference of probabilities between the exported graph and the trained network."""

    max_difference: float = Field(ge=0)
    rows: int = Field(ge=1)


class EndToEnd(_Record):
    """Accuracy with detection and cropping, over the images in which the detector finds the face.

    Attributes:
        detector: Name of the detector.
        found: Share of the images in which it finds a face.
        direct: Accuracy on those images when the given face is classified directly.
        accuracy: Accuracy on those images when the service detects, crops and classifies.
    """

    detector: str
    found: Fraction
    direct: Fraction
    accuracy: Fraction


class Metadata(_Record):
    """The JSON object in the ONNX file's metadata property `fer`."""

    # Pydantic reserves attribute names that begin with "schema", hence the alias.
    schema_version: Literal[1] = Field(1, alias="schema")
    name: Name
    version: Name
    description: str = ""
    variant: str = ""  # changes to the trained network: mirrored, quantised, …
    labels: tuple[Name, ...] = Field(min_length=2, max_length=MAX_LABELS)
    input_size: int = Field(ge=8, le=1024)
    crop: CropGeometry
    uncertain_below: Fraction
    selective_accuracy: Fraction = 0.85  # accuracy of the answers that are not uncertain
    accepted: Fraction | None = None  # share of answers that are not uncertain
    temperature: float = Field(gt=0)
    recipe: str
    seed: int | None = None
    epochs: int | None = None
    data: TrainingData
    start: WeightsFile | None = None  # None: random weights, or those that timm has for the recipe
    teachers: tuple[WeightsFile, ...] = ()  # networks whose answers it learned
    metrics: Metrics
    deduplicated: Metrics | None = None
    robustness: dict[str, Fraction] = Field(default_factory=dict)  # accuracy by condition
    end_to_end: EndToEnd | None = None
    evaluations: dict[str, Evaluation] = Field(default_factory=dict)  # on other data, by its name
    # Bits of INT8 weights. With at most 7, the sum of two products fits int16 (2 · 255 · 64 < 2¹⁵).
    weight_bits: int | None = Field(None, ge=1, le=8)
    parity: Parity
    created: str
    commit: str
    licence: str

    @model_validator(mode="after")
    def _labels_differ(self) -> "Metadata":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("duplicate labels")
        return self


class Tensor(Protocol):
    """Name, type and shape of an input or output of a graph, as onnxruntime reports them."""

    name: str
    type: str
    shape: list[int | str]


class Graph(Protocol):
    """The part of an opened ONNX file that `read_metadata` checks."""

    @property
    def inputs(self) -> list[Tensor]:
        """Inputs of the graph."""

    @property
    def outputs(self) -> list[Tensor]:
        """Outputs of the graph."""

    @property
    def properties(self) -> Mapping[str, str]:
        """Metadata properties of the file."""


@dataclass(frozen=True)
class Bundle:
    """A valid model file.

    Attributes:
        path: Path of the file.
        sha256: Hash of the whole file, in hexadecimal.
        metadata: Its checked metadata.
    """

    path: Path
    sha256: str
    metadata: Metadata


def read_metadata(graph: Graph, where: str) -> Metadata:
    """Check an opened ONNX file against the contract and return its metadata.

    Raises:
        BundleError: The file breaks the contract. The message names the field.
    """
    text = graph.properties.get(METADATA_KEY)
    if text is None:
        raise BundleError(
            f"{where} is not a model file of fer-service: missing metadata property {METADATA_KEY!r}. "
            "Make one with `fer-train export`."
        )
    metadata = read_property(text, METADATA_KEY, Metadata, where, BundleError)
    size, classes = metadata.input_size, len(metadata.labels)
    faces = _only(graph.inputs, "input", where)
    if (faces.name, faces.type) != (INPUT_NAME, "tensor(uint8)") or faces.shape[1:] != [size, size, 3]:
        raise BundleError(
            f"{where}: the input must be {INPUT_NAME}: uint8 [N, {size}, {size}, 3], "
            f"not {faces.name}: {faces.type} {faces.shape}"
        )
    if isinstance(faces.shape[0], int):
        raise BundleError(
            f"{where}: the batch size of the input is fixed at {faces.shape[0]}; it must be symbolic"
        )
    answer = _only(graph.outputs, "output", where)
    if (answer.name, answer.type) != (OUTPUT_NAME, "tensor(float)") or answer.shape[1:] != [classes]:
        raise BundleError(
            f"{where}: the output must be {OUTPUT_NAME}: float32 [N, {classes}], one column per label, "
            f"not {answer.name}: {answer.type} {answer.shape}"
        )
    return metadata


def read_property(text: str, key: str, schema: type[_Model], where: str, failure: type[StartError]) -> _Model:
    """Return the checked content of a metadata property.

    Args:
        text: Value of the property, a JSON object.
        key: Name of the property.
        schema: Class of the content.
        where: Name of the file.
        failure: Exception class.

    Raises:
        StartError: (as `failure`) the content is invalid or too long. The message names the field.
    """
    if len(text) > MAX_METADATA:
        raise failure(f"{where}: metadata property {key!r} has {len(text):,} characters, at most {MAX_METADATA:,}")
    try:
        return schema.model_validate_json(text)
    except ValidationError as error:
        mistake = first_error(error.errors()).sentence("the whole property")
        raise failure(f"{where}: metadata property {key!r}: {mistake}") from error


def _only(tensors: list[Tensor], kind: str, where: str) -> Tensor:
    if len(tensors) != 1:
        raise BundleError(f"{where}: a bundle has exactly one {kind}, this file has {len(tensors)}")
    return tensors[0]
