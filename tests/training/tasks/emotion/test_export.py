import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fer_service import __version__
from fer_service.classification.classifier import open_classifier
from fer_service.contract.bundle import Metadata, Metrics
from fer_service.onnx.session import Session
from fer_service.system.files import file_sha256
from fer_training.data import FaceDataset, load_dataset
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import ExportError, RunError
from fer_training.tasks.emotion.calibrate import fit_temperature
from fer_training.tasks.emotion.evaluate import served_crops
from fer_training.tasks.emotion.export import _check_parity, export
from fer_training.tasks.emotion.labelled_images import evaluate_file
from fer_training.tasks.emotion.model import ExportWrapper
from fer_training.tasks.emotion.predictions import best_network
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import train_and_validation
from lightning.fabric import Fabric
from onnx import numpy_helper

from tests.training.runs import make_trainer, start_run
from tests.training.synthetic import NETWORK, PHASE, make_recipe, write_folders

SIX = ("neutral", "angry", "fear", "happy", "sad", "surprise")
Exported = tuple[Path, Metadata]


@pytest.fixture(scope="module")
def moved_folders(tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset) -> Path:
    return tmp_path_factory.mktemp("moved") / "after"


@pytest.fixture(scope="module")
def exported_six(
    tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset, moved_folders: Path, fabric: Fabric
) -> Exported:
    """A run of an RGB network with six classes and smaller images, whose data was moved before the export."""
    recipe = make_recipe(
        network=NETWORK | {"channels": 3, "mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.1], "input_size": 40},
        data={"labels": SIX},
        phases=[PHASE | {"epochs": 1}],
    )
    before = write_folders(faces, moved_folders.parent / "before")
    run = RunFolder(tmp_path_factory.mktemp("six") / "run")
    data = load_dataset(before, 40).with_classes(SIX)
    start_run(run, recipe, data, before, resume=False)
    make_trainer(recipe, *train_and_validation(data, recipe), run, fabric).fit()
    before.rename(moved_folders)
    out = run.path.parent / "deep" / "six.onnx"
    return out, export(run, out, moved_folders)


@pytest.fixture(params=["exported", "exported_six"])
def bundle(request: pytest.FixtureRequest) -> Exported:
    found: Exported = request.getfixturevalue(request.param)
    return found


def test_the_exported_file_keeps_the_contract(bundle: Exported) -> None:
    path, metadata = bundle
    classifier = open_classifier(path, "cpu", threads=1)
    assert classifier.bundle.metadata == metadata
    size = metadata.input_size
    crops = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), dtype=np.uint8)
    together = classifier.classify(list(crops))
    assert together.shape == (5, len(metadata.labels))
    assert together.dtype == np.float32
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-5)
    alone = np.concatenate([classifier.classify([crop]) for crop in crops])
    np.testing.assert_allclose(alone, together, atol=1e-5)


def test_the_graph_has_no_shape_nodes(bundle: Exported) -> None:
    graph = onnx.load(bundle[0]).graph
    assert {node.op_type for node in graph.node}.isdisjoint({"Shape", "Gather", "Size", "NonZero"})


def test_the_file_is_self_contained_and_has_no_source_paths(bundle: Exported) -> None:
    path, _ = bundle
    model = onnx.load(path, load_external_data=False)
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert sorted(entry.name for entry in path.parent.iterdir()) == [path.with_suffix(".md").name, path.name]
    assert [entry.key for entry in model.metadata_props] == ["fer"]
    assert b".py" not in path.read_bytes()


def test_the_metadata_figures_are_those_the_file_scores(exported: Exported, parquet_file: Path) -> None:
    path, metadata = exported
    evaluation = evaluate_file(path, parquet_file, "PublicTest").evaluation
    assert metadata.metrics == Metrics.model_validate(evaluation.model_dump())
    assert metadata.metrics.accuracy > 3 / 7  # three times chance


def test_the_figures_of_a_network_with_other_input_are_those_the_file_scores(
    exported_six: Exported, moved_folders: Path
) -> None:
    path, metadata = exported_six
    evaluation = evaluate_file(path, moved_folders, "PublicTest").evaluation
    assert metadata.metrics == Metrics.model_validate(evaluation.model_dump())


def test_the_metadata_says_what_the_file_was_made_from(exported: Exported, parquet_file: Path) -> None:
    _, metadata = exported
    assert (metadata.name, metadata.recipe, metadata.version) == ("tiny", "tiny", __version__)
    assert metadata.data.splits == {"Training": 84, "PublicTest": 35}
    assert metadata.data.sha256 == file_sha256(parquet_file)
    assert metadata.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert 0.05 <= metadata.temperature <= 20


def test_a_run_that_was_stopped_is_exported_with_its_epochs_and_mirrored_with_one_network(
    tmp_path: Path, trained_run: RunFolder, exported: Exported
) -> None:
    run = RunFolder(shutil.copytree(trained_run.path, tmp_path / "run"))
    lines = (run.path / "metrics.jsonl").read_text("utf-8").splitlines(keepends=True)
    (run.path / "metrics.jsonl").write_text("".join(lines[:-1]), "utf-8")
    plain, mirrored = exported[0], tmp_path / "mirrored.onnx"
    assert export(run, mirrored, mirror=True).epochs == run.recipe(EmotionRecipe).epochs - 1
    convolutions = [
        sum(node.op_type == "Conv" for node in onnx.load(path).graph.node) for path in (plain, mirrored)
    ]
    assert convolutions[0] == convolutions[1] > 0


