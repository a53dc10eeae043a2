import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from fer_service import assets
from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import Evaluation, Metadata, Metrics
from fer_service.detection.choice import choose_detector
from fer_training.cli import main
from fer_training.data import FaceDataset
from fer_training.engine.recipe import available_recipes
from fer_training.engine.run_folder import RunFolder
from fer_training.tasks.emotion.recipe import EmotionRecipe
from numpy.typing import NDArray

from tests.conftest import encode_image
from tests.training.synthetic import PHASE, recipe_content, write_folders

Cli = Callable[..., int]

RECIPES = Path(str(resources.files("fer_training") / "recipes"))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return a function that runs the command line and returns its exit status."""

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
        f"{name}: {yaml.safe_load((RECIPES / f'{name}.yaml').read_text(encoding='utf-8'))['description']}"
        for name in available_recipes()
    ]


def test_figures_are_not_written_into_the_data(
    cli: Cli, faces: FaceDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folders(faces, tmp_path / "data")
    assert cli("data", root, "--out", root / "figures") == 1
    assert "lies in the data" in capsys.readouterr().err
    assert not (root / "figures").exists()


@pytest.mark.trains
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, csv_file: Path) -> None:
    recipe = tmp_path / "long.yaml"
    recipe.write_text(yaml.safe_dump(recipe_content(phases=[PHASE | {"epochs": 10_000}])), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "fer_training",
        "train",
        recipe,
        "--data",
        csv_file,
        "--out",
        tmp_path / "run",
    ]
    # Tests that run in the background of a script ignore the signal, and what they start would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        signal.signal(signal.SIGINT, before)
        assert process.stdout is not None
        said = iter(process.stdout)
        assert any(line.startswith("epoch") for line in said)
        process.send_signal(signal.SIGINT)
        *_, last = said
    assert (process.returncode, last) == (130, "fer-train: interrupted; a training continues with --resume\n")


@pytest.mark.trains
def test_the_data_may_be_a_link_without_its_votes_beside_it(
    cli: Cli, tmp_path: Path, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run, link = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "linked" / "fer2013.csv"
    link.parent.mkdir()
    link.symlink_to(shutil.copy(csv_file, tmp_path / "fer2013.csv"))
    content = recipe_content(phases=[PHASE | {"epochs": 1}], loss={"votes_head": 0.5})
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert cli("train", recipe, "--data", link, "--out", run, "--device", "cpu") == 0
    assert "note: the data has no FER+ votes, which tiny would also learn" in capsys.readouterr().err
    rows = csv_file.read_text().count("\n") - 1
    votes = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    (tmp_path / "fer2013new.csv").write_text(votes + "Training,a.png,10,0,0,0,0,0,0,0,0,0\n" * rows)
    assert cli("export", run, "--out", tmp_path / "tiny.onnx") == 0


@pytest.mark.trains
def test_train_export_evaluate_follow_one_another_also_with_renamed_classes(
    cli: Cli, tmp_path: Path, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, run, bundle = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "tiny.onnx"
    content = recipe_content(phases=[PHASE | {"epochs": 1}], data={"rename": {"disgust": "angry", "happy": "joy"}})
    recipe.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert cli("train", recipe, "--data", csv_file, "--out", run, "--device", "cpu") == 0
    first, *_, trained, best, then = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch   1/1")
    assert trained == f"{run}: trained on 84 images, validated on 35"
    assert re.fullmatch(r"best epoch: 1, accuracy 0\.\d{4}", best)
    assert then == f"next: fer-train export {run} --out model.onnx"

    assert cli("export", run, "--out", bundle) == 0
    said = capsys.readouterr().out
    assert "per class" in said
    assert f"{bundle}: temperature" in said.replace("\n", "")
    assert "uncertain below 0.700 is a default: 35 validation images are too few to choose it" in said

    assert cli("evaluate", "--model", bundle, "--data", csv_file, "--split", "PublicTest", "--json") == 0
    metrics = Metrics.model_validate_json(capsys.readouterr().out)
    (entry,) = onnx.load(bundle).metadata_props
    metadata = Metadata.model_validate_json(entry.value)
    assert metrics == metadata.metrics
    assert set(metadata.labels) == {"angry", "fear", "joy", "sad", "surprise", "neutral"}


def test_the_bundled_models_are_evaluated_by_name(
    cli: Cli, parquet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", parquet_file, "--split", "PublicTest", "--json"]
    assert cli("evaluate", "--model", "bundled", *words) == 0
    named = json.loads(capsys.readouterr().out)
    assert cli("evaluate", "--model", assets.int8_file(assets.MODELS["bundled"]), *words) == 0
    assert json.loads(capsys.readouterr().out) == named


def test_evaluate_prints_tables_for_people(
    cli: Cli, exported: tuple[Path, Metadata], parquet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("evaluate", "--model", exported[0], "--data", parquet_file, "--split", "Training") == 0
    said = capsys.readouterr().out
    assert said.startswith("Training: 84 images  accuracy ")
    assert "confusion matrix" in said


def test_evaluate_maps_classes_detects_faces_and_writes_the_card(
    cli: Cli, tiny_bundle: Path, tmp_path: Path, astronaut: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Path(shutil.copy(tiny_bundle, tmp_path / "tiny.onnx"))
    for name in ("smile", "contempt"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        (tmp_path / "faces" / name / "0.jpg").write_bytes(encode_image(astronaut, ".jpg"))
    words = ["evaluate", "--model", bundle, "--data", tmp_path / "faces", "--map", "smile=happy"]
    assert cli(*words, "--detector", "own", "--write", "Astronauts", "--json") == 0
    said = capsys.readouterr()
    evaluation = Evaluation.model_validate_json(said.out)
    assert (evaluation.count, evaluation.detector) == (1, choose_detector("own", 640).name)
    assert "left out: 1 images of classes that are not labels of the model: contempt (1)" in said.err
    assert said.err.endswith("name their labels: --map contempt=LABEL\n")
    assert open_classifier(bundle, "cpu", 1).bundle.metadata.evaluations == {"Astronauts": evaluation}
    assert "**Astronauts**, 1 faces, found by" in bundle.with_suffix(".md").read_text("utf-8")


def test_evaluate_says_how_to_map_a_class_that_looks_like_a_label(
    cli: Cli, tiny_bundle: Path, tmp_path: Path, astronaut: NDArray[np.uint8], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("neutral", "big smile", "smile"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.jpg").write_bytes(encode_image(astronaut, ".jpg"))
    assert cli("evaluate", "--model", tiny_bundle, "--data", tmp_path) == 0
    said = capsys.readouterr().err
    assert "left out: 2 images of classes that are not labels of the model: big smile (1), smile (1)" in said
    assert said.endswith("name their labels: --map smile=happy\n")


@pytest.mark.parametrize("pair", ["smile", "=happy", "smile="])
def test_a_map_without_both_names_is_refused(
    cli: Cli, tiny_bundle: Path, csv_file: Path, capsys: pytest.CaptureFixture[str], pair: str
) -> None:
    assert cli("evaluate", "--model", tiny_bundle, "--data", csv_file, "--map", pair) == 2
    assert "--map needs CLASS=LABEL" in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_run_continues_only_with_resume(
    cli: Cli, tmp_path: Path, recipe_file: Path, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"train {recipe_file} --data {csv_file} --out {tmp_path}/run --device cpu --limit 28".split()
    assert cli(*words) == 0
    assert cli(*words) == 1
    assert "continue it with --resume" in capsys.readouterr().err
    assert cli(*words, "--resume") == 0
    assert "resumed after epoch 1" in capsys.readouterr().out
    assert [entry["epoch"] for entry in RunFolder(tmp_path / "run").metrics()] == [1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "no-recipe", "--data", "DATA", "--out", "TMP/run"], "unknown recipe 'no-recipe'"),
        (["train", "TMP/absent.yaml", "--data", "DATA", "--out", "TMP/run"], "No such file or directory"),
        (["train", "TMP/odd.yaml", "--data", "DATA", "--out", "TMP/run"], "is not YAML"),
        (["train", "TMP/tiny.yaml", "--data", "TMP/absent", "--out", "TMP/run"], "file or folder not found"),
        (["train", "TMP/tiny.yaml", "--data", "DATA", "--out", "TMP/tiny.yaml"], "cannot create"),
        (["train", "TMP/tiny.yaml", "--data", "DATA", "--out", "TMP/run", "--device", "abacus"], "abacus"),
        (["train", "fine-tune", "--data", "DATA", "--out", "TMP/run"], "give --init bundled"),
        (["data", "DATA", "--out", "TMP/tiny.yaml"], "File exists"),
        (["export", "TMP/run", "--out", "TMP/x.onnx"], "is not a run folder"),
        (["evaluate", "--model", "TMP/odd.yaml", "--data", "DATA", "--split", "a"], "odd.yaml"),
        (["evaluate", "--model", "TMP/absent.onnx", "--data", "DATA", "--split", "a"], "absent.onnx"),
        (["evaluate", "--model", "large", "--data", "DATA", "--write", "Mine"], "give the path of a file"),
    ],
    ids=[
        "recipe",
        "recipe-file",
        "yaml",
        "data",
        "out",
        "device",
        "weights",
        "figures",
        "run",
        "bundle",
        "bundle-file",
        "write",
    ],
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
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("Using ", "splits: "))]
    assert len(lines) == 1, lines
    assert lines[0].startswith("fer-train: ")
    assert said in lines[0]


def test_data_counts_what_is_in_a_set(
    cli: Cli, parquet_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("data", parquet_file, "--out", tmp_path / "figures") == 0
    said = capsys.readouterr().out
    assert "FER-2013: 119 images" in said
    assert "images in both Training and PublicTest: 0" in said
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {"classes.png", "samples.png"}


@pytest.mark.parametrize("strict", [True, False])
def test_an_unreadable_file_ends_data_and_train_only_where_they_are_strict(
    cli: Cli,
    tmp_path: Path,
    recipe_file: Path,
    faces: FaceDataset,
    capsys: pytest.CaptureFixture[str],
    strict: bool,
) -> None:
    root = write_folders(faces, tmp_path / "faces")
    (root / "Training" / "happy" / "broken.png").write_bytes(b"no image")
    words = ["--strict"] if strict else []
    for command in (
        ["data", root, *([] if strict else ["--out", tmp_path / "figures"])],
        ["train", recipe_file, "--data", root, "--out", tmp_path / "run", "--device", "cpu"],
    ):
        assert cli(*command, *words) == int(strict)
        errors = capsys.readouterr().err
        assert "unreadable: " in errors
        assert "broken.png" in errors
        assert ("fer-train: 1 files cannot be read: " in errors) == strict
    assert strict or "broken.png" in (tmp_path / "figures" / "unreadable.txt").read_text()
    assert (tmp_path / "run").exists() != strict


def test_compare_writes_its_page(
    cli: Cli, tmp_path: Path, trained_run: RunFolder, parquet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (shutil.copytree(trained_run.path, tmp_path / name) for name in ("one", "two"))
    out = tmp_path / "pages" / "both.html"
    assert cli("compare", one, two, "--out", out, "--data", parquet_file) == 0
    said = capsys.readouterr().out
    assert "vs." in said
    assert said.replace("\n", "").endswith(str(out))
    assert out.exists()


@pytest.mark.parametrize("words", [["--fp16"], ["--half"], []], ids=["fp16", "half", "int8"])
def test_quantize_writes_a_smaller_file_and_says_what_it_scores(
    cli: Cli,
    tmp_path: Path,
    exported: tuple[Path, Metadata],
    parquet_file: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    out = tmp_path / "smaller.onnx"
    base = ["quantize", exported[0], "--data", parquet_file, "--out", out, "--calibration", "28", "--force"]
    assert cli(*base, *words) == 0
    assert "PublicTest accuracy" in capsys.readouterr().out
    assert out.exists()


def test_two_kinds_of_smaller_files_are_not_made_at_once(
    cli: Cli,
    tmp_path: Path,
    exported: tuple[Path, Metadata],
    parquet_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "smaller.onnx"
    assert cli("quantize", exported[0], "--data", parquet_file, "--out", out, "--fp16", "--half") == 2
    assert "give one of them" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("command", ["report", "compare"])
def test_a_folder_that_is_not_a_run_prints_one_line_and_exits_with_1(
    cli: Cli, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--out", tmp_path / "x.html"] if command == "compare" else []
    assert cli(command, tmp_path / "absent", *out) == 1
    assert "is not a run folder" in capsys.readouterr().err


def test_a_missing_checkpoint_is_one_line_and_status_1(
    cli: Cli, tmp_path: Path, recipe_file: Path, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", recipe_file, "--data", csv_file, "--out", tmp_path / "run", "--device", "cpu"]
    assert cli(*words, "--pretrained", tmp_path / "absent.pth") == 1
    assert "absent.pth: No such file" in capsys.readouterr().err


def test_data_with_a_held_out_split_can_be_quantized(
    cli: Cli, tmp_path: Path, recipe_file: Path, class_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, bundle = tmp_path / "run", tmp_path / "tiny.onnx"
    assert cli("train", recipe_file, "--data", class_folders, "--out", run, "--device", "cpu") == 0
    assert cli("export", run, "--out", bundle) == 0
    words = ["--data", class_folders, "--out", tmp_path / "small.onnx", "--fp16", "--force"]
    assert cli("quantize", bundle, *words) == 0, capsys.readouterr().err


def test_seed_and_epochs_belong_to_the_run(
    cli: Cli, tmp_path: Path, csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(recipe_content(phases=[PHASE | {"trainable": {"from": "layer4"}}])))
    words = ["train", recipe, "--data", csv_file, "--out", tmp_path / "run", "--device", "cpu"]
    assert cli(*words, "--seed", "7", "--epochs", "1", "--from-scratch") == 0
    assert RunFolder(tmp_path / "run").recipe(EmotionRecipe).seed == 7
    assert cli(*words, "--resume") == 1
    assert "another recipe" in capsys.readouterr().err
    assert cli(*words, "--seed", "7", "--epochs", "1", "--resume") == 0


def test_data_and_train_say_what_spoils_a_training_and_how_to_mend_it(
    cli: Cli, tmp_path: Path, recipe_file: Path, faces: FaceDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folders(faces, tmp_path / "faces")
    (root / "Training" / "sad").rename(root / "Training" / "Sadness")
    line = "data: {rename: {Sadness: sad}}"
    assert cli("data", root) == 0
    assert line in capsys.readouterr().out
    assert cli("data", root, "--strict") == 1
    assert cli("train", recipe_file, "--data", root, "--out", tmp_path / "run", "--device", "cpu") == 1
    assert line in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_one_class_is_refused_before_anything_is_trained(
    cli: Cli, tmp_path: Path, recipe_file: Path, faces: FaceDataset, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folders(faces.with_classes(("happy",)), tmp_path / "faces")
    for words in (["data", root], ["train", recipe_file, "--data", root, "--out", tmp_path / "run"]):
        assert cli(*words) == 1
        assert "has only one class, happy" in capsys.readouterr().err


def test_a_run_is_not_written_into_the_data(
    cli: Cli, capsys: pytest.CaptureFixture[str], recipe_file: Path, faces: FaceDataset, tmp_path: Path
) -> None:
    write_folders(faces, tmp_path / "faces")
    assert cli("train", recipe_file, "--data", tmp_path / "faces", "--out", tmp_path / "faces" / "runs") == 1
    assert "lies in the data, whose classes are its folders" in capsys.readouterr().err
    assert not (tmp_path / "faces" / "runs").exists()


def test_names_of_classes_are_shown_as_they_are(
    cli: Cli, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number, name in enumerate(("happy [new]", "$\\foo$", "sad [bold]")):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for image in range(3):
            pixels = np.full((48, 48, 3), 60 * number + image, np.uint8)
            (tmp_path / "faces" / name / f"{image}.png").write_bytes(encode_image(pixels, ".png"))
    assert cli("data", tmp_path / "faces", "--out", tmp_path / "figures [x]") == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("happy [new]", "$\\foo$", "sad [bold]"))


def test_a_teacher_is_given_once(
    tmp_path: Path, csv_file: Path, cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "taught-compact", "--data", csv_file, "--out", tmp_path / "run", "--device", "cpu"]
    model = onnx.load(assets.MODELS["bundled"])
    model.doc_string = "another file"
    onnx.save(model, tmp_path / "same.onnx")
    for again in (assets.MODELS["bundled"], tmp_path / "same.onnx"):
        assert cli(*words, "--teacher", "bundled", "--teacher", again) == 1
        assert "--teacher names the same weights twice" in capsys.readouterr().err


def test_a_folder_with_the_name_of_a_bundled_model_is_a_folder(
    tmp_path: Path, csv_file: Path, cli: Cli, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("large").mkdir()
    assert cli("train", "taught-compact", "--data", csv_file, "--out", "run", "--teacher", "./large") == 1
    assert "not a run folder with best.ckpt" in capsys.readouterr().err
