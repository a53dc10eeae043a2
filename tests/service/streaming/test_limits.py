from collections.abc import Callable

import pytest
from fer_service.streaming.limits import BAD_FRAMES, BURST, FRAMES_PER_SECOND, FrameLimits, StreamClosed


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("rate", [1, 60, FRAMES_PER_SECOND])
def test_a_camera_may_send_for_ever(rate: int) -> None:
    clock = Clock()
    limits = FrameLimits(clock)
    for _ in range(5000):
        clock.now += 1 / rate
        limits.arrived()


def test_a_burst_is_allowed_and_no_more() -> None:
    clock = Clock()
    limits = FrameLimits(clock)
    for _ in range(BURST):
        limits.arrived()
    with pytest.raises(StreamClosed, match="120 frames per second"):
        limits.arrived()
    clock.now += 1
    for _ in range(FRAMES_PER_SECOND):
        limits.arrived()
    with pytest.raises(StreamClosed):
        limits.arrived()


def test_bad_frames_count_in_a_row() -> None:
    limits = FrameLimits(Clock())
    for _ in range(BAD_FRAMES - 1):
        limits.bad()
    limits.good()
    for _ in range(BAD_FRAMES - 1):
        limits.bad()
    with pytest.raises(StreamClosed, match="100 frames in a row"):
        limits.bad()


@pytest.mark.parametrize("count", [FrameLimits.arrived, FrameLimits.bad])
def test_a_reason_fits_into_a_close_frame(count: Callable[[FrameLimits], None]) -> None:
    limits = FrameLimits(Clock())

    def flood() -> None:
        for _ in range(BURST + 1):
            count(limits)

    with pytest.raises(StreamClosed) as closed:
        flood()
    assert len(str(closed.value).encode()) <= 123
