from dataclasses import replace

import numpy as np
import pytest
from fer_training.data import FaceDataset
from fer_training.errors import DataError, RecipeError
from fer_training.tasks.emotion.recipe import Data, EmotionRecipe
from fer_training.tasks.emotion.splits import recipe_classes, train_and_validation, training_doubts, used_splits

from tests.training.synthetic import make_recipe


def renamed(faces: FaceDataset, training: str, public_test: str) -> FaceDataset:
    return replace(faces, splits=np.where(faces.splits == "Training", training, public_test))


@pytest.mark.parametrize(
    ("train_name", "validation_name"), [("Training", "PublicTest"), ("train", "validation"), ("train", "test")]
)
def test_splits_of_the_usual_names_are_found(
    faces: FaceDataset, recipe: EmotionRecipe, train_name: str, validation_name: str
) -> None:
    train, validation = train_and_validation(renamed(faces, train_name, validation_name), recipe)
    assert (train.split_sizes, validation.split_sizes) == ({train_name: 84}, {validation_name: 35})


def test_validation_is_taken_before_test(faces: FaceDataset, recipe: EmotionRecipe) -> None:
    splits = np.array(["test", "val", "train"])[np.arange(len(faces)) % 3]
    _, validation = train_and_validation(replace(faces, splits=splits), recipe)
    assert list(validation.split_sizes) == ["val"]


def test_the_recipe_may_name_other_splits(faces: FaceDataset) -> None:
    swapped = make_recipe(data={"train": ["PublicTest"], "validation": ["Training"]})
    train, validation = train_and_validation(faces, swapped)
    assert (train.split_sizes, validation.split_sizes) == ({"PublicTest": 35}, {"Training": 84})


@pytest.mark.parametrize("name", ["train", "all"])
def test_without_a_split_to_choose_by_a_stratified_part_is_held_out(faces: FaceDataset, name: str) -> None:
    train, validation = train_and_validation(renamed(faces, name, name), make_recipe(data={"hold_out": 0.2}))
    assert validation.split_sizes == {"held-out": 21}
    assert train.split_sizes == {name: 98}
    assert np.bincount(validation.labels).tolist() == [3] * 7


def test_what_is_held_out_depends_on_the_recipes_seed_alone(faces: FaceDataset) -> None:
    whole = renamed(faces, "all", "all")
    first, again, other = (train_and_validation(whole, make_recipe(seed=seed))[1].images for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_several_splits_with_unknown_names_are_refused(faces: FaceDataset, recipe: EmotionRecipe) -> None:
    with pytest.raises(
        DataError, match=r"has the splits odd, even, .* trains on Training or train: set data\.train"
    ):
        train_and_validation(renamed(faces, "odd", "even"), recipe)


@pytest.mark.parametrize("odd", ["Übung", "fold 1"])
def test_the_way_out_names_no_split_for_tests(faces: FaceDataset, recipe: EmotionRecipe, odd: str) -> None:
    with pytest.raises(DataError, match=rf"data: {{train: \[{odd}\]}}"):
        train_and_validation(renamed(faces, "PublicTest", odd), recipe)


def test_what_each_split_is_used_for_is_said(faces: FaceDataset) -> None:
    splits = np.array(["test", "train", "PrivateTest"])[np.arange(len(faces)) % 3]
    three = replace(faces, splits=splits)
    assert used_splits(three, Data()) == "train for training, test for validation; not used: PrivateTest"
    held_out = "90% of {} for training, the other 10% for validation"
    assert used_splits(renamed(faces, "all", "all"), Data()) == held_out.format("the images")
    assert used_splits(renamed(faces, "train", "train"), Data()) == held_out.format("train")


def test_a_single_split_is_never_its_own_validation(faces: FaceDataset, recipe: EmotionRecipe) -> None:
    train, validation = train_and_validation(renamed(faces, "test", "test"), recipe)
    assert len(train) + len(validation) == len(faces)
    assert validation.split_sizes.keys() == {"held-out"}


def test_one_image_per_class_is_too_few_to_hold_out(faces: FaceDataset, recipe: EmotionRecipe) -> None:
    few = faces.limited(7).split("Training")
    with pytest.raises(DataError, match=r"7 images are too few to hold out 10% of each class"):
        train_and_validation(few, recipe)
    assert [doubt.refused for doubt in training_doubts(few, recipe.data)][-1]


def test_missing_labels_that_have_other_names_are_answered_with_the_line_that_mends_it(faces: FaceDataset) -> None:
    plan = make_recipe(data={"labels": ["happiness", "sad"], "rename": {"angry": "anger"}})
    with pytest.raises(DataError, match=r"data: \{rename: \{angry: anger, happy: happiness\}\}"):
        recipe_classes(faces, plan)


def test_a_recipe_renames_merges_orders_and_leaves_out_classes(faces: FaceDataset) -> None:
    plan = make_recipe(
        data={"rename": {"disgust": "bad", "angry": "bad", "none": "x"}, "labels": ["happy", "bad"]}
    )
    found = recipe_classes(faces, plan)
    assert found.classes == ("happy", "bad")
    names = [faces.classes[label] for label in faces.labels]
    expected = [name for name in names if name in {"happy", "disgust", "angry"}]
    assert [found.classes[label] == "happy" for label in found.labels] == [name == "happy" for name in expected]


def test_merged_classes_have_their_votes_together(faces: FaceDataset) -> None:
    votes = np.tile(np.array([[0.25, 0.5, 0, 0.25, 0, 0, 0]], np.float32), (len(faces), 1))
    found = recipe_classes(replace(faces, votes=votes), make_recipe(data={"rename": {"disgust": "angry"}}))
    assert found.votes is not None
    assert found.votes.shape == (len(faces), 6)
    np.testing.assert_allclose(found.votes[0], [0.75, 0, 0.25, 0, 0, 0])


def test_by_default_the_classes_are_those_of_the_data(faces: FaceDataset, recipe: EmotionRecipe) -> None:
    assert recipe_classes(faces, recipe).classes == faces.classes


def test_a_class_that_the_renamed_data_lacks_is_answered_with_those_it_has(faces: FaceDataset) -> None:
    plan = make_recipe(data={"rename": {"happy": "joy"}, "labels": ["happy", "sad"]})
    with pytest.raises(DataError, match=r"no class 'happy'; available: angry, disgust, fear, joy"):
        recipe_classes(faces, plan)


def test_a_recipe_that_lists_several_splits_for_training_is_refused(faces: FaceDataset) -> None:
    splits = np.array(["fold1", "fold2", "fold3"])[np.arange(len(faces)) % 3]
    plan = make_recipe(data={"train": ["fold1", "fold2"], "validation": ["fold3"]})
    with pytest.raises(DataError, match="must match one split, but it matches fold1, fold2: put"):
        train_and_validation(replace(faces, splits=splits), plan)


def test_splits_that_are_all_for_tests_are_no_example(faces: FaceDataset, recipe: EmotionRecipe) -> None:
    splits = np.array(["val", "test"])[np.arange(len(faces)) % 2]
    with pytest.raises(DataError, match="none for training: add a split named train"):
        train_and_validation(replace(faces, splits=splits), recipe)


def test_a_recipe_may_rename_spellings_that_the_data_lacks(faces: FaceDataset) -> None:
    plan = make_recipe(data={"rename": {"surprised": "surprise", "joy": "happy"}})
    assert recipe_classes(faces, plan).classes == faces.classes


def test_a_recipe_with_one_label_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"data\.labels"):
        make_recipe(data={"labels": ["happy"]})
