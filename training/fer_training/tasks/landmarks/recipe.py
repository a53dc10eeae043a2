"""The landmark recipe: all settings of a training, as one validated YAML file."""

from typing import Annotated, Final, Literal

from pydantic import Field

from fer_training.engine.recipe import Fraction, Recipe, Section

SIDE: Final = 48  # of the images in pixels, as FER-2013's
Channels = Annotated[int, Field(ge=2, le=1024)]


class Changes(Section):
    """How training images differ from the faces. Normal distributions have these standard deviations."""

    around: Fraction = Field(0.25, description="Probability of a uniform rotation of any angle.")
    turned: Fraction = Field(0.4, description="Probability of a uniform rotation up to `turn`.")
    turn: float = Field(60.0, ge=0, le=180, description="Maximum of that rotation in degrees, both directions.")
    tilt: float = Field(10.0, ge=0, le=180, description="Rotation of the others in degrees (normal distribution).")
    scale: float = Field(0.12, ge=0, le=1, description="Logarithm of the scale.")
    shift: float = Field(0.08, ge=0, le=1, description="Shift in half sides.")
    coarse: Fraction = Field(0.3, description="Probability that a batch has fewer pixels.")
    noise: Fraction = Field(0.3, description="Probability that a batch is noisy.")


class LandmarkRecipe(Recipe):
    """All settings that make a landmark network."""

    task: Literal["landmarks"]
    widths: tuple[Channels, Channels, Channels, Channels] = Field(
        (16, 64, 96, 128), description="Channels at strides 2, 4, 8 and 16."
    )
    changes: Changes = Changes()
    batch_size: int = Field(128, ge=2)
    near: float = Field(0.02, gt=0, le=1, description="Distance in sides below which the loss is quadratic.")
