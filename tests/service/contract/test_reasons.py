import pytest
from fer_service.contract.reasons import reasons_for

from tests.fakes import QUALITY


@pytest.mark.parametrize(
    ("probabilities", "size", "reasons"),
    [
        ((0.4, 0.2, 0.2), 48, ["close call"]),
        ((0.1, 0.45, 0.44), 48, ["close call"]),
        ((0.6, 0.25, 0.15), 48, ["low confidence"]),
        ((0.6, 0.25, 0.15), 20, ["small"]),
        ((0.4, 0.35, 0.25), 20, ["small", "close call"]),
        ((1.0,), 48, ["low confidence"]),
    ],
)
def test_an_uncertain_face_has_at_least_one_reason(
    probabilities: tuple[float, ...], size: int, reasons: list[str]
) -> None:
    quality = QUALITY.model_copy(update={"size": size})
    named = {str(number): value for number, value in enumerate(probabilities)}
    assert reasons_for(quality, named) == reasons
