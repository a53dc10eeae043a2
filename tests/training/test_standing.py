import pytest

from tests.training.synthetic import PHASE
from training.config import Phase
from training.loop import Standing


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs"),
    [
        ((0.1, 0.2, 0.2, 0.1, 0.3), 2, 4),
        ((0.5, 0.4, 0.6, 0.5, 0.5), 2, 5),
        ((0.5, 0.4, 0.3, 0.2, 0.1), 1, 2),
        ((0.5, 0.4, 0.3, 0.2, 0.1), 0, 5),
    ],
)
def test_a_phase_ends_after_so_many_epochs_without_a_better_one(
    accuracies: tuple[float, ...], patience: int, epochs: int
) -> None:
    standing, phase = Standing(), Phase.model_validate(PHASE | {"epochs": 5, "patience": patience})
    for accuracy in accuracies:
        if standing.in_phase(phase):
            standing.ended(accuracy)
    assert standing.epoch == standing.phase_epoch == epochs
    assert not standing.in_phase(phase)


def test_the_next_phase_has_patience_again_and_a_best_of_its_own() -> None:
    standing, phase = Standing(), Phase.model_validate(PHASE | {"patience": 1})
    for accuracy in (0.9, 0.8):
        standing.ended(accuracy)
    standing.next_phase()
    assert standing == Standing(epoch=2, phase=1, best=0.9)
    for accuracy in (0.1, 0.2):
        standing.ended(accuracy)
        assert standing.in_phase(phase)
    assert (standing.best, standing.phase_best) == (0.9, 0.2)
