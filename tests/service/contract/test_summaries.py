from fer_service.contract.schemas import BoundingBox, Summary, TimeSummary, TrackedFace
from fer_service.contract.summaries import FaceCounts, FrameCounts, sentence_of

from tests.fakes import QUALITY


def face(track: int, emotion: str, *, uncertain: bool = False) -> TrackedFace:
    return TrackedFace(
        id=track,
        box=BoundingBox(x=0, y=0, width=9, height=9),
        score=None,
        landmarks=None,
        roll=0,
        quality=QUALITY,
        emotion=emotion,
        confidence=0.9,
        uncertain=uncertain,
        reasons=["low confidence"] if uncertain else [],
        probabilities={emotion: 0.9},
        raw_probabilities={emotion: 0.9},
    )


def test_nothing_has_no_share() -> None:
    assert FaceCounts().summary() == Summary(faces=0, emotions={}, uncertain=None)
    assert sentence_of(FaceCounts().summary()) == "0 faces"


def test_faces_are_counted_by_emotion_the_most_frequent_first() -> None:
    counts = FaceCounts()
    counts.add([face(1, "sad")])
    counts.add([face(1, "happy"), face(2, "happy", uncertain=True)])
    summary = counts.summary()
    assert summary == Summary(faces=3, emotions={"happy": 2, "sad": 1}, uncertain=0.3333)
    assert list(summary.emotions) == ["happy", "sad"]
    assert sentence_of(summary) == "3 faces: 2 happy, 1 sad; 33% uncertain"


def test_a_face_counts_once_in_each_frame_and_its_track_once() -> None:
    counts = FrameCounts()
    for faces in ([face(1, "happy")], [], [face(1, "happy"), face(2, "sad")]):
        counts.add(faces)
    expected = TimeSummary(faces=3, emotions={"happy": 2, "sad": 1}, uncertain=0, frames=3, tracks=2)
    assert counts.summary() == expected
    assert sentence_of(expected) == "3 faces in 3 frames: 2 happy, 1 sad; 0% uncertain"
