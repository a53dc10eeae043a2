from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from service.inference.bundle import Metadata
from tests.fakes import LABELS, metadata
from tests.training.synthetic import make_recipe
from training.card import card_text, write_card

CONFIDENCE = np.array([0.9, 0.4, 0.6], np.float32)


def card(about: Metadata) -> str:
    return card_text(
        about.model_copy(update={"selective_accuracy": 0.9}),
        make_recipe(description="Learns by looking."),
        CONFIDENCE,
    )


def front_matter(text: str) -> dict[str, Any]:
    assert text.startswith("---\n")
    content = yaml.safe_load(text.split("---\n")[1])
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("name", ["FER-2013", "my faces", "faces, cropped", "faces: 2024", "{raw}", "2013", "no"])
def test_the_front_matter_is_yaml_whatever_the_data_is_called(name: str) -> None:
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


def test_the_share_of_accepted_faces_is_counted_at_the_threshold() -> None:
    text = card(metadata(uncertain_below=0.6))
    assert "below 0.600" in text
    assert "accepts 66.7% of the faces" in " ".join(text.split())
    assert "90% of the accepted answers are right" in text


def test_a_file_that_accepts_no_answer_promises_nothing_of_accepted_ones() -> None:
    assert "of the accepted answers are right" not in card(metadata(uncertain_below=1.0))


@pytest.mark.parametrize("said", ["# tiny 1.2.3", "Learns by looking.", "Recipe `tiny`, seed 0, 3 epochs", "MIT."])
def test_the_card_says_what_the_file_is_and_how_it_was_made(said: str) -> None:
    assert said in card(metadata())


def test_the_card_warns_of_bias_and_of_the_law() -> None:
    text = card(metadata())
    assert "Limits and bias" in text
    assert "2024/1689" in text


def test_the_card_is_written_in_utf8(tmp_path: Path) -> None:
    about = metadata(labels=("froh", "müde"))
    write_card(about, make_recipe(), CONFIDENCE, tmp_path / "card.md")
    assert (tmp_path / "card.md").read_text(encoding="utf-8") == card_text(about, make_recipe(), CONFIDENCE)
