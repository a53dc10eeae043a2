from pathlib import Path

import numpy as np
import pytest
from fer_benchmarks import groups
from fer_benchmarks.groups import Answer, Portrait, interval, read_portraits, rows, skin_angle, thirds
from fer_service.analysis.analyzer import Analyzer
from fer_service.contract.boxes import Box
from fer_service.contract.schemas import BoundingBox, FaceEmotion, Landmarks
from fer_service.detection.detector import Face

from tests.fakes import QUALITY, FakeClassifier, FakeDetector

# Right eye, left eye, nose, right and left corner of the mouth.
POINTS = ((160.0, 120.0), (240.0, 120.0), (200.0, 160.0), (160.0, 200.0), (240.0, 200.0))
EYES = {"right_eye": (160, 120), "left_eye": (240, 120), "nose": (200, 160)}
FACE = FaceEmotion(
    box=BoundingBox(x=120, y=60, width=160, height=200),
    score=0.9,
    landmarks=Landmarks(**EYES, mouth_right=(160, 200), mouth_left=(240, 200)),
    roll=0.0,
    quality=QUALITY,
    emotion="happy",
    confidence=0.9,
    uncertain=False,
    reasons=[],
    probabilities={"happy": 0.9},
)


@pytest.fixture
def portraits(tmp_path: Path, astronaut_jpeg: bytes) -> Path:
    """Four people, each neutral and smiling, in folders by class."""
    for kind in ("neutral", "smile"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "data" / kind / f"person-{number}.jpg").write_bytes(astronaut_jpeg)
    return tmp_path / "data"


def test_the_program_prints_counts_by_group(
    portraits: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    people = portraits.parent / "people.csv"
    people.write_text("id,gender,age\nperson-0,female,20\nperson-1,male,30\nperson-2,male,40\nperson-3,NA,NA\n")
    options = ["--data", str(portraits), "--map", "smile=happy", "--model", str(tiny_bundle), "--detector", "own"]
    options += ["--people", str(people), "--by", "gender", "--by", "age", "--by", "name", "--exposure", "0.5", "1"]
    monkeypatch.setattr("sys.argv", ["groups", *options])
    groups.main()
    printed = capsys.readouterr().out
    assert [
        sum(f" {group} " in line for line in printed.splitlines())
        for group in ("female", "male", "20 to 20", "person", "NA")
    ] == [4, 4, 4, 4, 0]  # two classes, two exposures
    assert "of 4, " in printed


@pytest.mark.parametrize(("options", "message"), [([], "give --people"), (["--people", "p.csv"], "no such")])
def test_an_unknown_group_is_refused(
    options: list[str], message: str, portraits: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(portraits.parent)
    Path("p.csv").write_text("id,age\nperson-0,20\n")
    arguments = ["--data", str(portraits), "--model", str(tiny_bundle), "--detector", "own", "--by", "height"]
    monkeypatch.setattr("sys.argv", ["groups", *arguments, *options])
    with pytest.raises(SystemExit, match=message):
        groups.main()


def test_a_folder_without_classes_has_no_labels(portraits: Path) -> None:
    found = read_portraits(portraits / "smile", {})
    assert [(each.name, each.label) for each in found[:2]] == [("person-0", None), ("person-1", None)]
    assert {each.label for each in read_portraits(portraits, {"smile": "happy"})} == {"happy", "neutral"}


def test_an_image_without_a_face_counts_as_wrong() -> None:
    images = [Portrait(name, "happy", Path()) for name in "abc"]
    answers = [Answer("happy"), Answer("neutral", uncertain=True), Answer(None)]
    ((group, label, correct, uncertain, listed),) = rows(images, answers, dict.fromkeys("abc", "women"))
    assert (group, label) == ("women", "happy")
    assert correct == uncertain == "1 of 3, 33% (6%–79%)"
    assert listed == "happy 1, neutral 1, no face 1"


def test_people_of_no_known_group_are_left_out() -> None:
    images = [Portrait(name, None, Path()) for name in "ab"]
    assert rows(images, [Answer("sad"), Answer("sad")], {"a": "men"}) == [
        ("men", "", "", "0 of 1, 0% (0%–79%)", "sad 1")
    ]


def test_the_interval_is_wilsons() -> None:
    # By the formula with z = 1.96: 0.386 to 0.576, and 0 to 0.278.
    assert interval(49, 102) == "49 of 102, 48% (39%–58%)"
    assert interval(0, 10) == "0 of 10, 0% (0%–28%)"


def test_thirds_have_equal_sizes_and_name_their_values() -> None:
    found = thirds({str(value): float(value) for value in range(9)})
    assert [found[str(value)] for value in range(9)] == ["0 to 2"] * 3 + ["3 to 5"] * 3 + ["6 to 8"] * 3


@pytest.mark.parametrize(
    ("colour", "angle"),
    [
        # From scikit-image's rgb2lab.
        pytest.param((235, 200, 178), 65, id="light"),
        pytest.param((92, 60, 44), -54, id="dark"),
    ],
)
def test_the_skin_angle_is_that_of_the_cheeks(colour: tuple[int, int, int], angle: float) -> None:
    pixels = np.zeros((400, 400, 3), np.uint8)
    pixels[140:180] = colour
    assert skin_angle(pixels, FACE) == pytest.approx(angle, abs=2)


def test_skin_needs_landmarks() -> None:
    with pytest.raises(ValueError, match="landmarks"):
        skin_angle(np.zeros((400, 400, 3), np.uint8), FACE.model_copy(update={"landmarks": None}))


def test_skin_is_measured_where_the_detector_has_landmarks(portraits: Path) -> None:
    images = read_portraits(portraits / "smile", {})
    marked = Analyzer(FakeDetector(Face(Box(120, 60, 160, 200), 0.9, POINTS)), FakeClassifier())
    assert set(groups.skin_angles(images, marked)) == {f"person-{number}" for number in range(4)}
    assert groups.skin_angles(images, Analyzer(FakeDetector(), FakeClassifier())) == {}
