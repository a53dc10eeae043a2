import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.synthetic import make_recipe
from training.config import Recipe
from training.data import FaceDataset
from training.errors import RunError
from training.run import RunFolder


@pytest.fixture
def run(tmp_path: Path, recipe: Recipe, faces: FaceDataset) -> RunFolder:
    """A run that was started and has a checkpoint."""
    run = RunFolder(tmp_path / "runs" / "one")
    run.start(recipe, faces, Path("data.csv"), resume=False)
    run.last.write_bytes(b"a checkpoint")
    return run


def test_a_run_folder_records_recipe_and_data(run: RunFolder, recipe: Recipe, faces: FaceDataset) -> None:
    assert run.recipe() == recipe
    environment = run.environment()
    assert environment["data"] == {
        "path": str(Path("data.csv").resolve()),
        "name": "FER-2013",
        "sha256": faces.sha256,
        "splits": {"Training": 84, "PublicTest": 35},
        "classes": list(faces.classes),
        "limit": None,
    }
    assert environment["packages"]["torch"]
    assert run.metrics() == []


def test_a_second_start_without_resume_is_refused(run: RunFolder, recipe: Recipe, faces: FaceDataset) -> None:
    with pytest.raises(RunError, match=r"holds a run already: go on with --resume, or give another --out"):
        run.start(recipe, faces, Path("data.csv"), resume=False)


def test_resuming_keeps_what_is_there(run: RunFolder, recipe: Recipe, faces: FaceDataset) -> None:
    run.log({"epoch": 1})
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    run.start(recipe, faces, Path("moved.csv"), resume=True)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize("changes", [{"seed": 1}, {"batch_size": 15}, {"augment": {"flip": 0.5}}])
def test_a_run_of_another_recipe_is_not_resumed(
    run: RunFolder, faces: FaceDataset, changes: dict[str, object]
) -> None:
    with pytest.raises(RunError, match="is a run of another recipe"):
        run.start(make_recipe(**changes), faces, Path("data.csv"), resume=True)


def test_a_run_on_other_data_is_not_resumed(run: RunFolder, recipe: Recipe, faces: FaceDataset) -> None:
    with pytest.raises(RunError, match="is a run on other data"):
        run.start(recipe, replace(faces, sha256="1" * 64), Path("data.csv"), resume=True)


def test_a_run_that_never_ended_an_epoch_starts_afresh(run: RunFolder, faces: FaceDataset) -> None:
    run.last.unlink()
    other = make_recipe(seed=5)
    run.start(other, faces, Path("data.csv"), resume=False)
    assert run.recipe() == other


def test_epochs_are_logged_a_line_each(run: RunFolder) -> None:
    entries = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    for entry in entries:
        run.log(entry)
    assert run.metrics() == entries
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == entries


def test_an_epoch_told_again_replaces_its_first_telling_and_what_came_after(run: RunFolder) -> None:
    for epoch in (1, 2, 3):
        run.log({"epoch": epoch, "loss": 1.0})
    run.log({"epoch": 2, "loss": 0.5})
    assert run.metrics() == [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]


def test_nothing_half_written_is_left(run: RunFolder) -> None:
    run.log({"epoch": 1})
    names = {path.name for path in run.path.iterdir()}
    assert names == {"recipe.yaml", "environment.json", "metrics.jsonl", "last.ckpt"}


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named(
    tmp_path: Path, recipe: Recipe, faces: FaceDataset, name: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=f"{name} cannot be written: "):
        RunFolder(tmp_path / name).start(recipe, faces, Path("data.csv"), resume=False)


def test_a_full_disk_while_logging_is_an_error_of_the_run(run: RunFolder) -> None:
    (run.path / "metrics.jsonl.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match="metrics"):
        run.log({"epoch": 1})


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_a_recipe_is_no_run(tmp_path: Path, exists: bool) -> None:
    path = tmp_path if exists else tmp_path / "absent"
    with pytest.raises(RunError, match=r"is no run: it has no recipe\.yaml"):
        RunFolder(path).recipe()
