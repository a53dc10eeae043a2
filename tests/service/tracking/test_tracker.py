import itertools

import pytest
from fer_service.contract.boxes import Box
from fer_service.tracking.tracker import Tracker

FRAME = 1 / 15


def face(x: float, y: float = 100, side: float = 60) -> Box:
    return Box(x - side / 2, y - side / 2, side, side)


def moving(start: float, speed: float, frames: int) -> list[float]:
    """Positions at a speed in pixels a second."""
    return [start + speed * FRAME * n for n in range(frames)]


def test_a_face_keeps_its_id_and_a_new_one_gets_the_next() -> None:
    tracker = Tracker()
    assert tracker.update([face(100)], 0) == [1]
    assert tracker.update([face(103), face(400)], FRAME) == [1, 2]
    assert tracker.update([face(402), face(106)], 2 * FRAME) == [2, 1]


@pytest.mark.parametrize("speed", [90, 200, 600, 900])
def test_faces_that_cross_keep_their_ids(speed: float) -> None:
    tracker = Tracker()
    frames = int(600 / (speed * FRAME))
    rightward, leftward = moving(50, speed, frames), moving(650, -speed, frames)
    for number, (right, left) in enumerate(zip(rightward, leftward, strict=True)):
        # Detectors report in no order.
        pair = [face(right), face(left)] if number % 2 else [face(left), face(right)]
        ids = tracker.update(pair, number * FRAME)
        if number == 0:
            first, second = ids
    assert rightward[-1] > leftward[-1]
    assert (ids if number % 2 == 0 else ids[::-1]) == [first, second]


def test_a_face_hidden_behind_another_keeps_its_id() -> None:
    tracker = Tracker()
    for number, (right, left) in enumerate(zip(moving(100, 300, 20), moving(500, -300, 20), strict=True)):
        hidden = abs(right - left) < 50
        boxes = [face(right)] if hidden else [face(right), face(left)]
        ids = tracker.update(boxes, number * FRAME)
    assert ids == [1, 2]


def test_missed_detections_do_not_change_an_id() -> None:
    tracker = Tracker(max_age=1.0)
    positions = moving(100, 120, 40)
    ids: set[int] = set()
    for number, position in enumerate(positions):
        missed = 5 <= number % 10 < 8
        ids |= set(tracker.update([] if missed else [face(position)], number * FRAME))
    assert ids == {1}


def test_a_face_keeps_its_id_until_the_maximum_age() -> None:
    tracker = Tracker(max_age=1.0)
    tracker.update([face(100)], 0)
    assert tracker.update([], 0.5) == []
    assert tracker.update([face(104)], 1.0) == [1]
    assert tracker.update([], 1.5) == []
    assert tracker.update([face(104)], 2.01) == [2]
    assert tracker.update([face(104)], 3.02) == [3]


def test_ids_are_not_reused() -> None:
    tracker = Tracker(max_age=0.1)
    seen = [tracker.update([face(100)], float(second))[0] for second in range(10)]
    assert seen == list(range(1, 11))


def test_a_short_jump_without_overlap_is_the_same_face() -> None:
    tracker = Tracker()
    tracker.update([face(100)], 0)
    assert tracker.update([face(155)], FRAME) == [1]
    assert tracker.update([face(300)], 2 * FRAME) == [2]


def test_a_face_of_a_very_different_size_is_another_face() -> None:
    tracker = Tracker()
    tracker.update([face(100, side=40)], 0)
    assert tracker.update([face(110, side=120)], FRAME) == [2]


def test_the_better_overlap_wins_in_every_order() -> None:
    for order in itertools.permutations(range(2)):
        tracker = Tracker()
        tracker.update([face(100), face(130)], 0)
        boxes = [face(104), face(133)]
        ids = tracker.update([boxes[index] for index in order], FRAME)
        assert ids == [index + 1 for index in order]


def test_a_fast_face_keeps_its_id_when_it_passes_another() -> None:
    tracker = Tracker()
    for number, position in enumerate(moving(0, 900, 14)):
        ids = tracker.update([face(300), face(position)], number * FRAME)
        assert ids == [1, 2]


def test_two_frames_may_have_the_same_time() -> None:
    tracker = Tracker()
    assert tracker.update([face(100)], 1.0) == [1]
    assert tracker.update([face(105)], 1.0) == [1]
    assert tracker.update([face(110)], 1.0 + FRAME) == [1]


def test_old_tracks_are_dropped() -> None:
    tracker = Tracker(max_age=1.0)
    tracker.update([face(100), face(300)], 0)
    tracker.update([face(100)], 0.9)
    assert {track.id for track in tracker.tracks} == {1, 2}
    tracker.update([face(100)], 1.1)
    assert {track.id for track in tracker.tracks} == {1}


@pytest.mark.parametrize(("keeps_last", "ids"), [(True, [1, 1, 1]), (False, [1, 2, 3])])
def test_a_slow_video_keeps_the_faces_of_its_last_frame(keeps_last: bool, ids: list[int]) -> None:
    tracker = Tracker(keeps_last=keeps_last)
    assert [tracker.update([Box(10, 10, 50, 50)], time)[0] for time in (0.0, 2.0, 60.0)] == ids


def test_a_face_that_a_slow_video_has_lost_is_forgotten() -> None:
    tracker = Tracker(keeps_last=True)
    assert [tracker.update(boxes, time) for time, boxes in ((0.0, [Box(10, 10, 50, 50)]), (2.0, []))] == [[1], []]
    assert tracker.update([Box(10, 10, 50, 50)], 4.0) == [2]
