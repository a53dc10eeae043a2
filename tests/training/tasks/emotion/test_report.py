import base64
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from fer_training.cli import app
from fer_training.data import FaceDataset, folders, load_dataset
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RunError
from fer_training.tasks.emotion import plots
from fer_training.tasks.emotion.predictions import predict_run
from fer_training.tasks.emotion.report import print_comparison, write_comparison, write_report
from fer_training.tasks.emotion.splits import recipe_classes, train_and_validation
from lightning.fabric import Fabric
from rich.console import Console
from typer.testing import CliRunner

from tests.training.runs import make_trainer, start_run
from tests.training.synthetic import PHASE, make_recipe, write_folders, write_parquet

FIGURES = {
    "curves", "classes", "samples", "augmented", "confusion", "ranking", "reliability", "risk_coverage",
    "mistakes",
}  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"


def trained(path: Path, data_path: Path, fabric: Fabric, **changes: object) -> RunFolder:
    recipe = make_recipe(**({"phases": [PHASE | {"epochs": 1}]} | changes))
    run, data = RunFolder(path), recipe_classes(load_dataset(data_path, recipe.network.input_size), recipe)
    start_run(run, recipe, data, data_path, resume=False)
    make_trainer(recipe, *train_and_validation(data, recipe), run, fabric).fit()
    return run


def embedded(page: str) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory, trained_run: RunFolder) -> RunFolder:
    run = RunFolder(shutil.copytree(trained_run.path, tmp_path_factory.mktemp("reported") / "run"))
    ended = CliRunner().invoke(app, ["report", str(run.path)])
    assert ended.exit_code == 0, ended.output
    assert ended.output.replace("\n", "").endswith(str(run.path / "report.html"))
    return run


def test_the_page_embeds_every_figure_of_the_folder(reported: RunFolder) -> None:
    files = {path.stem: path.read_bytes() for path in (reported.path / "figures").iterdir()}
    assert files.keys() == FIGURES
    assert all(content.startswith(PNG) for content in files.values())
    assert sorted(embedded((reported.path / "report.html").read_text())) == sorted(files.values())


def test_the_page_names_no_outside_address(reported: RunFolder) -> None:
    page = (reported.path / "report.html").read_text()
    addresses = re.findall(r"(?:src|href|action)\s*=\s*[\"']?([^\"'\s>]+)", page)
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    without_images = re.sub(r'"data:[^"]*"', "", page)
    assert not re.search(r"https?://|url\(|@import|<script|<link", without_images)


def test_the_page_shows_recipe_data_and_classes(reported: RunFolder, faces: FaceDataset) -> None:
    page = (reported.path / "report.html").read_text()
    assert "Learns seven patterns." in page
    assert reported.environment()["data"]["sha256"] in page
    assert all(f"<td>{label}</td>" in page for label in faces.classes)


def test_predictions_are_the_selection_split_in_order_with_probabilities(
    reported: RunFolder, faces: FaceDataset
) -> None:
    table = pyarrow.parquet.read_table(reported.path / "predictions.parquet")
    validation = faces.split("PublicTest")
    assert table["label"].to_pylist() == [faces.classes[label] for label in validation.labels]
    assert table.column_names == ["label", *(f"p_{label}" for label in faces.classes)]
    rows = np.stack([table[f"p_{label}"].to_numpy() for label in faces.classes], axis=1)
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    best = max(entry["val_accuracy"] for entry in reported.metrics())
    # Training may have validated in bf16, so one prediction may differ.
    assert (rows.argmax(axis=1) == validation.labels).mean() == pytest.approx(best, abs=2 / 35)


def test_the_temperature_calibrates_and_changes_no_answer(trained_run: RunFolder, faces: FaceDataset) -> None:
    found = predict_run(trained_run, faces.split("PublicTest"))
    assert found.temperature > 0
    assert np.array_equal(found.probabilities.argmax(axis=1), found.logits.argmax(axis=1))
    np.testing.assert_allclose(replace(found, temperature=1e6).probabilities, 1 / 7, atol=1e-3)


def test_the_validation_split_may_lack_a_class_and_consist_of_training_images(
    tmp_path: Path, faces: FaceDataset, fabric: Fabric
) -> None:
    images = faces.images.copy()
    images[84:] = images[:35]
    leaking = replace(faces, images=images)
    lacking = leaking._rows((faces.splits == "Training") | (faces.labels != 1))
    run = trained(tmp_path / "run", write_parquet(lacking, tmp_path / "lacking.parquet"), fabric)
    page = write_report(run).read_text()
    assert len(embedded(page)) == len(FIGURES)
    assert pyarrow.parquet.read_table(run.path / "predictions.parquet").num_rows == 30


