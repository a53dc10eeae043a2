from pathlib import Path

import pytest
import yaml
from fer_training.cli import main
from fer_training.engine.run_folder import RunFolder

from tests.training.synthetic import NETWORK, recipe_content


def test_a_pretrained_run_is_taken_up_without_its_first_weights(
    tmp_path: Path, csv_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # deepfer_cnn has no pretrained weights, so loading them again would fail.
    network = NETWORK | {"name": "deepfer_cnn", "arguments": {"widths": [8, 8, 16, 16]}, "stem": None}
    recipe = recipe_content() | {"network": network | {"pretrained": True}}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    words = ["fer-train", "train", tmp_path / "tiny.yaml", "--data", csv_file, "--out", tmp_path / "run"]
    words = [*map(str, words), "--device", "cpu", "--resume"]
    monkeypatch.setattr("sys.argv", [*words, "--from-scratch"])
    with pytest.raises(SystemExit) as first:
        main()
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as again:
        main()
    assert (first.value.code, again.value.code) == (0, 0)
    assert len(RunFolder(tmp_path / "run").metrics()) == 3
