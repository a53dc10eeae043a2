"""Trains under torchrun and writes the state of each process. Arguments: RECIPE DATA OUT."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from fer_training.config import load_recipe
from fer_training.data import load_dataset
from fer_training.device import build_fabric
from fer_training.run import RunFolder
from fer_training.splits import train_and_validation
from fer_training.trainer import Trainer


def main() -> None:
    plan, out = load_recipe(sys.argv[1]), Path(sys.argv[3])
    data_path = Path(sys.argv[2])
    data = load_dataset(data_path, plan.network.input_size)
    fabric = build_fabric("cpu")
    fabric.launch()
    run = RunFolder(out)
    if fabric.is_global_zero:
        run.start(plan, data, data_path, resume=False)
    fabric.barrier()
    training = Trainer(plan, *train_and_validation(data, plan), run, fabric)
    training.fit()
    judged = training.ema.module if training.ema else training.network
    told = {
        "state": asdict(training.state),
        "parameters": _sum(judged.parameters()),
        "buffers": _sum(judged.buffers()),
    }
    (out / f"rank{fabric.global_rank}.json").write_text(json.dumps(told), encoding="utf-8")


def _sum(tensors: Iterator[torch.Tensor]) -> float:
    return sum(float(tensor.detach().double().sum()) for tensor in tensors)


if __name__ == "__main__":
    main()
