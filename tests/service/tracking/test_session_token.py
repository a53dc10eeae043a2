import time

import pytest
from fer_service.contract.boxes import Box
from fer_service.contract.schemas import BoundingBox, FaceEmotion, ImageSize, ModelName, Prediction
from fer_service.tracking.session_token import MAX_AGE, InvalidToken, SessionTokens

from tests.fakes import LABELS, QUALITY

KEY = "a secret of the service"
MAX_URL = 8192


def tokens(key: str = KEY, model: str = "abc", labels: tuple[str, ...] = LABELS) -> SessionTokens:
    return SessionTokens(key, model, labels, 0.5)


def prediction(*boxes: Box, labels: tuple[str, ...] = LABELS, first: float = 0.7) -> Prediction:
    probabilities = dict.fromkeys(labels, (1 - first) / (len(labels) - 1)) | {labels[0]: first}
    faces = [
        FaceEmotion(
            box=BoundingBox(x=int(box.x), y=int(box.y), width=int(box.width), height=int(box.height)),
            score=0.9,
            landmarks=None,
            roll=0,
            quality=QUALITY,
            emotion=labels[0],
            confidence=first,
            uncertain=False,
            reasons=[],
            probabilities=probabilities,
        )
        for box in boxes
    ]
    return Prediction(image=ImageSize(width=640, height=480), faces=faces, model=ModelName(name="m", version="1"))


def test_a_session_goes_on_as_if_it_had_not_been_written() -> None:
    kept, issuer = tokens().start(0.5), tokens()
    token = issuer.write(issuer.start(0.5))
    for step in range(6):
        now = 1_900_000_000 + 0.4 * step
        image = prediction(Box(10 + 20 * step, 40, 60, 60), Box(400, 50, 80, 80), first=0.5 + 0.05 * step)
        expected, session = kept.update(image, now), tokens().read(token, 0.5)
        found = session.update(image, now)
        assert [face.id for face in found] == [face.id for face in expected] == [1, 2]
        for one, other in zip(found, expected, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=2e-4)
        token = issuer.write(session)


def test_a_face_is_remembered_for_seconds_and_no_id_comes_twice() -> None:
    issuer = tokens()
    session = issuer.start(0)
    assert session.update(prediction(Box(0, 0, 50, 50)), 100.0)[0].id == 1
    session = issuer.read(issuer.write(session), 0)
    session.update(prediction(), 100 + MAX_AGE / 2)
    session = issuer.read(issuer.write(session), 0)
    assert session.update(prediction(Box(2, 0, 50, 50)), 100 + MAX_AGE - 0.1)[0].id == 1
    session = issuer.read(issuer.write(session), 0)
    assert session.update(prediction(Box(2, 0, 50, 50)), 200 + MAX_AGE)[0].id == 2


def test_a_token_is_for_one_key_and_one_model() -> None:
    session = tokens().start(0.5)
    session.update(prediction(Box(0, 0, 50, 50)), time.time())
    token = tokens().write(session)
    assert tokens().read(token, 0.5).tracker.next_id == 2
    for other in (tokens(key="another secret"), tokens(model="def")):
        with pytest.raises(InvalidToken):
            other.read(token, 0.5)


def test_changed_tokens_are_refused() -> None:
    session = tokens().start(0.5)
    session.update(prediction(Box(0, 0, 50, 50)), time.time())
    token = tokens().write(session)
    places = range(0, len(token) - 1, 3)
    changed = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in places]
    for text in (*changed, token[:-4], token + "AAAA", "", "=", "new", "é", "\0", "A" * 20_000, token[::-1]):
        with pytest.raises(InvalidToken):
            tokens().read(text, 0.5)


@pytest.mark.parametrize("count", [1, 100, 1000])
@pytest.mark.parametrize("labels", [2, 7, 500])
def test_the_largest_token_fits_into_a_url(count: int, labels: int) -> None:
    names = tuple(f"class {number}" for number in range(labels))
    issuer = tokens(labels=names)
    session = issuer.start(0.5)
    boxes = [Box(97 * n % 4000, 61 * n % 3000, 30 + n % 50, 31 + n % 47) for n in range(count)]
    for step in range(3):
        moved = [Box(box.x + step, box.y, box.width, box.height) for box in boxes]
        session.update(prediction(*moved, labels=names, first=0.4 + step / 10), 1_900_000_000 + step / 3)
    token = issuer.write(session)
    assert len(token) < MAX_URL - 1024
    assert issuer.read(token, 0.5).tracker.next_id == session.tracker.next_id
