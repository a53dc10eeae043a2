from pathlib import Path

import pytest
import yaml
from fer_training.data.labels import FER2013_LABELS
from fer_training.engine.recipe import available_recipes, read_recipe, validate_recipe
from fer_training.errors import RecipeError
from fer_training.tasks.emotion.model import EmotionNetwork
from fer_training.tasks.emotion.recipe import EmotionRecipe, load_recipe

from tests.training.synthetic import NETWORK, PHASE, make_recipe, recipe_content


def with_optimizer(**changes: object) -> list[dict[str, object]]:
    optimizer = PHASE["optimizer"]
    assert isinstance(optimizer, dict)
    return [PHASE | {"optimizer": optimizer | changes}]


def with_schedule(**changes: object) -> list[dict[str, object]]:
    return [PHASE | {"schedule": {"name": "constant"} | changes}]


@pytest.mark.parametrize(
    "name", sorted(set(available_recipes()) - {"detector", "fine-tune-detector", "landmarks"})
)
def test_a_shipped_recipe_loads_by_its_name_and_describes_a_network(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    classes = len(recipe.data.labels or FER2013_LABELS)
    head = EmotionNetwork(recipe.network, classes).heads[0]
    assert list(head.parameters())[-1].shape == (classes,)


def test_some_recipe_is_shipped() -> None:
    assert available_recipes()


def test_a_recipe_reads_the_same_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(recipe_content()), encoding="utf-8")
    assert load_recipe(path) == load_recipe(str(path)) == make_recipe()


def test_epochs_are_those_of_all_phases() -> None:
    assert make_recipe(phases=[PHASE, PHASE | {"epochs": 4}]).epochs == 7


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"colour": "red"}, "colour: unknown name"),
        ({"network": NETWORK | {"nmae": "resnet18"}}, "network.nmae: unknown name"),
        ({"augment": {"flop": 0.5}}, "augment.flop: unknown name"),
        ({"crop": {"margin": 1.2}}, "crop.margin: unknown name"),
        ({"phases": with_optimizer(rate=0.1)}, "phases.0.optimizer.rate: unknown name"),
        (
            {"phases": with_optimizer(name="adam", momentum=0.5)},
            "phases.0.optimizer: momentum has no effect with adam",
        ),
        (
            {"phases": with_schedule(factor=0.5)},
            "phases.0.schedule: factor has no effect with constant: leave it out",
        ),
        (
            {"phases": with_schedule(name="onecycle", warmup_epochs=1)},
            "phases.0.schedule: warmup_epochs has no effect with onecycle",
        ),
        ({"batch_size": "many"}, "batch_size: must be a whole number, not many"),
        ({"batch_size": 0}, "batch_size: must be at least 1, not 0"),
        ({"name": "Not A Name"}, "name: String should match"),
        ({"network": "resnet18"}, "network: must be a mapping of names to values, not resnet18"),
        ({"network": NETWORK | {"channels": 2}}, "network.channels: must be 1 or 3, not 2"),
        ({"network": NETWORK | {"mean": [0.5, 0.5]}}, "network: mean and std need 1 value"),
        ({"network": NETWORK | {"channels": 3, "mean": [0.5] * 3}}, "network: mean and std need 3"),
        ({"phases": []}, "phases: must have at least 1 value(s)"),
        (
            {"phases": [PHASE | {"trainable": "tail"}]},
            "phases.0.trainable.literal['all','head']: must be 'all' or 'head', not tail",
        ),
        ({"phases": with_optimizer(lr=0)}, "phases.0.optimizer.lr: must be greater than 0.0, not 0"),
        ({"phases": [{"name": "all", "epochs": 1}]}, "phases.0.optimizer: missing"),
        ({"ema_decay": 1.0}, "ema_decay: must be less than 1.0, not 1.0"),
    ],
)
def test_a_wrong_line_is_named(changes: dict[str, object], line: str) -> None:
    with pytest.raises(RecipeError) as caught:
        validate_recipe(EmotionRecipe, recipe_content(**changes), "mine.yaml")
    assert str(caught.value).startswith(f"recipe mine.yaml: {line}")


@pytest.mark.parametrize("content", [None, "words", ["a", "list"]])
def test_an_empty_file_is_not_a_recipe(content: object) -> None:
    with pytest.raises(RecipeError, match=r"recipe mine\.yaml: the whole file: "):
        validate_recipe(EmotionRecipe, content, "mine.yaml")


def test_an_unknown_recipe_error_lists_the_available_recipes() -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("no-such-recipe")
    assert "no-such-recipe" in str(caught.value)
    assert all(name in str(caught.value) for name in available_recipes())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"absent\.yaml: No such file or directory"):
        load_recipe(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    "content", [b"name: [1,", b"name: tiny\n\tbatch_size: 1\n", b"name: \xff\xfe"], ids=["open", "tab", "not-utf8"]
)
def test_a_file_that_is_not_yaml_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=r"odd\.yaml is not YAML"):
        load_recipe(path)


def test_a_key_that_comes_twice_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("name: tiny\ndata: {labels: [happy, sad]}\ndata: {rename: {joy: happy}}\n")
    with pytest.raises(RecipeError, match="the key data comes twice"):
        load_recipe(path)


@pytest.mark.parametrize("content", ["lr: {{ lr }}", "? [a, b]\n: 1", "a: !!map foo"])
def test_odd_keys_are_refused_by_the_name_of_the_recipe(tmp_path: Path, content: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=r"odd\.yaml"):
        load_recipe(path)


def test_merged_keys_may_come_again(tmp_path: Path) -> None:
    path = tmp_path / "merged.yaml"
    path.write_text("a: &a {lr: 1, m: 2}\nb: {c: &c {<<: *a, lr: 3}}\nd: {<<: *c}\n")
    content, _ = read_recipe(path)
    assert content == {"a": {"lr": 1, "m": 2}, "b": {"c": {"lr": 3, "m": 2}}, "d": {"lr": 3, "m": 2}}


def test_a_changed_recipe_has_another_seed_or_shorter_phases() -> None:
    recipe = make_recipe(phases=[PHASE, PHASE | {"epochs": 9}], seed=3)
    assert recipe.changed() == recipe
    assert recipe.changed(seed=0) == make_recipe(phases=[PHASE, PHASE | {"epochs": 9}], seed=0)
    assert recipe.changed(epochs=5) == make_recipe(phases=[PHASE, PHASE | {"epochs": 5}], seed=3)


@pytest.mark.parametrize("trainable", ["all", "head", {"from": "layer4"}, {"last": 50}])
def test_what_a_phase_trains_reads_the_same_when_it_was_written(trainable: object) -> None:
    recipe = make_recipe(phases=[PHASE | {"trainable": trainable}])
    written = yaml.safe_dump(recipe.model_dump(mode="json", by_alias=True))
    assert validate_recipe(EmotionRecipe, yaml.safe_load(written), "again") == recipe


@pytest.mark.parametrize("trainable", [{"last": 0}, {"from": "layer4", "last": 2}, {"first": 3}])
def test_a_phase_trains_one_of_the_named_things(trainable: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=r"phases\.0\.trainable"):
        make_recipe(phases=[PHASE | {"trainable": trainable}])
