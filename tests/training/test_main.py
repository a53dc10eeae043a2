from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import yaml

from service.inference.bundle import Metadata, Metrics
from tests.training.synthetic import PHASE, recipe_content
from training.__main__ import main
from training.config import available_recipes, load_recipe
from training.run import RunFolder

Cli = Callable[..., int]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs the command line with these words and returns its exit status."""

    def run(*words: str | Path) -> int:
        monkeypatch.setattr("sys.argv", ["fer-train", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    return run


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(recipe_content(phases=[PHASE | {"epochs": 1}])), encoding="utf-8")
    return path


def test_recipes_lists_every_recipe_with_its_description(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("recipes") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: {load_recipe(name).description}" for name in available_recipes()
    ]


def test_train_export_evaluate_follow_one_another(
    cli: Cli, tmp_path: Path, recipe_file: Path, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, bundle = tmp_path / "run", tmp_path / "tiny.onnx"
    assert cli("train", recipe_file, "--data", csv_file, "--out", run, "--device", "cpu") == 0
    assert "epoch   1/1" in capsys.readouterr().out

    assert cli("export", run, "--out", bundle) == 0
    said = capsys.readouterr().out
    assert "per class" in said
    assert f"{bundle}: temperature" in said.replace("\n", "")

    assert cli("evaluate", "--model", bundle, "--data", csv_file, "--split", "PublicTest", "--json") == 0
    metrics = Metrics.model_validate_json(capsys.readouterr().out)
    (entry,) = onnx.load(bundle).metadata_props
    assert metrics == Metadata.model_validate_json(entry.value).metrics


def test_evaluate_prints_tables_for_people(
    cli: Cli, exported: tuple[Path, Metadata], parquet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("evaluate", "--model", exported[0], "--data", parquet_file, "--split", "Training") == 0
    said = capsys.readouterr().out
    assert said.startswith("Training: 84 pictures  accuracy ")
    assert "confusion matrix" in said


def test_a_run_goes_on_only_when_asked_to(
    cli: Cli, tmp_path: Path, recipe_file: Path, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train {recipe_file} --data {csv_file} --out {tmp_path}/run --device cpu --limit 28".split()
    assert cli(*words) == 0
    assert cli(*words) == 1
    assert "go on with --resume" in capsys.readouterr().err
    assert cli(*words, "--resume") == 0
    assert "resumed after epoch 1" in capsys.readouterr().out
    assert [entry["epoch"] for entry in RunFolder(tmp_path / "run").metrics()] == [1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "no-recipe", "--data", "DATA", "--out", "TMP/run"], "there is no recipe 'no-recipe'"),
        (["train", "TMP/absent.yaml", "--data", "DATA", "--out", "TMP/run"], "No such file or directory"),
        (["train", "TMP/odd.yaml", "--data", "DATA", "--out", "TMP/run"], "is not YAML"),
        (["train", "TMP/tiny.yaml", "--data", "TMP/absent", "--out", "TMP/run"], "no such file or folder"),
        (["train", "TMP/tiny.yaml", "--data", "DATA", "--out", "TMP/tiny.yaml"], "cannot be written"),
        (["train", "TMP/tiny.yaml", "--data", "DATA", "--out", "TMP/run", "--device", "abacus"], "abacus"),
        (["export", "TMP/run", "--out", "TMP/x.onnx"], "is no run"),
        (["evaluate", "--model", "TMP/odd.yaml", "--data", "DATA", "--split", "a"], "cannot be opened"),
        (["evaluate", "--model", "TMP/absent.onnx", "--data", "DATA", "--split", "a"], "there is no such file"),
    ],
    ids=["recipe", "recipe-file", "yaml", "data", "out", "device", "run", "bundle", "bundle-file"],
)
def test_a_foreseen_error_is_one_line_and_status_1(
    cli: Cli,
    tmp_path: Path,
    recipe_file: Path,
    csv_file: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    (tmp_path / "odd.yaml").write_text("name: [1,\n")
    filled = [word.replace("TMP", str(tmp_path)).replace("DATA", str(csv_file)) for word in words]
    assert cli(*filled) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Using ")]
    assert len(lines) == 1, lines
    assert lines[0].startswith("fer-train: ")
    assert said in lines[0]
