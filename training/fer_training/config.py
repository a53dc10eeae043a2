"""The training recipe: all settings of a training run, as one validated YAML file."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from fer_service.contract.bundle import CropGeometry
from fer_service.contract.validation import first_error
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_training.errors import RecipeError

Fraction = Annotated[float, Field(ge=0, le=1)]
_Kind = TypeVar("_Kind", bound=BaseModel)
FER2013_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Stem(_Section):
    """Replacement of the first convolution. timm's own (7×7, stride 2, max pooling) is too coarse below 224 px."""

    kernel: int = Field(3, ge=1)
    stride: int = Field(2, ge=1)
    max_pool: bool = False


class Head(_Section):
    """Dense layers before the classes, each with batch norm, ReLU and dropout."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    batch_norm: bool = True
    dropout: Fraction = 0.5


class Network(_Section):
    """A network of timm or of `networks.py`, and the normalisation of its input levels (0 to 255)."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    pretrained: bool = Field(False, description="Start from the pretrained weights of timm's hub.")
    stem: Stem | None = None
    head: Head | None = Field(None, description="Head that replaces the network's single layer.")
    input_size: int = Field(48, ge=8, le=1024)
    channels: Literal[1, 3] = 1
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)
    standardise: bool = Field(
        False, description="Normalise each image by its own mean and standard deviation; ignore mean and std."
    )
    dropout: Fraction = 0.0

    @model_validator(mode="after")
    def _one_value_per_channel(self) -> "Network":
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} value(s), one per channel")
        return self


class Data(_Section):
    """Classes and splits. Of several split names, the first one that the data has is used."""

    rename: dict[str, str] = Field(default_factory=dict, description="Map class names of the data to other names.")
    labels: tuple[str, ...] | None = Field(None, description="Classes in output order; None takes all classes.")
    train: tuple[str, ...] = Field(("Training", "train"), validation_alias=AliasChoices("train", "fit"))
    validation: tuple[str, ...] = Field(
        ("PublicTest", "validation", "valid", "val", "test"), validation_alias=AliasChoices("validation", "select")
    )
    hold_out: float = Field(0.1, gt=0, lt=1)


