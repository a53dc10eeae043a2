"""Network morphism: widen a network without changing its output (Chen et al. 2016, Net2Net, arXiv:1511.05641).

Net2Net copies channels and divides their weights. Here, new channels get random weights, and the old channels do
not read them. So all channels differ and no noise is needed.
"""

import torch

from fer_training.tasks.detection.network import DetectorNetwork


@torch.no_grad()
def widen(wider: DetectorNetwork, narrower: DetectorNetwork) -> None:
    """Copy a narrower network into the first channels of a wider one. The old channels read no new ones.

    Args:
        wider: Network with random weights, changed in place. At least as wide in every layer, with the same
            blocks.
        narrower: Network to copy.
    """
    known = narrower.state_dict()
    for name, weights in wider.state_dict().items():
        before = known[name]
        if before.dim() == 0:  # batch counter of a batch norm
            weights.copy_(before)
            continue
        first = weights[: len(before)]
        first.zero_()
        first[tuple(slice(extent) for extent in before.shape)] = before
