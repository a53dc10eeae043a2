import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fer_service.analysis.analyzer import Analyzer
from fer_service.contract.boxes import Box
from fer_service.contract.bundle import Evaluation
from fer_service.contract.errors import BundleError
from fer_service.contract.job import Job
from fer_service.detection.detector import Face
from fer_training.data import FaceDataset, load_dataset
from fer_training.data.images import FileImages
from fer_training.errors import DataError
from fer_training.tasks.emotion.labelled_images import (
    EvaluatedImages,
    evaluate_file,
    evaluate_images,
    with_labels,
)
from numpy.typing import NDArray
from rich.console import Console

from tests.conftest import encode_image
from tests.fakes import FakeClassifier, FakeDetector, metadata

Pixels = NDArray[np.uint8]
WriteFolders = Callable[[dict[str, list[Pixels]]], Path]
RED, GREEN, BLUE = (np.full((60, 50, 3), colour, np.uint8) for colour in np.eye(3, dtype=np.uint8) * 200)


@pytest.fixture
def folders(tmp_path: Path) -> WriteFolders:
    """Return a function that writes images as <class>/NUMBER.png and returns the root."""

    def write(content: dict[str, list[Pixels]]) -> Path:
        root = tmp_path / "outside"
        for label, images in content.items():
            (root / label).mkdir(parents=True)
            for number, image in enumerate(images):
                (root / label / f"{number}.png").write_bytes(encode_image(image, ".png"))
        return root

    return write


class HalvesAsFaces(FakeDetector):
    """Finds a face in the left 60 columns and a smaller one in the others, unless they are black."""

    def detect(self, pixels: Pixels, min_score: float, job: Job | None = None) -> list[Face]:
        found = [(Box(60, 0, 40, 60), pixels[:, 60:]), (Box(0, 0, 60, 60), pixels[:, :60])]
        return [Face(box, 0.9) for box, half in found if half.any()]


def halves(left: tuple[int, int, int], right: tuple[int, int, int] = (0, 0, 0)) -> Pixels:
    """An image uint8 [60, 100, 3] for `HalvesAsFaces`."""
    return np.hstack([np.full((60, width, 3), colour, np.uint8) for width, colour in ((60, left), (40, right))])


@pytest.fixture
def marked(folders: WriteFolders) -> FaceDataset:
    """Four images of three happy faces, one of them doubtful and one beside an angry face."""
    happy = [halves((0, 200, 0)), halves((0, 200, 0), (200, 0, 0)), halves((80, 100, 80))]
    root = folders({"happy": happy, "neutral": [halves((0, 0, 0))]})
    return with_labels(load_dataset(root, 48, in_memory_bytes=0), metadata(), {})[0]