class Optimizer(_Section):
    """A torch optimiser."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: Fraction = 0.9
    nesterov: bool = True


class Schedule(_Section):
    """Learning-rate schedule of a phase."""

    name: Literal["constant", "cosine", "onecycle", "plateau"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0)
    factor: Fraction = Field(
        0.1, description="Multiplies the learning rate after `patience` epochs without improvement."
    )
    patience: int = Field(3, ge=1)


class FromLayer(_Section):
    """The named layer and all layers after it, in definition order."""

    from_: str = Field(alias="from")


class LastLayers(_Section):
    """The last N layers. As in Keras, activations and pooling count as layers."""

    last: int = Field(ge=1)


class Phase(_Section):
    """Consecutive epochs with one set of trainable layers and one optimiser."""

    name: str
    trainable: Literal["all", "head"] | FromLayer | LastLayers = "all"
    epochs: int = Field(ge=1)
    patience: int = Field(
        0,
        ge=0,
        description="Early stopping: end the phase after this many epochs without improvement; 0 disables it.",
    )
    input_size: int | None = Field(
        None, ge=8, le=1024, description="Training input size, if it differs from the network's input_size."
    )
    optimizer: Optimizer
    schedule: Schedule = Schedule()


class Augment(_Section):
    """Random augmentation of training images. A strength of 0 disables the augmentation."""

    flip: Fraction = 0.0
    rotate: float = Field(0.0, ge=0, le=180, description="Maximum angle in degrees, both directions.")
    scale: Fraction = Field(0.0, description="Maximum relative size change, both directions.")
    shift: Fraction = Field(0.0, description="Maximum shift as a fraction of the image side, both directions.")
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    exposure: float = Field(
        0.0,
        ge=0,
        le=4,
        description="Maximum exposure change in stops, both directions; bright levels are clipped.",
    )
    blur: Fraction = Field(0.0, description="Probability of Gaussian blur with a sigma of 0.5 to 1.5 pixels.")
    erase: Fraction = Field(0.0, description="Probability of random erasing.")
    mixup: float = Field(0.0, ge=0, description="Mixup: alpha of the Beta distribution; 0 disables it.")
    cutmix: float = Field(
        0.0,
        ge=0,
        description="CutMix: alpha of the Beta distribution; 0 disables it. With mixup, a batch uses one of both.",
    )


class Loss(_Section):
    """Loss function and training targets."""

    name: Literal["cross_entropy", "focal"] = "cross_entropy"
    gamma: float = Field(2.0, ge=0, description="Exponent of the focal loss.")
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: Fraction = 0.0
    votes: Fraction = Field(0.0, description="Weight of the FER+ votes in the targets, for data that has votes.")
    teachers: Fraction = Field(
        0.0, description="Distillation: weight of the teachers' mean probabilities in the targets."
    )
    teacher_views: int = Field(
        0,
        ge=0,
        description="Run the teachers once on this many fixed views of each image; 0 runs them at every step.",
    )
    votes_head: float = Field(
        0.0, ge=0, description="Loss weight of a second head that learns the votes; 0 disables it."
    )


class Crop(CropGeometry):
    """Crop geometry of the bundle. Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(_Section):
    """All settings that make an emotion model."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    network: Network
    data: Data = Data()
    crop: Crop = Crop()
    phases: tuple[Phase, ...] = Field(min_length=1)
    loss: Loss = Loss()
    augment: Augment = Augment()
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    batch_size: int = Field(128, ge=1)
    ema_decay: float = Field(0.0, ge=0, lt=1, description="Decay of the weight average; 0 disables it.")
    clip_norm: float = Field(0.0, ge=0, description="Maximum gradient norm; 0 disables clipping.")
    selective_accuracy: float = Field(
        0.85, gt=0, le=1, description="Accuracy that the answers above the confidence threshold must reach."
    )
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _views_have_one_size(self) -> "Recipe":
        if self.loss.teacher_views and any(phase.input_size for phase in self.phases):
            raise ValueError(
                "loss.teacher_views requires the network's input_size: remove input_size from the phases"
            )
        return self

    def changed(self, *, seed: int | None = None, epochs: int | None = None) -> "Recipe":
        """Return a copy with another seed, or with at most `epochs` epochs per phase."""
        phases = self.phases
        if epochs is not None:
            phases = tuple(p.model_copy(update={"epochs": min(p.epochs, epochs)}) for p in phases)
        return self.model_copy(update={"seed": self.seed if seed is None else seed, "phases": phases})

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)


def available_recipes() -> tuple[str, ...]:
    """Names of the included recipes, sorted."""
    folder = resources.files("fer_training") / "recipes"
    return tuple(sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by name, or from a YAML file.

    Raises:
        RecipeError: The recipe is missing, is not YAML, or is invalid.
    """
    return parse_recipe(*read_recipe(name_or_path))


def read_recipe(name_or_path: str | Path) -> tuple[object, str]:
    """Read the YAML content of an emotion or detector recipe.

    Returns:
        The parsed content, and the name to use in error messages.

    Raises:
        RecipeError: The recipe is missing or is not YAML.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        source, where = path, str(path)
    elif str(name_or_path) in available_recipes():
        source = Path(str(resources.files("fer_training") / "recipes" / f"{name_or_path}.yaml"))
        where = str(name_or_path)
    else:
        raise RecipeError(
            f"unknown recipe {str(name_or_path)!r}: give a .yaml file or one of {', '.join(available_recipes())}"
        )
    try:
        content: object = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"recipe {where}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {where} is not YAML: {' '.join(str(error).split())}") from error
    return content, where


def is_detector_recipe(content: object) -> bool:
    """Return True if the content is a face detector's recipe (see `fer_training.detector.recipe`)."""
    return isinstance(content, dict) and content.get("kind") == "detector"


def parse_recipe(content: object, where: str) -> Recipe:
    """Validate the content of an emotion recipe (see `validate_recipe`).

    Raises:
        RecipeError: The content is invalid.
    """
    return validate_recipe(Recipe, content, where)


def validate_recipe(kind: type[_Kind], content: object, where: str) -> _Kind:
    """Validate the content of a recipe.

    Args:
        kind: Model to validate against.
        content: Parsed YAML.
        where: Name of the recipe in error messages.

    Raises:
        RecipeError: The content is invalid. The message names the first invalid key and its allowed values.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        mistake = first_error(error.errors())
        raise RecipeError(f"recipe {where}: {mistake.sentence('the whole file')}") from error
