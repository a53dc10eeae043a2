from pathlib import Path
from typing import Any

import pytest
import yaml
from fer_service.contract.bundle import EndToEnd, Metadata
from fer_training.tasks.emotion.card import card_text, write_card

from tests.fakes import LABELS, metadata


def card(about: Metadata) -> str:
    made = {"description": "Learns by looking.", "seed": 0, "epochs": 3, "selective_accuracy": 0.9}
    return card_text(about.model_copy(update=made))


def front_matter(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    content = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("name", ["FER-2013", "my faces", "faces, cropped", "faces: 2024", "{raw}", "2013", "no"])
def test_the_front_matter_is_valid_yaml_for_any_data_name(name: str) -> None:
    about = metadata(data={"name": name, "splits": {"train": 3}, "sha256": "0" * 64})
    (entry,) = front_matter(card(about))["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == "tiny"
    assert result["dataset"]["name"] == name
    assert result["dataset"]["split"] == "test"
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {"accuracy": 1, "f1": 1, "ece": 0}


def test_the_figures_are_those_of_the_file() -> None:
    metrics = metadata().metrics.model_copy(
        update={"accuracy": 0.6789, "macro_f1": 0.6543, "ece15": 0.0321, "nll": 0.9876, "count": 3589}
    )
    data = {"name": "FER-2013", "splits": {"Training": 28709, "PublicTest": 3589}, "sha256": "ab" * 32}
    text = card(metadata(metrics=metrics.model_dump(), data=data, temperature=1.234, uncertain_below=0.5))
    for figure in ("67.89%", "0.6543", "0.0321", "0.9876", "1.234", "3,589 faces", "ab" * 32):
        assert figure in text
    assert "Training 28,709, PublicTest 3,589" in text
    assert [label for label in LABELS if f"| {label} | 1.000 | 1.000 | 1.000 | 1 |" in text] == list(LABELS)


def test_the_threshold_comes_with_its_share_of_accepted_faces() -> None:
    many = metadata().metrics.model_copy(update={"count": 100})
    text = card(metadata(uncertain_below=0.6, accepted=2 / 3, metrics=many.model_dump()))
    assert "below 0.600" in text
    assert "accepts 66.7% of the faces" in " ".join(text.split())
    assert "90% of the accepted answers are correct" in text


def test_the_weights_that_the_training_started_from_are_named() -> None:
    started = metadata(start={"file": "emotion.onnx", "sha256": "cd" * 32})
    assert f"- Started from the weights of `emotion.onnx`, SHA-256 `{'cd' * 32}`.\n" in card(started)
    assert "Started from" not in card(metadata())


def test_the_teachers_are_named() -> None:
    teachers = [{"file": name, "sha256": letters * 32} for name, letters in (("one", "ab"), ("two.onnx", "cd"))]
    text = card(metadata(teachers=teachers))
    assert f"- Learned the answers of `one`, SHA-256 `{'ab' * 32}`.\n" in text
    assert f"- Learned the answers of `two.onnx`, SHA-256 `{'cd' * 32}`.\n" in text
    assert "Learned the answers" not in card(metadata())


def test_a_threshold_that_few_images_did_not_choose_is_called_a_default() -> None:
    text = card(metadata(uncertain_below=0.7, accepted=2 / 3))
    assert "threshold is a default" in text
    assert "of the accepted answers" not in text


@pytest.mark.parametrize("accepted", [0.0, None])
def test_without_accepted_answers_the_card_does_not_mention_them(accepted: float | None) -> None:
    many = metadata().metrics.model_copy(update={"count": 100}).model_dump()
    assert "of the accepted answers" not in card(metadata(uncertain_below=1.0, accepted=accepted, metrics=many))


def test_the_confusion_matrix_has_one_row_per_true_class() -> None:
    metrics = metadata().metrics.model_copy(update={"confusion": [[8, 1, 2], [0, 7, 3], [4, 5, 6]]})
    text = card(metadata(metrics=metrics.model_dump()))
    assert "| **angry** | 8 | 1 | 2 |" in text
    assert "| **neutral** | 4 | 5 | 6 |" in text


def test_robustness_and_end_to_end_figures_are_listed() -> None:
    measured = EndToEnd(detector="fake", found=0.9, direct=0.7, accuracy=0.69)
    text = card(metadata(robustness={"rotated by 15°": 0.651}, end_to_end=measured.model_dump()))
    assert "| rotated by 15° | 65.10% |" in text
    assert "fake finds 90.0% of the faces" in text
    assert "69.00%" in text
    assert "70.00%" in text


def test_scores_on_other_data_are_listed_by_class() -> None:
    scores = metadata().metrics.model_dump() | {
        "count": 8,
        "accuracy": 0.75,
        "confusion": [[0, 0, 0], [1, 2, 0], [1, 0, 4]],
        "uncertain": 0.25,
        "accepted_accuracy": 5 / 6,
        "uncertain_per_class": {"happy": 2 / 3, "neutral": 0.0},
        "detector": "fake",
        "without_face": 1,
        "several_faces": 2,
    }
    text = " ".join(card(metadata(evaluations={"Portraits (CC0)": scores})).split())
    assert "**Portraits (CC0)**, 8 faces, found by fake in 9 images, 2 of them with several faces" in text
    assert "Accuracy 75.00%, ECE-15 0.0000; 25.0% of the answers are `uncertain`, 83.3% of the others" in text
    assert "| happy | 3 | 2 | 66.7% | angry 1, happy 2 |" in text
    assert "| neutral | 5 | 4 | 0.0% | angry 1, neutral 4 |" in text
    assert "| angry | 0 |" not in text


def test_figures_that_were_not_measured_are_left_out() -> None:
    text = card(metadata())
    assert "Other data" not in text
    assert "Robustness" not in text
    assert "End to end" not in text
    assert "Variant" not in text


def test_the_weakest_classes_are_named_with_what_they_are_taken_for() -> None:
    metrics = metadata().metrics.model_dump()
    metrics["confusion"] = [[1, 3, 6], [0, 9, 1], [0, 5, 5]]
    for label, recall in zip(LABELS, (0.1, 0.9, 0.5), strict=True):
        metrics["per_class"][label]["recall"] = recall
    expected = (
        "- Weakest on test: angry, 10% of 10 recognised, the others most often called neutral; "
        "neutral, 50% of 10 recognised, the others most often called happy.\n"
    )
    assert expected in card(metadata(metrics=metrics))


@pytest.mark.parametrize("name", ["FER-2013", "mine"])
def test_what_is_said_about_fer_2013_is_in_the_cards_of_its_models_only(name: str) -> None:
    text = card(metadata(data={"name": name, "splits": {"train": 3}, "sha256": "0" * 64}))
    assert ("human raters" in text) == (name == "FER-2013")
    assert ("was not measured" in text) == (name != "FER-2013")


def test_the_variant_is_named() -> None:
    assert "- Variant: INT8." in card(metadata(variant="INT8"))


@pytest.mark.parametrize("text", ["# tiny 1.2.3", "Learns by looking.", "Recipe `tiny`, seed 0, 3 epochs", "MIT."])
def test_the_card_names_the_file_and_its_training(text: str) -> None:
    assert text in card(metadata())


def test_the_card_warns_about_bias_and_names_the_law() -> None:
    text = card(metadata())
    assert "Limits and bias" in text
    assert "2024/1689" in text


def test_the_card_is_written_in_utf8(tmp_path: Path) -> None:
    about = metadata(labels=("froh", "müde"))
    write_card(about, tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == card_text(about)