def evaluated(faces: FaceDataset, uncertain_below: float = 0.5) -> tuple[Evaluation, tuple[str, ...]]:
    classifier = FakeClassifier(bundle_metadata=metadata(uncertain_below=uncertain_below))
    return evaluate_images(Analyzer(HalvesAsFaces(), classifier), faces)


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Faces in the colours that `tiny_bundle` classifies, one with a wrong label, and a fourth class."""
    red, green, blue = np.eye(3, dtype=np.uint8) * 200
    content: dict[str, list[NDArray[np.uint8]]] = {
        "angry": [red, red], "happy": [green, blue], "neutral": [blue], "contempt": [red, red, red]
    }  # fmt: skip
    for label, images in content.items():
        folder = tmp_path / "test" / label
        folder.mkdir(parents=True)
        for number, colour in enumerate(images):
            (folder / f"{number}.png").write_bytes(encode_image(np.full((60, 50, 3), colour, np.uint8), ".png"))
    return tmp_path


def test_a_file_is_evaluated_with_onnxruntime_on_its_classes(tiny_bundle: Path, colours: Path) -> None:
    metrics = evaluate_file(tiny_bundle, colours, "test").evaluation
    assert metrics.confusion == [[2, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert (metrics.count, metrics.accuracy, metrics.split) == (5, 0.8, "test")


def test_a_split_that_is_not_there_is_refused(tiny_bundle: Path, colours: Path) -> None:
    with pytest.raises(DataError, match="no split 'PublicTest'; available: test"):
        evaluate_file(tiny_bundle, colours, "PublicTest")


def test_a_file_that_is_not_a_bundle_is_refused(tmp_path: Path, colours: Path) -> None:
    path = tmp_path / "no.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(BundleError, match=r"no\.onnx"):
        evaluate_file(path, colours, "test")


def test_classes_with_names_of_their_own_are_scored(tiny_bundle: Path, folders: WriteFolders) -> None:
    root = folders({"smile": [GREEN, GREEN, BLUE], "neutral": [BLUE]})
    evaluation = evaluate_file(tiny_bundle, root, names={"smile": "happy"}).evaluation
    assert (evaluation.split, evaluation.count, evaluation.accuracy) == ("all", 4, 0.75)
    assert evaluation.confusion == [[0, 0, 0], [0, 2, 1], [0, 0, 1]]
    assert evaluation.detector is None


def test_labels_without_images_do_not_lower_macro_f1(tiny_bundle: Path, folders: WriteFolders) -> None:
    evaluation = evaluate_file(tiny_bundle, folders({"happy": [GREEN], "neutral": [BLUE]})).evaluation
    assert evaluation.macro_f1 == 1
    assert evaluation.per_class["angry"].support == 0


def test_two_classes_can_share_a_label_and_others_are_left_out(tiny_bundle: Path, folders: WriteFolders) -> None:
    root = folders({"smile": [GREEN], "laugh": [GREEN], "contempt": [RED, RED]})
    evaluated = evaluate_file(tiny_bundle, root, names={"smile": "happy", "laugh": "happy"})
    assert evaluated.evaluation.count == 2
    assert evaluated.left_out == {"contempt": 2}
    assert evaluated.name == "outside"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"smile": "joy"}, "the model has no label 'joy'; its labels: angry, happy, neutral"),
        ({"smirk": "happy"}, "the data has no class 'smirk'; its classes: frown, smile"),
        ({}, r"no class of outside is a label of the model.*Name their labels: --map smile=happy"),
    ],
    ids=["label", "class", "none"],
)
def test_names_that_do_not_fit_are_refused(
    tiny_bundle: Path, folders: WriteFolders, names: dict[str, str], message: str
) -> None:
    root = folders({"smile": [GREEN], "frown": [RED]})
    with pytest.raises(DataError, match=message):
        evaluate_file(tiny_bundle, root, names=names)


def test_images_that_were_held_out_of_other_data_are_unknown(tiny_bundle: Path, folders: WriteFolders) -> None:
    with pytest.raises(DataError, match=r"outside is not the training data of this model, or has changed since"):
        evaluate_file(tiny_bundle, folders({"happy": [GREEN]}), "held-out")


def test_of_several_splits_one_must_be_chosen(tiny_bundle: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split / "happy").mkdir(parents=True)
        (tmp_path / split / "happy" / "0.png").write_bytes(encode_image(GREEN, ".png"))
    with pytest.raises(DataError, match="has the splits test, train: choose one with --split"):
        evaluate_file(tiny_bundle, tmp_path)
    assert evaluate_file(tiny_bundle, tmp_path, "test").evaluation.count == 1


def test_unreadable_files_are_listed(tiny_bundle: Path, folders: WriteFolders) -> None:
    root = folders({"happy": [GREEN]})
    (root / "happy" / "broken.png").write_bytes(b"no image")
    (reason,) = evaluate_file(tiny_bundle, root).unreadable
    assert "broken.png" in reason


def test_the_largest_detected_face_is_scored_and_faces_are_counted(marked: FaceDataset) -> None:
    evaluation, unread = evaluated(marked)
    assert (evaluation.detector, evaluation.without_face, evaluation.several_faces) == ("fake", 1, 1)
    assert (evaluation.count, evaluation.confusion[1]) == (3, [0, 3, 0])
    assert unread == ()


def test_answers_below_the_threshold_are_uncertain(marked: FaceDataset) -> None:
    evaluation, _ = evaluated(marked)
    assert evaluation.uncertain == pytest.approx(1 / 3, abs=1e-5)
    assert evaluation.uncertain_per_class == {"happy": evaluation.uncertain}
    assert evaluation.accepted_accuracy == 1


def test_without_accepted_answers_there_is_no_accuracy_of_them(marked: FaceDataset) -> None:
    evaluation, _ = evaluated(marked, uncertain_below=1.0)
    assert (evaluation.uncertain, evaluation.accepted_accuracy) == (1, None)


def test_a_file_that_breaks_off_is_listed_and_not_scored(marked: FaceDataset) -> None:
    assert isinstance(marked.images, FileImages)
    path = marked.images.paths[0]
    path.write_bytes(path.read_bytes()[:60])
    evaluation, (reason,) = evaluated(marked)
    assert evaluation.count == 2
    assert str(path) in reason


def test_a_detector_that_finds_nothing_leaves_nothing_to_score(marked: FaceDataset) -> None:
    with pytest.raises(DataError, match="fake finds no face in 4 images of outside"):
        evaluate_images(Analyzer(FakeDetector(), FakeClassifier()), marked)


def test_detection_needs_image_files(tiny_bundle: Path, parquet_file: Path) -> None:
    with pytest.raises(DataError, match="a detector needs image files: give --data a folder, not FER-2013"):
        evaluate_file(tiny_bundle, parquet_file, "PublicTest", detector="haar")


def test_the_services_detector_finds_the_face(tiny_bundle: Path, astronaut: Pixels, folders: WriteFolders) -> None:
    sideways = np.ascontiguousarray(np.rot90(astronaut))
    root = folders({"happy": [astronaut, sideways, astronaut[200:400, :200]]})
    evaluation = evaluate_file(tiny_bundle, root, detector="own").evaluation
    assert (evaluation.count, evaluation.without_face) == (2, 1)


def test_people_read_the_counts_and_shares(marked: FaceDataset) -> None:
    text = io.StringIO()
    EvaluatedImages("outside", evaluated(marked)[0], {}, (), None).print_to(Console(file=text, width=140))
    lines = text.getvalue().splitlines()
    assert lines[0] == "fake: 4 images, 1 without a face, 1 with several (the largest is scored)"
    assert lines[-1] == "uncertain: 33.3% of the answers (happy 33.3%); 100.0% of the others are correct"
    assert not any(line.strip(" │").startswith(("angry", "neutral")) for line in lines)
