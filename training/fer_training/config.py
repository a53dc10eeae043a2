"""The recipe: everything that decides how a network is made, as one validated YAML file."""

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
    """The first convolution, where timm's own (7×7, stride 2, max-pooled: made for 224 px) is too coarse."""

    kernel: int = Field(3, ge=1)
    stride: int = Field(2, ge=1)
    max_pool: bool = False


class Head(_Section):
    """Dense layers between pooled features and classes, each batch-normalised, rectified and dropped out."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    batch_norm: bool = True
    dropout: Fraction = 0.5


class Network(_Section):
    """A timm network, or one of `networks.py`, and how its input is made from levels 0 to 255."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    pretrained: bool = Field(False, description="begin with the weights that timm's hub has for the name")
    stem: Stem | None = None
    head: Head | None = Field(None, description="instead of the network's own single layer")
    input_size: int = Field(48, ge=8, le=1024)
    channels: Literal[1, 3] = 1
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)
    standardise: bool = Field(False, description="each image by its own mean and deviation, instead of these")
    dropout: Fraction = 0.0

    @model_validator(mode="after")
    def _one_statistic_a_channel(self) -> "Network":
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"mean and std need {self.channels} value(s), one a channel")
        return self


class Data(_Section):
    """Which classes are learnt and which splits are used; the first name that the data has counts."""

    rename: dict[str, str] = Field(default_factory=dict, description="the data's class names to the recipe's")
    labels: tuple[str, ...] | None = Field(None, description="the classes, in this order; None is all the data's")
    train: tuple[str, ...] = Field(("Training", "train"), validation_alias=AliasChoices("train", "fit"))
    validation: tuple[str, ...] = Field(
        ("PublicTest", "validation", "valid", "val", "test"), validation_alias=AliasChoices("validation", "select")
    )
    hold_out: float = Field(0.1, gt=0, lt=1)


class Optimizer(_Section):
    """An optimiser of torch."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: Fraction = 0.9
    nesterov: bool = True


class Schedule(_Section):
    """How the rate moves within a phase, step by step."""

    name: Literal["constant", "cosine", "onecycle", "plateau"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0)
    factor: Fraction = Field(0.1, description="of the rate, when a plateau has lasted for `patience` epochs")
    patience: int = Field(3, ge=1)


class FromLayer(_Section):
    """Everything from the layer of this name on, as the network's definition orders them."""

    from_: str = Field(alias="from")


class LastLayers(_Section):
    """The last so many layers: modules without children, activations and pooling counted, as Keras counts."""

    last: int = Field(ge=1)


class Phase(_Section):
    """A stretch of epochs with one set of trainable layers and one optimiser."""

    name: str
    trainable: Literal["all", "head"] | FromLayer | LastLayers = "all"
    epochs: int = Field(ge=1)
    patience: int = Field(0, ge=0, description="end after so many epochs without a better one; 0 is off")
    input_size: int | None = Field(None, ge=8, le=1024, description="fit at another side than the network serves")
    optimizer: Optimizer
    schedule: Schedule = Schedule()


class Augment(_Section):
    """Random changes of a training image; each strength 0 is off."""

    flip: Fraction = 0.0
    rotate: float = Field(0.0, ge=0, le=180, description="degrees, either way")
    scale: Fraction = Field(0.0, description="relative size change, either way")
    shift: Fraction = Field(0.0, description="of the image's side, either way")
    brightness: Fraction = 0.0
    contrast: Fraction = 0.0
    exposure: float = Field(0.0, ge=0, le=4, description="stops, either way; too bright levels are clipped")
    blur: Fraction = Field(0.0, description="chance that an image is blurred, by a sigma of 0.5 to 1.5 pixels")
    erase: Fraction = Field(0.0, description="chance that a rectangle is blanked")
    mixup: float = Field(0.0, ge=0, description="alpha of the Beta distribution; 0 is off")
    cutmix: float = Field(0.0, ge=0, description="likewise; with both, each batch takes one of them")


class Loss(_Section):
    """What is minimised."""

    name: Literal["cross_entropy", "focal"] = "cross_entropy"
    gamma: float = Field(2.0, ge=0, description="of the focal loss")
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: Fraction = 0.0
    votes: Fraction = Field(0.0, description="share of the crowd's votes in the targets, where the data has them")
    teachers: Fraction = Field(0.0, description="share of the teachers' mean answer in the targets")
    teacher_views: int = Field(
        0, ge=0, description="ask the teachers about this many fixed views of each image; 0 asks at every step"
    )
    votes_head: float = Field(0.0, ge=0, description="weight of a second head that learns the votes; 0 is off")


class Crop(CropGeometry):
    """The bundle's crop geometry, without lines that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Recipe(_Section):
    """One way to make a network, from the data's labels to the served file."""

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
    ema_decay: float = Field(0.0, ge=0, lt=1, description="0 is off")
    clip_norm: float = Field(0.0, ge=0, description="0 is off")
    selective_accuracy: float = Field(0.85, gt=0, le=1)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _views_have_one_size(self) -> "Recipe":
        if self.loss.teacher_views and any(phase.input_size for phase in self.phases):
            raise ValueError("loss.teacher_views are of the network's input_size; a phase cannot have another")
        return self

    def changed(self, *, seed: int | None = None, epochs: int | None = None) -> "Recipe":
        """The recipe with another seed, or with phases of at most so many epochs."""
        phases = self.phases
        if epochs is not None:
            phases = tuple(p.model_copy(update={"epochs": min(p.epochs, epochs)}) for p in phases)
        return self.model_copy(update={"seed": self.seed if seed is None else seed, "phases": phases})

    @property
    def epochs(self) -> int:
        """All phases together."""
        return sum(phase.epochs for phase in self.phases)


def available_recipes() -> tuple[str, ...]:
    """The names of the recipes that come with the project, sorted."""
    folder = resources.files("fer_training") / "recipes"
    return tuple(sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")))


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by the name it is shipped under, or from a YAML file.

    Raises:
        RecipeError: no such recipe, not YAML, or a line that the recipe's format does not allow.
    """
    return parse_recipe(*read_recipe(name_or_path))


def read_recipe(name_or_path: str | Path) -> tuple[object, str]:
    """A recipe's content as YAML has it, of whatever kind it is, and what names it in errors.

    Raises:
        RecipeError: there is no such recipe, or it is not YAML.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        source, where = path, str(path)
    elif str(name_or_path) in available_recipes():
        source = Path(str(resources.files("fer_training") / "recipes" / f"{name_or_path}.yaml"))
        where = str(name_or_path)
    else:
        raise RecipeError(
            f"there is no recipe {str(name_or_path)!r}: give a .yaml file or one of "
            f"{', '.join(available_recipes())}"
        )
    try:
        content: object = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"recipe {where}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {where} is not YAML: {' '.join(str(error).split())}") from error
    return content, where


def is_detector_recipe(content: object) -> bool:
    """Whether a recipe's content is that of a face detector (`training/fer_training/detector/recipe.py`)."""
    return isinstance(content, dict) and content.get("kind") == "detector"


def parse_recipe(content: object, where: str) -> Recipe:
    """Validate a recipe's content; `where` names it in errors.

    Raises:
        RecipeError: naming the first line that is wrong and what it would have to be.
    """
    return validated(Recipe, content, where)


def validated(kind: type[_Kind], content: object, where: str) -> _Kind:
    """A recipe's content as a recipe of this kind; `where` names it in errors.

    Raises:
        RecipeError: naming the first line that is wrong and what it would have to be.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        mistake = first_error(error.errors())
        raise RecipeError(f"recipe {where}: {mistake.sentence('the whole file')}") from error
