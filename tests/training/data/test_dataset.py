from dataclasses import replace

import numpy as np
import pytest
from fer_training.data import FaceDataset
from fer_training.errors import DataError
from numpy.typing import NDArray


def counts(faces: FaceDataset) -> NDArray[np.int64]:
    return np.bincount(faces.labels, minlength=len(faces.classes))


def test_a_split_holds_its_rows_in_order(faces: FaceDataset) -> None:
    part = faces.split("PublicTest")
    assert part.split_sizes == {"PublicTest": 35}
    assert np.array_equal(part.images, faces.images[84:])
    assert np.array_equal(part.labels, faces.labels[84:])


def test_a_missing_split_is_answered_with_those_that_are_there(faces: FaceDataset) -> None:
    with pytest.raises(DataError, match=r"FER-2013 has no split 'PrivateTest'; available: Training, PublicTest"):
        faces.split("PrivateTest")


def test_with_classes_renumbers_keeps_images_and_leaves_the_others_out(faces: FaceDataset) -> None:
    few = faces.with_classes(("neutral", "angry"))
    assert few.classes == ("neutral", "angry")
    assert counts(few).tolist() == [17, 17]
    assert np.array_equal(few.images[few.labels == 0], faces.images[faces.labels == 6])
    assert np.array_equal(few.images[few.labels == 1], faces.images[faces.labels == 0])
    assert np.array_equal(few.splits[few.labels == 1], faces.splits[faces.labels == 0])


def test_with_all_classes_in_their_order_nothing_changes(faces: FaceDataset) -> None:
    same = faces.with_classes(faces.classes)
    assert np.array_equal(same.labels, faces.labels)
    assert len(same) == len(faces)


def test_a_missing_class_is_answered_with_those_that_are_there(faces: FaceDataset) -> None:
    with pytest.raises(DataError, match=r"has no class 'contempt'; available: angry, disgust, fear"):
        faces.with_classes(("angry", "contempt"))


def test_votes_follow_their_images_and_sum_to_1_over_the_classes_that_are_kept(faces: FaceDataset) -> None:
    votes = np.zeros((len(faces), 7), np.float32)
    votes[faces.labels == 0, :3] = 0.5, 0.3, 0.2
    votes[faces.labels == 2, 1] = 1
    few = replace(faces, votes=votes).split("PublicTest").with_classes(("fear", "angry"))
    assert few.votes is not None
    np.testing.assert_allclose(few.votes[few.labels == 1], np.tile([2 / 7, 5 / 7], (5, 1)), rtol=1e-6)
    assert not few.votes[few.labels == 0].any()


@pytest.mark.parametrize(("count", "a_class"), [(35, 5), (70, 10), (1, 1), (1000, 17)])
def test_stratified_takes_each_class_by_its_share(faces: FaceDataset, count: int, a_class: int) -> None:
    part = faces.stratified(count, seed=0)
    assert counts(part).tolist() == [a_class] * 7
    assert np.array_equal(part.images, faces.stratified(count, seed=0).images)


def test_held_out_takes_the_same_share_of_every_class_from_the_training_split_only(faces: FaceDataset) -> None:
    parted = faces.held_out("Training", 0.25, seed=0)
    assert parted.split_sizes == {"Training": 63, "held-out": 21, "PublicTest": 35}
    assert counts(parted.split("held-out")).tolist() == [3] * 7
    assert np.array_equal(parted.images, faces.images)
    assert (faces.splits[parted.splits == "held-out"] == "Training").all()


def test_held_out_is_decided_by_the_seed(faces: FaceDataset) -> None:
    first, again, other = (faces.held_out("Training", 0.25, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.splits, again.splits)
    assert not np.array_equal(first.splits, other.splits)


def test_the_first_of_several_split_names_counts(faces: FaceDataset) -> None:
    assert faces.first_split(("train", "PublicTest", "Training")) == "PublicTest"
    assert faces.first_split(("train", "test")) is None


def test_renaming_merges_classes_that_get_the_same_name(faces: FaceDataset) -> None:
    merged = faces.renamed({faces.classes[1]: faces.classes[0], "nobody": "x"})
    assert merged.classes == (faces.classes[0], *faces.classes[2:])
    names = [faces.classes[label] for label in faces.labels]
    expected = [faces.classes[0] if name == faces.classes[1] else name for name in names]
    assert [merged.classes[label] for label in merged.labels] == expected


def test_a_limited_set_keeps_every_class_of_every_split(faces: FaceDataset) -> None:
    few = faces.limited(14)
    for name, size in few.split_sizes.items():
        assert 14 <= size <= 21
        assert set(few.split(name).labels) == set(faces.split(name).labels)


def test_rows_can_be_had_as_pixels(faces: FaceDataset) -> None:
    assert np.array_equal(faces.pixels(np.array([3, 1])), np.stack([faces.images[3], faces.images[1]]))


def test_splits_are_found_in_any_spelling(faces: FaceDataset) -> None:
    named = replace(faces, splits=np.where(faces.splits == "Training", "train", "test"))
    assert named.first_split(("Validation", "TEST", "train")) == "test"
    assert len(named.split("Test")) == 35


def test_at_least_one_image_of_each_class_is_held_out_of_a_tiny_set(faces: FaceDataset) -> None:
    tiny = faces.limited(14).split("Training")
    assert counts(tiny.held_out("Training", 0.1, seed=0).split("held-out")).tolist() == [1] * 7


def test_a_split_of_the_data_is_not_mixed_with_the_part_that_is_held_out(faces: FaceDataset) -> None:
    own = replace(faces, splits=np.where(faces.splits == "Training", "train", "held-out"))
    with pytest.raises(DataError, match=r"has a split held-out, .* data: \{validation: \[held-out\]\}"):
        own.held_out("train", 0.1, seed=0)
