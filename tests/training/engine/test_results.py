import csv
from dataclasses import replace
from pathlib import Path

import pytest
from fer_training.engine.results import record, run_result, summary
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RunError

from tests.training.synthetic import make_recipe

RECIPE = make_recipe()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_is_one_line(trained_run: RunFolder, tmp_path: Path) -> None:
    record(run_result(trained_run, RECIPE, "learns, kept"), tmp_path / "results.csv")
    (row,) = rows(tmp_path / "results.csv")
    best = max(trained_run.metrics(), key=lambda entry: entry["val_accuracy"])
    assert row["recipe"] == "tiny"
    assert row["epochs"] == "3/3"
    assert (row["metric"], float(row["best"])) == ("accuracy", best["val_accuracy"])
    assert int(row["best_epoch"]) == best["epoch"]
    assert float(row["seconds"]) > 0
    assert row["limit"] == ""
    assert row["note"] == "learns, kept"


def test_a_repeated_record_replaces_the_row_of_its_run_only(trained_run: RunFolder, tmp_path: Path) -> None:
    path, result = tmp_path / "results.csv", run_result(trained_run, RECIPE, "first")
    record(result, path)
    record(replace(result, seed=1, started="2020-01-01"), path)
    record(replace(result, note="second"), path)
    assert [(row["seed"], row["note"]) for row in rows(path)] == [("1", "first"), ("0", "second")]


def test_a_score_of_few_images_is_told(trained_run: RunFolder) -> None:
    for count, end in ((29, "validated on 29, too few for an exact score"), (30, "validated on 30")):
        assert next(summary(trained_run, RECIPE, (100, count), keeps_best=True)).endswith(end)


def test_a_changed_recipe_is_another_fingerprint(trained_run: RunFolder, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for name in ("recipe.yaml", "environment.json", "metrics.jsonl"):
        text = (trained_run.path / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("batch_size: 14", "batch_size: 15"), encoding="utf-8")
    assert run_result(run, RECIPE).fingerprint != run_result(trained_run, RECIPE).fingerprint


def test_a_run_without_an_epoch_has_no_result(trained_run: RunFolder, tmp_path: Path) -> None:
    for name in ("recipe.yaml", "environment.json"):
        (tmp_path / name).write_text((trained_run.path / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "metrics.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(RunError, match="no epoch"):
        run_result(RunFolder(tmp_path), RECIPE)


def test_another_table_is_not_changed(trained_run: RunFolder, tmp_path: Path) -> None:
    other = tmp_path / "people.csv"
    other.write_text("name,age\nAda,36\n", encoding="utf-8")
    with pytest.raises(RunError, match="is not a table of results"):
        record(run_result(trained_run, RECIPE), other)
    assert other.read_text(encoding="utf-8") == "name,age\nAda,36\n"


def test_a_missing_folder_is_named(trained_run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nowhere"):
        record(run_result(trained_run, RECIPE), tmp_path / "nowhere" / "results.csv")


def test_a_file_that_is_no_text_is_not_changed(trained_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match="is not a table of results: it is not UTF-8 text"):
        record(run_result(trained_run, RECIPE), tmp_path / "results.csv")
