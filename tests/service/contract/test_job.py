import time

import pytest
from fer_service.contract.errors import DeadlineExceeded
from fer_service.contract.job import Job, Stage, total_seconds


def test_stages_add_up_in_the_order_in_which_they_first_ran() -> None:
    job = Job()
    for stage in (Stage.DECODE, Stage.DETECT, Stage.DECODE):
        with job.stage(stage):
            pass
    assert list(job.seconds) == ["decode", "detect"]
    assert min(job.seconds.values()) >= 0


def test_the_seconds_of_several_images_are_added_up() -> None:
    images = [{Stage.DECODE: 1.0, Stage.DETECT: 2.0}, {Stage.DETECT: 3.0, Stage.DRAW: 4.0}]
    assert total_seconds(images) == {Stage.DECODE: 1.0, Stage.DETECT: 5.0, Stage.DRAW: 4.0}
    assert total_seconds([]) == {}


def test_time_in_a_queue_is_not_charged_to_the_stage_around_it() -> None:
    job = Job()
    with job.stage(Stage.INFER):
        began = time.perf_counter()
        while time.perf_counter() - began < 0.005:
            pass
        job.queued(0.004)
    assert job.seconds[Stage.QUEUE] == 0.004
    assert 0.001 <= job.seconds[Stage.INFER] < 1


def test_a_deadline_that_has_passed_names_what_was_waited_for() -> None:
    Job().check_deadline("a free thread")
    with pytest.raises(DeadlineExceeded, match="request timed out while waiting for a free thread"):
        Job(time.monotonic() - 1).check_deadline("a free thread")


def test_cancelled_work_is_expired() -> None:
    job = Job()
    assert not job.expired()
    job.cancel()
    assert job.expired()