def test_labels_and_size_are_the_recipes(exported_six: Exported) -> None:
    _, metadata = exported_six
    assert (metadata.labels, metadata.input_size, metadata.metrics.count) == (SIX, 40, 30)


def test_parity_is_recorded_over_the_whole_selection_split(bundle: Exported) -> None:
    _, metadata = bundle
    assert 0 <= metadata.parity.max_difference <= 1e-4
    assert metadata.parity.rows == metadata.metrics.count


def test_a_small_validation_split_does_not_choose_the_threshold(exported: Exported) -> None:
    _, metadata = exported
    assert (metadata.metrics.count, metadata.uncertain_below) == (35, 0.7)


def test_the_card_is_in_the_folder_of_the_file(bundle: Exported) -> None:
    path, metadata = bundle
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"{metadata.metrics.accuracy:.2%}" in text
    assert metadata.data.sha256 in text


@pytest.mark.parametrize(
    ("bias", "answers"), [(0.05, 0), (1e-5, 35), (50.0, 35)], ids=["one probability", "every answer", "both"]
)
def test_a_graph_that_does_not_do_what_the_network_does_is_refused(
    tmp_path: Path, exported: Exported, trained_run: RunFolder, faces: FaceDataset, bias: float, answers: int
) -> None:
    path, metadata = exported
    crops = np.stack(list(served_crops(faces.split("PublicTest").images, 48, metadata.crop)))
    network = best_network(trained_run, trained_run.recipe(EmotionRecipe), 7)
    served = ExportWrapper(network, 1, metadata.temperature).eval()
    assert _check_parity(served, Session.open(path, device="cpu", threads=1), crops).rows == 35

    # The network's head now gives equal logits; the graph prefers one class.
    torch.nn.init.zeros_(network.heads[0].weight)
    torch.nn.init.zeros_(network.heads[0].bias)
    model = onnx.load(path)
    preferred = np.eye(7, dtype=np.float32)[1 if answers else 0] * bias
    for tensor in model.graph.initializer:
        if tensor.name.endswith("fc.weight"):
            tensor.CopyFrom(numpy_helper.from_array(np.zeros(tensor.dims, np.float32), tensor.name))
        if tensor.name.endswith("fc.bias"):
            tensor.CopyFrom(numpy_helper.from_array(preferred, tensor.name))
    onnx.save(model, tmp_path / "tampered.onnx")
    session = Session.open(tmp_path / "tampered.onnx", device="cpu", threads=1)
    with pytest.raises(
        ExportError, match=rf"probabilities .* \(at most 1e-04\), top-1 class changed for {answers} of 35 images"
    ):
        _check_parity(served, session, crops)


def test_the_exported_probabilities_have_the_temperature_of_their_split(
    exported_six: Exported, moved_folders: Path
) -> None:
    path, metadata = exported_six
    validation = load_dataset(moved_folders, 40).with_classes(SIX).split("PublicTest")
    answers = open_classifier(path, "cpu", 1).classify(list(validation.images))
    assert metadata.temperature != pytest.approx(1, abs=0.01)
    logits = np.log(answers) * np.float32(metadata.temperature)
    assert fit_temperature(logits, validation.labels) == pytest.approx(metadata.temperature, rel=0.01)


def test_data_of_another_run_is_refused(tmp_path: Path, trained_run: RunFolder, csv_file: Path) -> None:
    with pytest.raises(
        RunError,
        match=r"fer2013\.csv differs from the data that .* was trained on: give the original data with --data",
    ):
        export(trained_run, tmp_path / "out.onnx", csv_file)
    assert not list(tmp_path.iterdir())


def test_a_run_without_weights_is_refused(tmp_path: Path, trained_run: RunFolder) -> None:
    run = RunFolder(shutil.copytree(trained_run.path, tmp_path / "run"))
    run.best.unlink()
    with pytest.raises(RunError, match=r"has no best\.ckpt: no epoch is complete"):
        export(run, tmp_path / "out.onnx")


@pytest.mark.parametrize("content", [b"", b"no weights"], ids=["empty", "text"])
def test_damaged_weights_are_refused_by_name(tmp_path: Path, trained_run: RunFolder, content: bytes) -> None:
    run = RunFolder(shutil.copytree(trained_run.path, tmp_path / "run"))
    run.best.write_bytes(content)
    with pytest.raises(RunError, match=r"best\.ckpt"):
        export(run, tmp_path / "out.onnx")


def test_a_diverged_network_is_refused(tmp_path: Path, trained_run: RunFolder) -> None:
    run = RunFolder(shutil.copytree(trained_run.path, tmp_path / "run"))
    saved = torch.load(run.best, weights_only=True)
    saved["network"] = {name: tensor * float("nan") for name, tensor in saved["network"].items()}
    torch.save(saved, run.best)
    with pytest.raises(ExportError, match="its training diverged"):
        export(run, tmp_path / "out.onnx")


def test_an_unwritable_output_is_named(tmp_path: Path, trained_run: RunFolder) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match=r"out\.onnx"):
        export(trained_run, tmp_path / "file" / "out.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(ExportError, match="Is a directory"):
        export(trained_run, tmp_path / "folder.onnx")
    with pytest.raises(ExportError, match=r"out\.md: give a name that ends in \.onnx"):
        export(trained_run, tmp_path / "out.md")
