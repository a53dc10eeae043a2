import math

import pytest
import torch
from fer_training.engine.recipe import Optimizer, Phase, Schedule
from fer_training.engine.schedule import LRSchedule, build_schedule
from fer_training.tasks.emotion.recipe import FromLayer, LastLayers

Trainable = str | FromLayer | LastLayers
STEPS = 10


def phase(epochs: int = 1, **schedule: object) -> Phase:
    return Phase(
        name="a phase",
        epochs=epochs,
        optimizer=Optimizer(lr=0.5),
        schedule=Schedule.model_validate(schedule),
    )


def rates(which: Phase) -> list[float]:
    """Learning-rate factor of every step of a phase, and of the step after it."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=which.optimizer.lr)
    schedule = build_schedule(optimizer, which, STEPS)
    found = [optimizer.param_groups[0]["lr"] / which.optimizer.lr]
    for _ in range(which.epochs * STEPS):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[0]["lr"] / which.optimizer.lr)
    return found


def test_a_constant_rate_is_constant() -> None:
    assert rates(phase(epochs=2, name="constant")) == [1.0] * 21


def test_a_cosine_falls_from_the_full_rate_to_0() -> None:
    found = rates(phase(epochs=2, name="cosine"))
    assert found == pytest.approx([0.5 * (1 + math.cos(math.pi * step / 20)) for step in range(21)])
    assert found[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_a_warm_up_rises_evenly_to_the_full_rate(name: str) -> None:
    found = rates(phase(epochs=3, name=name, warmup_epochs=1))
    assert found[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert found[10] == 1.0
    assert found[-1] == pytest.approx(1.0 if name == "constant" else 0.0, abs=1e-12)


@pytest.mark.parametrize("warmup", [0.05, 0.25, 1.5, 2.99])
def test_no_warm_up_exceeds_the_full_rate(warmup: float) -> None:
    found = rates(phase(epochs=3, name="constant", warmup_epochs=warmup))
    assert max(found) == 1.0


def test_onecycle_rises_for_30_percent_of_the_steps_and_falls_to_almost_nothing() -> None:
    found = rates(phase(epochs=2, name="onecycle"))
    assert found[0] == pytest.approx(0.04)
    assert found[6] == pytest.approx(1.0)
    assert found[:7] == sorted(found[:7])
    assert found[6:] == sorted(found[6:], reverse=True)
    assert found[-1] == pytest.approx(1e-4)


def plateau() -> tuple[LRSchedule, torch.optim.SGD]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    return LRSchedule(optimizer, phase(name="plateau", factor=0.1, patience=2), STEPS), optimizer


def test_a_plateau_reduces_the_rate_when_patience_has_passed_without_a_better_epoch() -> None:
    rate, optimizer = plateau()
    found = []
    for accuracy in (0.3, 0.5, 0.5, 0.4, 0.45, 0.4, 0.2, 0.6):
        for _ in range(STEPS):
            optimizer.step()
            rate.step()
        rate.end_epoch(accuracy)
        found.append(rate.lr)
        assert rate.lr == optimizer.param_groups[0]["lr"]
    assert found == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.05])


def test_a_plateau_schedule_resumes_from_its_state() -> None:
    whole, _ = plateau()
    for accuracy in (0.5, 0.4, 0.4, 0.4):
        whole.end_epoch(accuracy)
    (first, optimizer), (second, other) = plateau(), plateau()
    for accuracy in (0.5, 0.4):
        first.end_epoch(accuracy)
    other.load_state_dict(optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    for accuracy in (0.4, 0.4):
        second.end_epoch(accuracy)
    assert second.lr == whole.lr == pytest.approx(0.05)
    assert second.state_dict() == whole.state_dict()


def test_schedules_by_steps_take_no_notice_of_accuracy() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    rate = LRSchedule(optimizer, phase(epochs=2, name="cosine"), STEPS)
    for _ in range(9):
        rate.end_epoch(0.1)
    assert rate.lr == 0.5
    optimizer.step()
    rate.step()
    assert rate.lr < 0.5
