import pytest
from fer_training.engine.recipe import Phase
from fer_training.engine.state import TrainState

from tests.training.synthetic import PHASE


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
    state, phase = TrainState(), Phase.model_validate(PHASE | {"epochs": 5, "patience": patience})
    for accuracy in accuracies:
        if state.in_phase(phase):
            state.end_epoch(accuracy)
    assert state.epoch == state.phase_epoch == epochs
    assert not state.in_phase(phase)


def test_the_next_phase_resets_patience_and_best_accuracy() -> None:
    state, phase = TrainState(), Phase.model_validate(PHASE | {"patience": 1})
    for accuracy in (0.9, 0.8):
        state.end_epoch(accuracy)
    state.next_phase()
    assert state == TrainState(epoch=2, phase=1, best=0.9)
    for accuracy in (0.1, 0.2):
        state.end_epoch(accuracy)
        assert state.in_phase(phase)
    assert (state.best, state.phase_best) == (0.9, 0.2)
