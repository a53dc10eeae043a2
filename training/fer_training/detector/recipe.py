"""The detector's recipe: everything that decides how it is made, as one validated YAML file."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fer_training.config import Fraction, Phase


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Widths(_Section):
    """Channels of the network, and how many separable blocks each stage has."""

    stem: int = Field(16, ge=4)
    quarter: int = Field(32, ge=4, description="at stride 4")
    stages: tuple[int, int, int] = Field((64, 96, 128), description="at strides 8, 16 and 32")
    blocks: tuple[int, int, int] = Field((3, 3, 3), description="likewise")
    neck: int = Field(64, ge=4, description="of the pyramid and the heads")

    @property
    def channels(self) -> tuple[int, ...]:
        """All of them, from the input to the heads."""
        return self.stem, self.quarter, *self.stages, self.neck


class Compose(_Section):
    """How images are made from photographs and pasted faces."""

    sides: tuple[int, ...] = Field((256,), min_length=1, description="of the images; each batch draws one")
    pixels: int = Field(32 * 256 * 256, ge=1, description="of a batch: larger images come in fewer")
    mosaic: Fraction = Field(0.35, description="chance of four photographs in one image")
    smallest: float = Field(10.0, gt=0, description="height of the smallest faces, pixels")
    bare: Fraction = Field(0.5, description="chance that a photograph is one with a bare face, and shows that")
    unmask: Fraction = Field(0.45, description="chance that a bare face is pasted over a masked one")
    pastes: float = Field(1.5, ge=0, description="mean number of faces pasted elsewhere")
    decoys: float = Field(1.0, ge=0, description="mean number of pasted things that are no faces")
    rotate: float = Field(45.0, ge=0, le=180, description="degrees, either way")
    empty: Fraction = Field(0.08, description="chance of an image that shows no person")
    cover: Fraction = Field(0.2, description="chance that a face is partly covered")
    degrade: Fraction = Field(1.0, description="chance of other light and of a worse camera")
    crowd: Fraction = Field(0.0, description="chance of people row behind row instead of single pasted faces")
    cut: Fraction = Field(0.0, description="chance that what is pasted is cut by the image's left or right edge")
    unsharp: Fraction = Field(0.0, description="chance that a pasted face is out of focus")
    aside: Fraction = Field(0.0, description="chance that a pasted face is turned to the left or right")
    skins: Fraction = Field(
        0.0, description="chance of any human skin's colour instead of one of the photographs'"
    )


class Assignment(_Section):
    """Task-aligned assignment (Feng et al. 2021, TOOD, arXiv:2108.07755)."""

    top: int = Field(9, ge=1, description="cells a face at most")
    alpha: float = Field(0.5, ge=0, description="exponent of the score")
    beta: float = Field(4.0, ge=0, description="exponent of the overlap")


class DetectorPhase(Phase):
    """A stretch of epochs with one optimiser, and with changes to how images are made."""

    compose: dict[str, Any] = Field({}, description="what is other than the recipe's `compose`, but for its sizes")
    network: Widths | None = Field(None, description="what the network is widened to when the phase begins")


class DetectorRecipe(_Section):
    """One way to make a detector."""

    kind: Literal["detector"] = "detector"
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    description: str
    network: Widths = Widths()
    compose: Compose = Compose()
    assignment: Assignment = Assignment()
    box_weight: float = Field(2.0, gt=0, description="of the boxes' loss beside the scores'")
    hold_out: float = Field(0.2, gt=0, lt=1, description="of the photographs, for choosing and judging")
    epoch_images: int = Field(4096, ge=1, description="composed images an epoch")
    phases: tuple[DetectorPhase, ...] = Field(min_length=1)
    ema_decay: float = Field(0.998, ge=0, lt=1)
    clip_norm: float = Field(10.0, ge=0)
    workers: int = Field(0, ge=0, description="processes that compose; 0 composes on a thread")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_changes(self) -> Self:
        for phase in self.phases:
            if sizes := {"sides", "pixels"} & phase.compose.keys():
                raise ValueError(
                    f"phase {phase.name} changes {', '.join(sorted(sizes))}, which hold for the whole run"
                )
            self.compose_in(phase)
        return self

    @model_validator(mode="after")
    def _check_growth(self) -> Self:
        before = self.network
        for phase in self.phases:
            after = phase.network or before
            if after.blocks != before.blocks or not all(
                new >= old for new, old in zip(after.channels, before.channels, strict=True)
            ):
                raise ValueError(
                    f"phase {phase.name} has a network that is not the one before it, or that widened"
                )
            before = after
        return self

    def network_in(self, epoch: int) -> Widths:
        """How wide the network is in an epoch, the first of which is 1."""
        widths, begin = self.network, 0
        for phase in self.phases:
            if begin < epoch and phase.network is not None:
                widths = phase.network
            begin += phase.epochs
        return widths

    def compose_in(self, phase: DetectorPhase) -> Compose:
        """How images are made in a phase."""
        return Compose.model_validate(self.compose.model_dump() | phase.compose)

    @property
    def epochs(self) -> int:
        """All phases together."""
        return sum(phase.epochs for phase in self.phases)

    def changed(self, *, seed: int | None = None, epochs: int | None = None) -> "DetectorRecipe":
        """The recipe with another seed, or with phases of at most so many epochs."""
        phases = self.phases
        if epochs is not None:
            phases = tuple(phase.model_copy(update={"epochs": min(phase.epochs, epochs)}) for phase in phases)
        return self.model_copy(update={"seed": self.seed if seed is None else seed, "phases": phases})
