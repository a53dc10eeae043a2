import pytest
from fer_service.video.sampling import Sampling


def taken(every: float, times: list[float]) -> list[float]:
    sampling = Sampling(every)
    return [time for time in times if sampling.takes(time)]


def test_zero_takes_every_frame() -> None:
    times = [0.0, 0.0, 0.1, 5.0]
    assert taken(0.0, times) == times


@pytest.mark.parametrize("rate", [10, 24, 29.97, 60])
def test_frames_are_taken_at_regular_times(rate: float) -> None:
    times = taken(0.5, [number / rate for number in range(600)])
    assert len(times) == int(599 / rate / 0.5) + 1
    assert all(abs(time - 0.5 * number) <= 1 / rate for number, time in enumerate(times))


def test_a_late_frame_does_not_delay_the_next_ones() -> None:
    assert taken(1.0, [0.0, 0.9, 1.8, 2.0, 2.5, 3.00005]) == [0.0, 1.8, 2.0, 3.00005]
