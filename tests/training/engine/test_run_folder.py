import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fer_service.contract.bundle import WeightsFile
from fer_service.system.files import file_sha256
from fer_training.data import FaceDataset, load_dataset
from fer_training.engine.run_folder import RunFolder, file_record
from fer_training.errors import RecipeError, RunError, TrainingError
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.runs import run_data

from tests.training.runs import start_run
from tests.training.synthetic import PHASE, make_recipe


@pytest.fixture
def run(tmp_path: Path, recipe: EmotionRecipe, faces: FaceDataset) -> RunFolder:
    """A started run with a checkpoint."""
    run = RunFolder(tmp_path / "runs" / "one")
    start_run(run, recipe, faces, Path("data.csv"), resume=False)
    run.last.write_bytes(b"a checkpoint")
    return run


def test_a_run_folder_records_recipe_and_data(run: RunFolder, recipe: EmotionRecipe, faces: FaceDataset) -> None:
    assert run.recipe(EmotionRecipe) == recipe
    environment = run.environment()
    assert environment["data"] == {
        "path": str(Path("data.csv").absolute()),
        "name": "FER-2013",
        "sha256": faces.sha256,
        "splits": {"Training": 84, "PublicTest": 35},
        "classes": list(faces.classes),
        "limit": None,
    }
    assert environment["packages"]["torch"]
    assert run.metrics() == []


def test_a_second_start_without_resume_is_refused(
    run: RunFolder, recipe: EmotionRecipe, faces: FaceDataset
) -> None:
    with pytest.raises(RunError, match=r"already has a run: continue it with --resume, or give another --out"):
        start_run(run, recipe, faces, Path("data.csv"), resume=False)


def test_resuming_keeps_what_is_there(run: RunFolder, recipe: EmotionRecipe, faces: FaceDataset) -> None:
    run.log({"epoch": 1})
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    start_run(run, recipe, faces, Path("moved.csv"), resume=True)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize("changes", [{"seed": 1}, {"batch_size": 15}, {"augment": {"flip": 0.5}}])
def test_a_run_of_another_recipe_is_not_resumed(
    run: RunFolder, faces: FaceDataset, changes: dict[str, object]
) -> None:
    (name,) = changes
    with pytest.raises(RunError, match=rf"has a run with another recipe \({name}\S*: .*, now .*\): give another"):
        start_run(run, make_recipe(**changes), faces, Path("data.csv"), resume=True)


def test_a_run_on_other_data_is_not_resumed(run: RunFolder, recipe: EmotionRecipe, faces: FaceDataset) -> None:
    with pytest.raises(RunError, match="has a run with other data"):
        start_run(run, recipe, replace(faces, sha256="1" * 64), Path("data.csv"), resume=True)


def test_a_run_from_other_weights_is_not_resumed(tmp_path: Path, recipe: EmotionRecipe) -> None:
    first, other = tmp_path / "first.onnx", tmp_path / "other.onnx"
    first.write_bytes(b"first")
    other.write_bytes(b"other")
    about = {"data": {"sha256": "1" * 64, "limit": None}}
    run = RunFolder(tmp_path / "run")
    run.start(recipe, about | {"pretrained": file_record(first)}, resume=False)
    run.last.write_bytes(b"a checkpoint")
    run.start(recipe, about | {"pretrained": file_record(first)}, resume=True)
    run.start(recipe, about, resume=True)  # the checkpoint has the weights
    with pytest.raises(
        RunError,
        match=f"did not start from {other}: remove the option",
    ):
        run.start(recipe, about | {"pretrained": file_record(other)}, resume=True)
    assert run.starting_weights() == WeightsFile(file="first.onnx", sha256=file_sha256(first))


def test_the_teachers_of_a_run_are_named(tmp_path: Path, recipe: EmotionRecipe) -> None:
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    weights = teacher / "best.ckpt"
    weights.write_bytes(b"weights")
    run = RunFolder(tmp_path / "run")
    about = {"data": {"sha256": "1" * 64, "limit": None}}
    run.start(recipe, about, resume=False)
    assert run.teachers() == ()
    run.start(recipe, about | {"teachers": [file_record(teacher, weights)]}, resume=False)
    assert run.teachers() == (WeightsFile(file="teacher", sha256=file_sha256(weights)),)


def test_a_run_that_never_ended_an_epoch_starts_afresh(run: RunFolder, faces: FaceDataset) -> None:
    run.last.unlink()
    other = make_recipe(seed=5)
    start_run(run, other, faces, Path("data.csv"), resume=False)
    assert run.recipe(EmotionRecipe) == other


def test_epochs_are_logged_a_line_each(run: RunFolder) -> None:
    entries = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    for entry in entries:
        run.log(entry)
    assert run.metrics() == entries
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == entries


def test_a_repeated_epoch_replaces_its_entry_and_all_later_ones(run: RunFolder) -> None:
    for epoch in (1, 2, 3):
        run.log({"epoch": epoch, "loss": 1.0})
    run.log({"epoch": 2, "loss": 0.5})
    assert run.metrics() == [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}]


def test_no_partial_file_is_left(run: RunFolder) -> None:
    run.log({"epoch": 1})
    names = {path.name for path in run.path.iterdir()}
    assert names == {"recipe.yaml", "environment.json", "metrics.jsonl", "last.ckpt"}


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_folder_that_cannot_be_created_is_named(
    tmp_path: Path, recipe: EmotionRecipe, faces: FaceDataset, name: str
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=f"cannot create .*{name}: "):
        start_run(RunFolder(tmp_path / name), recipe, faces, Path("data.csv"), resume=False)


