"""The training recipe: the settings that recipes of all tasks have, and reading of recipe files."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from fer_service.contract.validation import first_error
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fer_training.errors import RecipeError

MAX_SEED = 2**32 - 1  # of NumPy; torch takes a product of the seed, which must fit 64 bits
Fraction = Annotated[float, Field(ge=0, le=1)]
_Recipe = TypeVar("_Recipe", bound=BaseModel)


class Section(BaseModel):
    """A part of a recipe: unchangeable, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _refuse_changed(section: Section, kind: str, *names: str) -> None:
    """Refuse values without effect. Defaults are accepted: a run writes all keys into its recipe.yaml."""
    for name in names:
        if getattr(section, name) != type(section).model_fields[name].default:
            raise ValueError(f"{name} has no effect with {kind}: leave it out")


class Optimizer(Section):
    """A torch optimiser."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = Field(gt=0)
    weight_decay: float = Field(0.0, ge=0)
    momentum: Fraction = 0.9
    nesterov: bool = True

    @model_validator(mode="after")
    def _check_unused(self) -> Self:
        if self.name != "sgd":
            _refuse_changed(self, self.name, "momentum", "nesterov")
        return self


class Schedule(Section):
    """Learning-rate schedule of a phase."""

    name: Literal["constant", "cosine", "onecycle", "plateau"] = "cosine"
    warmup_epochs: float = Field(0.0, ge=0)
    factor: Fraction = Field(
        0.1, description="Multiplies the learning rate after `patience` epochs without improvement."
    )
    patience: int = Field(3, ge=1)

    @model_validator(mode="after")
    def _check_unused(self) -> Self:
        if self.name in ("onecycle", "plateau"):
            _refuse_changed(self, self.name, "warmup_epochs")
        if self.name != "plateau":
            _refuse_changed(self, self.name, "factor", "patience")
        return self


class Phase(Section):
    """Consecutive epochs with one optimiser."""

    name: str
    epochs: int = Field(ge=1)
    patience: int = Field(
        0,
        ge=0,
        description="Early stopping: end the phase after this many epochs without improvement; 0 disables it.",
    )
    optimizer: Optimizer
    schedule: Schedule = Schedule()


class Recipe(Section):
    """Settings of a training that every task has. Each task adds its own."""

    task: str
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    phases: tuple[Phase, ...] = Field(min_length=1)
    ema_decay: float = Field(0.0, ge=0, lt=1, description="Decay of the weight average; 0 disables it.")
    clip_norm: float = Field(0.0, ge=0, description="Maximum gradient norm; 0 disables clipping.")
    seed: int = Field(0, ge=0, le=MAX_SEED)

    def changed(self, *, seed: int | None = None, epochs: int | None = None) -> Self:
        """Return a copy with another seed, or with at most `epochs` epochs per phase."""
        phases = self.phases
        if epochs is not None:
            phases = tuple(phase.model_copy(update={"epochs": min(phase.epochs, epochs)}) for phase in phases)
        return self.model_copy(update={"seed": self.seed if seed is None else seed, "phases": phases})

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)


class _UniqueKeys(yaml.SafeLoader):
    """Refuses a key that comes twice, of which YAML would keep only the last."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return the node of a mapping as it is written: merged keys are not in it yet."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if (key.tag, key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value} comes twice; join both parts", key.start_mark
                )
            seen.add((key.tag, key.value))
        return node


def available_recipes() -> tuple[str, ...]:
    """Names of the included recipes, sorted."""
    folder = resources.files("fer_training") / "recipes"
    return tuple(sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")))


def read_recipe(name_or_path: str | Path) -> tuple[object, str]:
    """Read the YAML content of a recipe.

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
        content: object = yaml.load(source.read_text(encoding="utf-8"), _UniqueKeys)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise RecipeError(f"recipe {where}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {where} is not YAML: {' '.join(str(error).split())}") from error
    return content, where


def validate_recipe(kind: type[_Recipe], content: object, where: str) -> _Recipe:
    """Validate the content of a recipe.

    Args:
        kind: Class of the task's recipes.
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
