from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from fer_service.contract.bundle import Metadata
from fer_training.data import FaceDataset
from fer_training.engine.run_folder import RunFolder
from fer_training.errors import RecipeError, RunError
from fer_training.tasks.emotion.predictions import best_network
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import train_and_validation
from fer_training.tasks.emotion.teachers import Teachers, weights_sha256
from lightning.fabric import Fabric

from tests.training.runs import make_trainer, run_training, start_run
from tests.training.synthetic import ARGUMENTS, NETWORK, PHASE, make_recipe

LEARNER = make_recipe(loss={"teachers": 1.0})


@pytest.fixture(scope="module")
def other_run(tmp_path_factory: pytest.TempPathFactory, faces: FaceDataset, fabric: Fabric) -> RunFolder:
    """A second teacher, with inputs of 40 pixels."""
    recipe = make_recipe(seed=3, network=NETWORK | {"input_size": 40}, phases=[PHASE | {"epochs": 1}])
    return run_training(recipe, faces, RunFolder(tmp_path_factory.mktemp("other")), fabric)


def weights_of(*runs: RunFolder) -> dict[Path, Path]:
    return {run.path: run.best for run in runs}


def test_figures_that_are_written_into_a_teacher_leave_its_weights_the_same(
    exported: tuple[Path, Metadata], tmp_path: Path
) -> None:
    model = onnx.load(exported[0])
    model.metadata_props.add(key="measured", value="later")
    onnx.save(model, tmp_path / "measured.onnx")
    assert weights_sha256(tmp_path / "measured.onnx") == weights_sha256(exported[0])
    model.graph.initializer[0].raw_data = bytes(len(model.graph.initializer[0].raw_data))
    onnx.save(model, tmp_path / "other.onnx")
    assert weights_sha256(tmp_path / "other.onnx") != weights_sha256(exported[0])


def test_a_teacher_that_is_neither_a_file_nor_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"x: not an exported file, and not a run folder with best\.ckpt"):
        weights_sha256(tmp_path / "x")


def test_an_exported_file_teaches_as_its_run_does(
    trained_run: RunFolder, exported: tuple[Path, Metadata], faces: FaceDataset
) -> None:
    levels = torch.from_numpy(faces.images[:5]).permute(0, 3, 1, 2).float()
    file, metadata = exported
    network = best_network(trained_run, trained_run.recipe(EmotionRecipe), len(faces.classes))
    with torch.inference_mode():
        expected = (network(levels) / metadata.temperature).softmax(dim=1)
    found = Teachers([file], LEARNER.network, faces.classes)(levels)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    with pytest.raises(RunError, match=f"--teacher {file} has the classes .*; the student has calm"):
        Teachers([file], LEARNER.network, ("calm",))


def test_several_teachers_are_averaged(trained_run: RunFolder, other_run: RunFolder, faces: FaceDataset) -> None:
    levels = torch.rand(5, 1, 48, 48) * 255
    classes = faces.classes
    each = [Teachers([run.path], LEARNER.network, classes)(levels) for run in (trained_run, other_run)]
    both = Teachers([trained_run.path, other_run.path], LEARNER.network, classes)(levels)
    torch.testing.assert_close(both, (each[0] + each[1]) / 2)
    assert not torch.allclose(each[0], each[1])
    alone = best_network(trained_run, trained_run.recipe(EmotionRecipe), 7)
    torch.testing.assert_close(each[0], alone(levels).softmax(dim=1), atol=1e-4, rtol=1e-3)


def test_a_teacher_is_not_trained(trained_run: RunFolder, faces: FaceDataset) -> None:
    teachers = Teachers([trained_run.path], LEARNER.network, faces.classes)
    assert not any(parameter.requires_grad for parameter in teachers.parameters())
    assert not teachers(torch.rand(2, 1, 48, 48)).requires_grad


def test_a_learner_comes_closer_to_its_teacher(
    tmp_path: Path, trained_run: RunFolder, faces: FaceDataset, fabric: Fabric
) -> None:
    """The labels are shuffled, so that the learner can learn from its teacher only."""
    train, validation = train_and_validation(faces, LEARNER)
    wrong = np.random.default_rng(0).permutation(train.labels)
    shuffled = type(train)(**{**vars(train), "labels": wrong})
    long = LEARNER.model_copy(update={"phases": make_recipe(phases=[PHASE | {"epochs": 8}]).phases})
    run = RunFolder(tmp_path)
    training = make_trainer(long, shuffled, validation, run, fabric, teachers=[trained_run.path])
    levels = torch.from_numpy(np.asarray(train.images)).permute(0, 3, 1, 2).float()
    target = Teachers([trained_run.path], LEARNER.network, faces.classes)(levels)

    def distance() -> float:
        """Mean KL divergence from the teacher's probabilities to the learner's, in nats per training image."""
        network = training.network.eval()
        with torch.inference_mode():
            return float(torch.nn.functional.kl_div(network(levels).log_softmax(1), target, reduction="batchmean"))

    untaught = distance()
    start_run(run, long, faces, tmp_path, resume=False, teachers=weights_of(trained_run))
    training.fit()
    assert distance() < 0.8 * untaught


def test_a_recipe_with_a_teacher_loss_needs_teachers(tmp_path: Path, faces: FaceDataset, fabric: Fabric) -> None:
    with pytest.raises(RecipeError, match="give a finished run or an exported file with --teacher"):
        make_trainer(LEARNER, *train_and_validation(faces, LEARNER), RunFolder(tmp_path), fabric)


def test_teachers_without_a_teacher_loss_are_refused(
    tmp_path: Path, trained_run: RunFolder, faces: FaceDataset, fabric: Fabric
) -> None:
    recipe = make_recipe()
    with pytest.raises(RecipeError, match=r"set loss\.teachers"):
        make_trainer(
            recipe, *train_and_validation(faces, recipe), RunFolder(tmp_path), fabric, teachers=[trained_run.path]
        )


def test_a_teacher_of_other_classes_is_refused(trained_run: RunFolder) -> None:
    with pytest.raises(RunError, match=r"has the classes angry, .*; the student has calm, wild"):
        Teachers([trained_run.path], LEARNER.network, ("calm", "wild"))


def test_a_teacher_with_other_channels_is_refused(trained_run: RunFolder, faces: FaceDataset) -> None:
    colour = make_recipe(
        network={"name": "resnet18", "arguments": ARGUMENTS, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3}
    )
    with pytest.raises(RunError, match=r"has 1 input channel\(s\); the student has 3"):
        Teachers([trained_run.path], colour.network, faces.classes)


def test_a_run_records_its_teachers_and_resumes_with_the_same_ones_only(
    tmp_path: Path, trained_run: RunFolder, other_run: RunFolder, faces: FaceDataset
) -> None:
    run = RunFolder(tmp_path)
    start_run(run, LEARNER, faces, tmp_path, resume=False, teachers=weights_of(trained_run))
    (known,) = run.environment()["teachers"]
    assert known["path"] == str(trained_run.path)
    run.last.write_bytes(b"begun")
    start_run(run, LEARNER, faces, tmp_path, resume=True, teachers=weights_of(trained_run))
    for others in ([other_run], [trained_run, other_run], []):
        with pytest.raises(RunError, match="other teachers"):
            start_run(run, LEARNER, faces, tmp_path, resume=True, teachers=weights_of(*others))