def test_a_full_disk_while_logging_is_a_run_error(run: RunFolder) -> None:
    (run.path / "metrics.jsonl.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match="metrics"):
        run.log({"epoch": 1})


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_a_recipe_is_not_a_run(tmp_path: Path, exists: bool) -> None:
    path = tmp_path if exists else tmp_path / "absent"
    with pytest.raises(RunError, match=r"is not a run folder: recipe\.yaml is missing"):
        RunFolder(path).recipe(EmotionRecipe)


@pytest.mark.parametrize(("first", "then"), [(14, 28), (14, None), (None, 14)])
def test_a_run_resumes_only_with_its_limit(
    tmp_path: Path, recipe: EmotionRecipe, faces: FaceDataset, first: int | None, then: int | None
) -> None:
    run = RunFolder(tmp_path / "limited")
    start_run(run, recipe, faces, Path("data.csv"), resume=False, limit=first)
    run.last.write_bytes(b"a checkpoint")
    assert run.environment()["data"]["limit"] == first
    start_run(run, recipe, faces, Path("data.csv"), resume=True, limit=first)
    with pytest.raises(RunError, match=f"has a run with --limit {first}: give the same --limit, or another --out"):
        start_run(run, recipe, faces, Path("data.csv"), resume=True, limit=then)


def test_an_older_run_that_records_no_limit_was_not_limited(
    run: RunFolder, recipe: EmotionRecipe, faces: FaceDataset
) -> None:
    environment = run.environment()
    del environment["data"]["limit"]
    (run.path / "environment.json").write_text(json.dumps(environment))
    start_run(run, recipe, faces, Path("data.csv"), resume=True)
    with pytest.raises(RunError, match="another --out"):
        start_run(run, recipe, faces, Path("data.csv"), resume=True, limit=14)


def test_a_limited_runs_data_is_limited_again(tmp_path: Path, recipe: EmotionRecipe, csv_file: Path) -> None:
    data = load_dataset(csv_file, 48)
    run = RunFolder(tmp_path / "limited")
    start_run(run, recipe, data, csv_file, resume=False, limit=14)
    assert np.array_equal(run_data(run).pixels(np.arange(5)), data.limited(14).pixels(np.arange(5)))
    assert run_data(run).split_sizes == data.limited(14).split_sizes == {"Training": 14, "PublicTest": 14}


@pytest.mark.parametrize("trainable", [{"from": "layer3"}, {"last": 5}])
def test_a_recipe_of_chosen_layers_is_read_back(tmp_path: Path, faces: FaceDataset, trainable: object) -> None:
    recipe = make_recipe(phases=[PHASE | {"trainable": trainable}])
    run = RunFolder(tmp_path / "chosen")
    start_run(run, recipe, faces, Path("data.csv"), resume=False)
    assert run.recipe(EmotionRecipe) == recipe


@pytest.mark.parametrize("name", ["environment.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [None, "{half\n"])
def test_a_damaged_record_is_an_error_of_the_run(run: RunFolder, name: str, content: str | None) -> None:
    if content is None:
        (run.path / name).unlink()
    else:
        (run.path / name).write_text(content)
    with pytest.raises(RunError, match=str(run.path)):
        run.environment() if name == "environment.json" else run.metrics()


def test_a_recipe_that_is_no_longer_yaml_is_refused_by_name(run: RunFolder) -> None:
    (run.path / "recipe.yaml").write_text("name: [1,")
    with pytest.raises(TrainingError, match=r"recipe\.yaml"):
        run.recipe(EmotionRecipe)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("environment.json", "{}"),
        ("environment.json", "[]"),
        ("environment.json", '{"data": 3}'),
        ("metrics.jsonl", "[]\n"),
        ("metrics.jsonl", '{"loss": 1}\n'),
        ("metrics.jsonl", '{"epoch": 1}\n{"epo\n'),
    ],
)
def test_a_file_of_a_run_that_is_something_else_is_damaged(run: RunFolder, name: str, text: str) -> None:
    (run.path / name).write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=f"{name} is damaged: "):
        run.environment() if name.startswith("env") else run.metrics()


def test_a_last_line_that_was_torn_is_left_out(run: RunFolder) -> None:
    (run.path / "metrics.jsonl").write_text('{"epoch": 1}\n{"epo', encoding="utf-8")
    assert run.metrics() == [{"epoch": 1}]


def test_a_run_that_lost_its_last_checkpoint_does_not_begin_anew(
    run: RunFolder, recipe: EmotionRecipe, faces: FaceDataset
) -> None:
    run.last.unlink()
    start_run(run, recipe, faces, Path("data.csv"), resume=True)  # as after a stop in its first epoch
    for epoch in (1, 2):
        run.log({"epoch": epoch})
    with pytest.raises(RunError, match=r"has 2 epochs, but no last\.ckpt to continue from"):
        start_run(run, recipe, faces, Path("data.csv"), resume=True)


def test_a_recipe_of_the_user_is_not_replaced(tmp_path: Path, recipe: EmotionRecipe) -> None:
    (tmp_path / "recipe.yaml").write_text("# mine")
    with pytest.raises(RunError, match=r"has a recipe\.yaml, which the run would replace"):
        RunFolder(tmp_path).start(recipe, {"data": {"sha256": "1", "limit": None}}, resume=False)
    assert (tmp_path / "recipe.yaml").read_text() == "# mine"


def test_a_missing_file_of_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.onnx: No such file or directory"):
        file_record(tmp_path / "absent.onnx")
