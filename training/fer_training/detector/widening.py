"""A wider network that begins by answering as a narrower one (Chen et al. 2016, Net2Net, arXiv:1511.05641).

Net2Net copies channels and shares their weights out. Here the further channels have random weights and nothing
reads them at first, so that no two are alike and no noise is needed to part them.
"""

import torch

from fer_training.detector.network import DetectorNetwork


@torch.no_grad()
def widen(wider: DetectorNetwork, narrower: DetectorNetwork) -> None:
    """Let the first channels of every layer be the narrower network's, and let these read no others.

    Args:
        wider: Changed in place; at least as wide everywhere, with as many blocks.
        narrower: Whose answers it is to give.
    """
    known = narrower.state_dict()
    for name, weights in wider.state_dict().items():
        before = known[name]
        if before.dim() == 0:  # how many batches a norm has seen
            weights.copy_(before)
            continue
        first = weights[: len(before)]
        first.zero_()
        first[tuple(slice(extent) for extent in before.shape)] = before