def test_answers_without_a_mistake_are_no_obstacle_to_drawing_the_mistakes(split_folders: Path) -> None:
    for in_memory_bytes in (2**30, 0):
        data = folders.read(split_folders, 48, in_memory_bytes).stratified(14, seed=0)
        figure = plots.worst_mistakes(data, np.eye(7, dtype=np.float32)[data.labels])
        assert not figure.axes


def test_the_most_confident_mistakes_come_first(faces: FaceDataset) -> None:
    probabilities = np.full((len(faces), 7), 0.02, np.float32)
    answers = faces.labels.copy()
    answers[[3, 50, 9]] = (faces.labels[[3, 50, 9]] + 1) % 7
    probabilities[np.arange(len(faces)), answers] = 0.5
    probabilities[50, answers[50]], probabilities[9, answers[9]] = 0.9, 0.7
    drawn = plots.worst_mistakes(faces, probabilities, count=2).axes
    assert len(drawn) == 2
    for axis, row in zip(drawn, (50, 9), strict=True):
        assert np.array_equal(axis.images[0].get_array(), faces.images[row].squeeze())
        true, answer = (faces.classes[label] for label in (faces.labels[row], answers[row]))
        assert axis.get_title().startswith(f"{true}\n→ {answer} 0.")


def test_rgb_folders_without_a_selection_split_are_reported(
    tmp_path: Path, class_folders: Path, fabric: Fabric
) -> None:
    network = {"name": "deepfer_cnn", "arguments": {"widths": [4, 4]}, "channels": 3}
    network |= {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": 32}
    run = trained(tmp_path / "run", class_folders, fabric, network=network, loss={"votes_head": 1.0})
    assert "held-out" in write_report(run).read_text()


def test_runs_are_compared_with_the_first_and_their_names_are_escaped(
    tmp_path: Path, parquet_file: Path, trained_run: RunFolder, fabric: Fabric
) -> None:
    one = RunFolder(shutil.copytree(trained_run.path, tmp_path / "<b>one & only"))
    other = trained(tmp_path / "two", parquet_file, fabric, seed=1)
    out = tmp_path / "deep" / "comparison.html"
    scored = write_comparison([one, other], out)
    assert [run.name for run in scored] == ["<b>one & only", "two"]
    page = out.read_text()
    assert "&lt;b&gt;one &amp; only" in page
    assert "<td>two</td>" in page
    assert "<b>one" not in page
    (image,) = embedded(page)
    assert image.startswith(PNG)
    gain = (scored[1].official.accuracy - scored[0].official.accuracy) * 100
    assert page.index("+0.00") < page.index(f"<td>{gain:+.2f}</td>", page.index("+0.00") + 1)
    console = Console(file=io.StringIO(), width=200)
    print_comparison(scored, console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.index("+0.00") < said.index(f"{gain:+.2f}", said.index("+0.00") + 1)


def test_runs_with_equal_folder_names_are_drawn_separately(
    tmp_path: Path, parquet_file: Path, trained_run: RunFolder, fabric: Fabric
) -> None:
    one = RunFolder(shutil.copytree(trained_run.path, tmp_path / "one" / "run"))
    two = trained(tmp_path / "two" / "run", parquet_file, fabric, seed=1)
    images = []
    for runs in ([one, two], [two]):
        write_comparison(runs, tmp_path / "comparison.html")
        images += embedded((tmp_path / "comparison.html").read_text())
    assert images[0] != images[1]


@pytest.mark.parametrize("damage", ["no-best", "no-recipe", "half-best"])
def test_a_damaged_run_is_refused(tmp_path: Path, trained_run: RunFolder, damage: str) -> None:
    run = RunFolder(shutil.copytree(trained_run.path, tmp_path / "run"))
    if damage == "half-best":
        run.best.write_bytes(run.best.read_bytes()[:100])
    else:
        (run.path / {"no-best": "best.ckpt", "no-recipe": "recipe.yaml"}[damage]).unlink()
    with pytest.raises(RunError, match=str(run.path)):
        write_report(run)
    with pytest.raises(RunError, match=str(run.path)):
        write_comparison([trained_run, run], tmp_path / "comparison.html")
    assert not (tmp_path / "comparison.html").exists()


def test_a_report_on_other_data_is_refused(tmp_path: Path, faces: FaceDataset, trained_run: RunFolder) -> None:
    other = write_folders(faces, tmp_path / "other")
    with pytest.raises(RunError, match="differs from the data"):
        write_report(trained_run, other)
