"""Random augmentation of batches on the training device."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from fer_training.tasks.emotion.recipe import Augment

_BLUR_REACH = 4  # pixels; more than 2.5 times the largest sigma


def augment(levels: Tensor, config: Augment) -> Tensor:
    """Augment each image of a batch with the random generator of its device.

    Args:
        levels: float [N, C, S, S], 0 to 255.
        config: Strengths. A strength of 0 disables the augmentation.

    Returns:
        Augmented images, shape and range of `levels`.
    """
    if config.flip or config.rotate or config.scale or config.shift:
        levels = _affine(levels, config)
    if config.brightness or config.contrast or config.exposure:
        levels = _tone(levels, config)
    if config.blur:
        levels = _blur(levels, config.blur)
    if config.erase:
        levels = _erase(levels, config.erase)
    return levels


def mix(levels: Tensor, targets: Tensor, config: Augment) -> tuple[Tensor, Tensor]:
    """Apply mixup or CutMix between the batch and a permutation of it. If both are set, choose one at random.

    Args:
        levels: float [N, C, S, S].
        targets: float [N, M].
        config: Strengths. If both are 0, the batch is returned unchanged.

    Returns:
        Mixed images and targets, same shapes.
    """
    if config.mixup and config.cutmix:
        use_mixup = bool(torch.rand(()) < 0.5)
        return mixup(levels, targets, config.mixup) if use_mixup else cutmix(levels, targets, config.cutmix)
    if config.mixup:
        return mixup(levels, targets, config.mixup)
    return cutmix(levels, targets, config.cutmix) if config.cutmix else (levels, targets)


def mixup(levels: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018, arXiv:1710.09412) with one weight per image from Beta(alpha, alpha)."""
    weights = _beta(alpha, len(levels), levels.device)
    # The image itself keeps the larger weight.
    weights = torch.maximum(weights, 1 - weights)
    partner = torch.randperm(len(levels), device=levels.device)
    image, row = weights.view(-1, 1, 1, 1), weights.view(-1, 1)
    return (
        levels * image + levels[partner] * (1 - image),
        targets * row + targets[partner] * (1 - row),
    )


def cutmix(levels: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """CutMix (Yun et al. 2019, arXiv:1905.04899) with one rectangle per image, its area from Beta(alpha, alpha).

    The targets are mixed by the replaced area after clipping.
    """
    count, _, height, width = levels.shape
    side = (1 - _beta(alpha, count, levels.device)).sqrt().view(-1, 1)
    centre = torch.rand(2, count, 1, device=levels.device)
    rows = (torch.arange(height, device=levels.device) + 0.5) / height
    columns = (torch.arange(width, device=levels.device) + 0.5) / width
    inside_rows, inside_columns = (rows - centre[0]).abs() < side / 2, (columns - centre[1]).abs() < side / 2
    inside = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    partner = torch.randperm(count, device=levels.device)
    share = inside.float().mean(dim=(1, 2, 3)).view(-1, 1)
    return (
        torch.where(inside, levels[partner], levels),
        targets * (1 - share) + targets[partner] * share,
    )


def _beta(alpha: float, count: int, device: torch.device) -> Tensor:
    # Beta(a, a) as a ratio of Gamma draws. `torch._standard_gamma` obeys the global seed on every device.
    concentration = torch.full((2, count), alpha, device=device)
    # Validation would wait for the device in every step.
    gamma = torch.distributions.Gamma(concentration, torch.ones_like(concentration), validate_args=False).sample()
    return gamma[0] / gamma.sum(dim=0).clamp_min(1e-12)


def _uniform(count: int, spread: float, like: Tensor) -> Tensor:
    return (torch.rand(count, device=like.device) * 2 - 1) * spread


def _affine(levels: Tensor, config: Augment) -> Tensor:
    count = len(levels)
    angle = _uniform(count, math.radians(config.rotate), levels)
    size = 1 + _uniform(count, config.scale, levels)
    mirror = 1 - 2 * (torch.rand(count, device=levels.device) < config.flip).to(levels.dtype)
    cos, sin = torch.cos(angle) / size, torch.sin(angle) / size
    # affine_grid uses coordinates from -1 to 1, so a fraction of the side counts twice.
    shift_x, shift_y = _uniform(count, 2 * config.shift, levels), _uniform(count, 2 * config.shift, levels)
    matrix = torch.stack(
        [torch.stack([cos * mirror, -sin, shift_x], 1), torch.stack([sin * mirror, cos, shift_y], 1)], 1
    )
    grid = functional.affine_grid(matrix, list(levels.shape), align_corners=False)
    return functional.grid_sample(levels, grid, padding_mode="border", align_corners=False)


def _tone(levels: Tensor, config: Augment) -> Tensor:
    count = len(levels)
    gain = (1 + _uniform(count, config.contrast, levels)).view(-1, 1, 1, 1)
    light = 1 + _uniform(count, config.brightness, levels)
    light = (light * torch.exp2(_uniform(count, config.exposure, levels))).view(-1, 1, 1, 1)
    middle = levels.mean(dim=(1, 2, 3), keepdim=True)
    return (((levels - middle) * gain + middle) * light).clamp(0, 255)


def _blur(levels: Tensor, chance: float) -> Tensor:
    """Blur random images. All images of a batch share one sigma, so that two convolutions are enough."""
    count, channels, _, _ = levels.shape
    sigma = 0.5 + torch.rand((), device=levels.device)
    offsets = torch.arange(-_BLUR_REACH, _BLUR_REACH + 1, device=levels.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (weights / weights.sum()).to(levels.dtype).expand(channels, 1, 1, -1)
    padded = functional.pad(levels, (_BLUR_REACH,) * 4, mode="replicate")
    blurred = functional.conv2d(functional.conv2d(padded, kernel, groups=channels), kernel.mT, groups=channels)
    chosen = torch.rand(count, 1, 1, 1, device=levels.device) < chance
    return torch.where(chosen, blurred, levels)


def _erase(levels: Tensor, chance: float) -> Tensor:
    """Random erasing (Zhong et al. 2020, arXiv:1708.04896): fill a rectangle with the image's mean level."""
    count, _, height, width = levels.shape
    sides = torch.rand(2, count, 1, device=levels.device) * 0.3 + 0.1
    corner = torch.rand(2, count, 1, device=levels.device) * (1 - sides)
    rows = torch.linspace(0, 1, height, device=levels.device)
    columns = torch.linspace(0, 1, width, device=levels.device)
    inside_rows = (rows >= corner[0]) & (rows < corner[0] + sides[0])
    inside_columns = (columns >= corner[1]) & (columns < corner[1] + sides[1])
    chosen = torch.rand(count, 1, 1, device=levels.device) < chance
    hole = (inside_rows[:, :, None] & inside_columns[:, None, :] & chosen)[:, None]
    return torch.where(hole, levels.mean(dim=(1, 2, 3), keepdim=True), levels)
