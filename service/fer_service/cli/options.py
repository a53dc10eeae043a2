"""Options that several commands have."""

from typing import Annotated, TypeAlias

import typer

from fer_service.contract.settings import Settings, load_settings

MinScore: TypeAlias = Annotated[
    float | None, typer.Option(min=0, max=1, help="Minimum score of the detector.", show_default="FER_MIN_SCORE")
]
MaxFaces: TypeAlias = Annotated[int | None, typer.Option(help="Maximum faces per image, the largest first.")]
Model: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Emotion model: bundled, large, or the path of a model file.", show_default="FER_MODEL"),
]
Detector: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Face detector: auto, own, yunet, haar, or the path of a file.", show_default="FER_DETECTOR"
    ),
]


def check_max_faces(max_faces: int | None, settings: Settings) -> None:
    """Refuse a value that every image would be refused for.

    Raises:
        typer.BadParameter: it is out of range.
    """
    if max_faces is not None and not 1 <= max_faces <= settings.max_faces:
        raise typer.BadParameter(f"--max-faces must be 1 to {settings.max_faces} (FER_MAX_FACES), not {max_faces}")


def chosen_settings(model: str | None, detector: str | None, min_score: float | None) -> Settings:
    """Return the settings of the environment, replaced by the options that are given.

    Raises:
        SettingsError: one of them is invalid.
    """
    given = {"model": model, "detector": detector, "min_score": min_score}
    return load_settings(**{name: value for name, value in given.items() if value is not None})
