"""Trains under torchrun and writes what each process thinks of the run: RECIPE DATA OUT."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from training.config import load_recipe
from training.data import load_dataset
from training.device import build_fabric
from training.loop import Training
from training.run import RunFolder
from training.splits import fit_and_select


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
    training = Training(plan, *fit_and_select(data, plan), run, fabric)
    training.go()
    judged = training.ema.module if training.ema else training.network
    told = {
        "standing": asdict(training.standing),
        "parameters": _sum(judged.parameters()),
        "buffers": _sum(judged.buffers()),
    }
    (out / f"rank{fabric.global_rank}.json").write_text(json.dumps(told), encoding="utf-8")


def _sum(tensors: Iterator[torch.Tensor]) -> float:
    return sum(float(tensor.detach().double().sum()) for tensor in tensors)


if __name__ == "__main__":
    main()
