from pathlib import Path

from fer_benchmarks.gpu import batcher_rate, session_rates, write_models
from fer_training.tasks.emotion.recipe import Network

from tests.training.synthetic import NETWORK


def test_models_are_written_in_both_precisions_and_run(tmp_path: Path) -> None:
    models = write_models(Network.model_validate(NETWORK), tmp_path)
    assert {precision for _, precision in models} == {"fp32", "fp16"}
    made = {key: path for key, path in models.items() if key[0] == "resnet18 at 48"}
    rates = dict(session_rates(made, "cpu", [1, 2], 0.01))
    assert list(rates) == ["resnet18 at 48, fp32", "resnet18 at 48, fp16"]
    assert all(list(by_bucket) == [1, 2] for by_bucket in rates.values())


def test_the_batcher_runs_on_the_cpu(tiny_bundle: Path) -> None:
    assert batcher_rate(tiny_bundle, "cpu", 4, 0.01) > 0
