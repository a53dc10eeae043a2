from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fer_training.data import FaceDataset
from fer_training.engine.run_folder import RunFolder
from fer_training.engine.trainer import Trainer
from fer_training.errors import RecipeError, RunError
from fer_training.tasks.emotion.learner import EmotionLearner
from fer_training.tasks.emotion.recipe import EmotionRecipe
from fer_training.tasks.emotion.splits import train_and_validation
from fer_training.tasks.emotion.teachers import Teachers
from lightning.fabric import Fabric

from tests.training.runs import assert_same, checkpoint, make_trainer, start_run, without_times
from tests.training.synthetic import PHASE, make_recipe

STRONG = {"rotate": 30, "shift": 0.1, "exposure": 0.5, "flip": 0.5, "mixup": 0.4}
RECIPE = make_recipe(
    loss={"teachers": 1.0, "teacher_views": 2}, augment=STRONG, phases=[PHASE | {"epochs": 3}], seed=2
)

Learn = Callable[..., Trainer]


def learned(trainer: Trainer) -> EmotionLearner:
    assert isinstance(trainer.learner, EmotionLearner)
    return trainer.learner


@pytest.fixture
def learner(tmp_path: Path, trained_run: RunFolder, faces: FaceDataset, fabric: Fabric) -> Learn:
    def build(out: str = "run", recipe: EmotionRecipe = RECIPE, cache: Path | None = None) -> Trainer:
        run = RunFolder(tmp_path / out)
        start_run(run, recipe, faces, tmp_path, resume=True, teachers={trained_run.path: trained_run.best})
        splits = train_and_validation(faces, recipe)
        cache = cache or run.path / "teacher-cache"
        return make_trainer(recipe, *splits, run, fabric, teachers=[trained_run.path], teacher_cache=cache)

    return build


def test_the_cached_probabilities_are_those_of_the_teachers_on_the_cached_images(
    learner: Learn, trained_run: RunFolder, faces: FaceDataset
) -> None:
    views = learned(learner()).views
    assert views is not None
    teachers = Teachers([trained_run.path], RECIPE.network, faces.classes).eval()
    first, second = views.load(0), views.load(1)
    for view in (first, second):
        torch.testing.assert_close(view.probabilities, teachers(view.pixels.float()), atol=0.02, rtol=0)
    assert not torch.equal(first.pixels, second.pixels)
    assert torch.equal(views.load(2).pixels, first.pixels)


def test_the_teachers_are_asked_once_for_all_runs_that_share_a_cache(learner: Learn, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    learner("first", cache=cache).fit()
    second = learner("second", cache=cache)
    teachers = learned(second).teachers
    assert teachers is not None

    def refuse(*_: object) -> None:
        raise AssertionError("the teachers were asked again")

    teachers.register_forward_pre_hook(refuse)
    second.fit()
    assert without_times(second.run) == without_times(RunFolder(tmp_path / "first"))
    assert_same(checkpoint(second.run.last), checkpoint(tmp_path / "first" / "last.ckpt"))


def test_a_cache_of_another_seed_is_refused(learner: Learn, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    learner("first", cache=cache)
    with pytest.raises(RunError, match="was made with other seed; give another folder"):
        learner("second", RECIPE.changed(seed=3), cache)


def test_a_cache_without_views_in_the_recipe_is_refused(learner: Learn, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"set loss\.teacher_views"):
        learner(recipe=make_recipe(loss={"teachers": 1.0}), cache=tmp_path / "cache")


def test_views_and_smaller_phases_exclude_each_other() -> None:
    with pytest.raises(RecipeError, match="teacher_views requires the network's input_size"):
        make_recipe(loss={"teachers": 1.0, "teacher_views": 2}, phases=[PHASE | {"input_size": 24}])
