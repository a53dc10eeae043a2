from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fer_service.contract.boxes import Box
from fer_service.detection.detector import Face
from fer_service.detection.own import OUTPUT_NAMES, DetectorMetadata, open_own
from fer_service.onnx.session import Session
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import ExportError, RunError
from fer_training.tasks.detection.assets import SceneAssets
from fer_training.tasks.detection.boxes import no_boxes
from fer_training.tasks.detection.export import (
    averaged_detector,
    calibrated,
    export_detector,
    fit_platt_scaling,
    frame_scale,
)
from fer_training.tasks.detection.recipe import DetectionRecipe
from fer_training.tasks.detection.scoring import EvalResult, evaluate

from tests.fakes import FakeDetector
from tests.training.tasks.detection.made import face_tile, make_recipe


def test_the_file_finds_the_held_out_faces(exported: tuple[Path, DetectorMetadata], run_data: SceneAssets) -> None:
    path, metadata = exported
    judged = evaluate(open_own(path, 640), run_data.held_out)
    assert judged.average_precision(*judged.kinds()["all"]) == pytest.approx(metadata.found["all"].ap50, abs=1e-3)
    # False boxes in images without people lower the scores, some below the 0.01 at which faces stop counting. How
    # many depends on the CPU. Of an untrained network it would be 0.
    assert metadata.found["all"].ap50 > 0.15
    assert metadata.found["all"].count == 6


def test_boxes_in_images_without_people_lower_the_scores(detector_run: RunFolder, run_data: SceneAssets) -> None:
    network, _ = averaged_detector(detector_run, detector_run.recipe(DetectionRecipe))
    faceless = tuple(replace(photo, boxes=no_boxes(), bare=np.empty(0, bool)) for photo in run_data.train)
    image = torch.from_numpy(run_data.held_out[0].pixels[None, :96, :128].copy())
    before, after = (
        calibrated(network, each)(image)[1].max() for each in (run_data, replace(run_data, empty=faceless))
    )
    assert after < 0.8 * before


def test_it_keeps_to_operators_that_every_gpu_build_has(exported: tuple[Path, DetectorMetadata]) -> None:
    # onnxruntime's CUDA provider had no Pad of opset 19 or newer before 2026, and CPU nodes are refused.
    assert max(entry.version for entry in onnx.load(exported[0]).opset_import) <= 18


def test_no_node_of_the_graph_asks_for_a_shape(exported: tuple[Path, DetectorMetadata]) -> None:
    kinds = {node.op_type for node in onnx.load(exported[0]).graph.node}
    assert not kinds & {"Shape", "Size", "Gather", "ConstantOfShape", "Range", "BatchNormalization"}


@pytest.mark.parametrize("shape", [(32, 32), (64, 160), (640, 480)])
def test_any_size_and_any_number_of_images(
    exported: tuple[Path, DetectorMetadata], shape: tuple[int, int]
) -> None:
    session = Session.open(exported[0], device="cpu", threads=1)
    images = np.random.default_rng(0).integers(0, 256, (3, *shape, 3)).astype(np.uint8)
    together = session.run(OUTPUT_NAMES, {"images": images})
    alone = [session.run(OUTPUT_NAMES, {"images": image[None]}) for image in images]
    assert together[1] == pytest.approx(np.concatenate([scores for _, scores in alone]), abs=1e-5)


def test_the_file_says_where_it_comes_from(exported: tuple[Path, DetectorMetadata], run_data: SceneAssets) -> None:
    path, metadata = exported
    assert metadata.data.images == (len(run_data.train), len(run_data.held_out))
    assert metadata.data.sha256 == run_data.sha256
    assert metadata.parity < 1e-3
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert f"| all, at least 12 px | 6 | {metadata.found['all'].ap50:.3f} |" in card
    assert metadata.licence in card


def test_the_crops_frame_is_measured_on_faces_of_known_size() -> None:
    # Each face has a height of 144 pixels in its image.
    faces = np.stack([face_tile()] * 3)
    assert frame_scale(FakeDetector(Face(Box(90, 90, 100, 120), 0.9)), faces) == pytest.approx(1.2)


def test_a_run_without_weights_is_an_error(tmp_path: Path, assets: SceneAssets) -> None:
    run, recipe = RunFolder(tmp_path), make_recipe()
    run.start(recipe, {"data": {"sha256": ["1", "2"], "limit": None}}, resume=False)
    with pytest.raises(RunError, match=r"has no last\.ckpt: no epoch is complete"):
        export_detector(run, recipe, assets, tmp_path / "out.onnx")


@pytest.mark.parametrize("content", [{}, {"state": {"epoch": 1}}, {"state": 3}])
def test_a_checkpoint_of_something_else_is_an_error(tmp_path: Path, content: dict[str, object]) -> None:
    torch.save(content, RunFolder(tmp_path).last)
    with pytest.raises(RunError, match="does not match the run"):
        averaged_detector(RunFolder(tmp_path), make_recipe())


def test_a_detector_that_finds_nothing_has_no_frame() -> None:
    with pytest.raises(ExportError, match="finds none of 3 training faces"):
        frame_scale(FakeDetector(), np.stack([face_tile()] * 3))


def test_a_calibrated_score_is_the_chance_of_a_face() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 4000)
    # The true probability of a face is steeper than the scores.
    truth = rng.random(4000) < 1 / (1 + np.exp(-(2.5 * logits - 1)))
    none, one = np.zeros(4000, np.int64), np.ones(1)
    scores, faces = 1 / (1 + np.exp(-logits)), np.where(truth, 0, -1)
    judged = EvalResult(1, scores, np.full(4000, 30.0), none, faces, one * 30, one.astype(bool), none[:1])
    slope, shift = fit_platt_scaling(judged)
    assert slope == pytest.approx(2.5, abs=0.25)
    assert shift == pytest.approx(-1, abs=0.15)
