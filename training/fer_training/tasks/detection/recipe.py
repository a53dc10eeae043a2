"""The detector recipe: all settings of a detector training, as one validated YAML file."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fer_training.engine.recipe import Fraction, Phase, Recipe, Section


class Widths(Section):
    """Channels per layer and separable blocks per stage of the network."""

    stem: int = Field(16, ge=4)
    quarter: int = Field(32, ge=4, description="Channels at stride 4.")
    stages: tuple[int, int, int] = Field((64, 96, 128), description="Channels at strides 8, 16 and 32.")
    blocks: tuple[int, int, int] = Field((3, 3, 3), description="Blocks at strides 8, 16 and 32.")
    neck: int = Field(64, ge=4, description="Channels of the pyramid and the heads.")

    @property
    def channels(self) -> tuple[int, ...]:
        """All channel counts, from the stem to the neck."""
        return self.stem, self.quarter, *self.stages, self.neck


class SceneConfig(Section):
    """Settings of the generated training images."""

    sides: tuple[int, ...] = Field(
        (256,), min_length=1, description="Image sides in pixels; each batch draws one."
    )
    pixels: int = Field(32 * 256 * 256, ge=1, description="Pixels per batch: larger images give smaller batches.")
    mosaic: Fraction = Field(0.35, description="Probability of a mosaic of four photographs.")
    smallest: float = Field(10.0, gt=0, description="Height of the smallest faces in pixels.")
    bare: Fraction = Field(
        0.5, description="Probability of a photograph with a bare face, centred on such a face."
    )
    unmask: Fraction = Field(0.45, description="Probability that a bare face is pasted over a masked face.")
    pastes: float = Field(1.5, ge=0, description="Mean number of faces pasted in other places.")
    decoys: float = Field(1.0, ge=0, description="Mean number of pasted decoys (no faces).")
    rotate: float = Field(45.0, ge=0, le=180, description="Maximum rotation in degrees, both directions.")
    empty: Fraction = Field(0.08, description="Probability of a background without people.")
    cover: Fraction = Field(0.2, description="Probability that a face is partly covered.")
    degrade: Fraction = Field(1.0, description="Probability of image degradation (light, camera, compression).")
    crowd: Fraction = Field(0.0, description="Probability of a crowd instead of single pasted faces.")
    cut: Fraction = Field(0.0, description="Probability that a pasted tile crosses the left or right image edge.")
    unsharp: Fraction = Field(0.0, description="Probability that a pasted face is out of focus.")
    aside: Fraction = Field(0.0, description="Probability that a pasted face is rotated to its left or right.")
    skins: Fraction = Field(
        0.0, description="Probability of a random skin colour instead of one from the photographs."
    )


class Assignment(Section):
    """Task-aligned assignment (Feng et al. 2021, TOOD, arXiv:2108.07755)."""

    top: int = Field(9, ge=1, description="Maximum anchor points per face.")
    alpha: float = Field(0.5, ge=0, description="Exponent of the score.")
    beta: float = Field(4.0, ge=0, description="Exponent of the overlap (IoU).")


class DetectionPhase(Phase):
    """Consecutive epochs with one optimiser, and optional changes of the scenes and of the network's width."""

    scenes: dict[str, Any] = Field(
        {}, description="Values that replace those of the recipe's `scenes`, except sides and pixels."
    )
    network: Widths | None = Field(
        None, description="Widen the network to these widths at the start of the phase."
    )


class DetectionRecipe(Recipe):
    """All settings that make a face detector."""

    task: Literal["detection"]
    network: Widths = Widths()
    scenes: SceneConfig = SceneConfig()
    assignment: Assignment = Assignment()
    box_weight: float = Field(2.0, gt=0, description="Weight of the box loss; the score loss has weight 1.")
    hold_out: float = Field(0.2, gt=0, lt=1, description="Share of photographs held out for evaluation.")
    epoch_images: int = Field(4096, ge=1, description="Generated images per epoch.")
    phases: tuple[DetectionPhase, ...] = Field(min_length=1)
    ema_decay: float = Field(0.998, gt=0, lt=1, description="Decay of the weight average, which is exported.")
    clip_norm: float = Field(10.0, ge=0, description="Maximum gradient norm; 0 disables clipping.")
    workers: int = Field(0, ge=0, description="Worker processes that generate images; 0 uses one thread.")

    @model_validator(mode="after")
    def _check_changes(self) -> Self:
        for phase in self.phases:
            if sizes := {"sides", "pixels"} & phase.scenes.keys():
                raise ValueError(
                    f"phase {phase.name} changes {', '.join(sorted(sizes))}: set them in the recipe's scenes"
                )
            self.scene_config(phase)
        return self

    @model_validator(mode="after")
    def _check_widening(self) -> Self:
        before = self.network
        for phase in self.phases:
            after = phase.network or before
            if after.blocks != before.blocks or not all(
                new >= old for new, old in zip(after.channels, before.channels, strict=True)
            ):
                raise ValueError(
                    f"phase {phase.name} has a narrower network, or other blocks, than the phase before it"
                )
            before = after
        return self

    def widths_of(self, phase: int) -> Widths:
        """Return the network's widths in a phase; the first is 0."""
        changed = [each.network for each in self.phases[: phase + 1] if each.network is not None]
        return changed[-1] if changed else self.network

    def limited(self, images: int | None) -> Self:
        """Return a copy with at most so many images per epoch, and at least one batch; None does not limit it."""
        return self.model_copy(update={"epoch_images": min(self.epoch_images, images or self.epoch_images)})

    def scene_config(self, phase: DetectionPhase) -> SceneConfig:
        """Return the scene settings of a phase."""
        return SceneConfig.model_validate(self.scenes.model_dump() | phase.scenes)
