"""The recipe of an emotion model."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

from fer_service.contract.bundle import CropGeometry
from pydantic import ConfigDict, Field, field_validator, model_validator

from fer_training.engine.recipe import Fraction, Phase, Recipe, Section, read_recipe, validate_recipe


class Stem(Section):
    """Replacement of the first convolution. timm's own (7×7, stride 2, max pooling) is too coarse below 224 px."""

    kernel: int = Field(3, ge=1)
    stride: int = Field(2, ge=1)
    max_pool: bool = False


class Head(Section):
    """Dense layers before the classes, each with batch norm, ReLU and dropout."""

    widths: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)
    batch_norm: bool = True
    dropout: Fraction = 0.5


class Network(Section):
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


class Data(Section):
    """Classes and splits. Of several names for validation, the first one that the data has is used."""

    rename: dict[str, str] = Field(default_factory=dict, description="Map class names of the data to other names.")
    labels: tuple[str, ...] | None = Field(
        None, min_length=2, description="Classes in output order; None takes all classes."
    )
    train: tuple[str, ...] = Field(("Training", "train"), min_length=1)
    validation: tuple[str, ...] = Field(("PublicTest", "val", "valid", "validation", "test"))
    hold_out: float = Field(0.1, gt=0, lt=1)

    @field_validator("labels")
    @classmethod
    def _each_once(cls, labels: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if labels and (twice := [label for label, count in Counter(labels).items() if count > 1]):
            raise ValueError(f"each class once, not {', '.join(twice)} twice")
        return labels


class FromLayer(Section):
    """The named layer and all layers after it, in definition order."""

    from_: str = Field(alias="from")


class LastLayers(Section):
    """The last N layers. As in Keras, activations and pooling count as layers."""

    last: int = Field(ge=1)


class EmotionPhase(Phase):
    """Consecutive epochs with one set of trainable layers and one optimiser."""

    trainable: Literal["all", "head"] | FromLayer | LastLayers = "all"
    input_size: int | None = Field(
        None, ge=8, le=1024, description="Training input size, if it differs from the network's input_size."
    )


class Augment(Section):
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


class Loss(Section):
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
    """Crop geometry of the bundle. Unknown keys are refused.

    Attributes:
        align: As in `CropGeometry`. It helps with tilted heads: docs/decisions/crop-frame.md.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    align: bool = True


class EmotionRecipe(Recipe):
    """All settings that make an emotion model."""

    task: Literal["emotion"] = "emotion"
    network: Network
    data: Data = Data()
    crop: Crop = Crop()
    phases: tuple[EmotionPhase, ...] = Field(min_length=1)
    loss: Loss = Loss()
    augment: Augment = Augment()
    sampler: Literal["shuffled", "balanced"] = "shuffled"
    batch_size: int = Field(128, ge=1)
    selective_accuracy: float = Field(
        0.85, gt=0, le=1, description="Accuracy that the answers above the confidence threshold must reach."
    )

    @model_validator(mode="after")
    def _views_have_one_size(self) -> "EmotionRecipe":
        if self.loss.teacher_views and any(phase.input_size for phase in self.phases):
            raise ValueError(
                "loss.teacher_views requires the network's input_size: remove input_size from the phases"
            )
        return self


def load_recipe(name_or_path: str | Path) -> EmotionRecipe:
    """Read a recipe by name, or from a YAML file.

    Raises:
        RecipeError: The recipe is missing, is not YAML, or is invalid.
    """
    return validate_recipe(EmotionRecipe, *read_recipe(name_or_path))
