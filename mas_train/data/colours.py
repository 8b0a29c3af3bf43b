"""Random changes of brightness, contrast, saturation and hue, on the device, for fine-tuning.

Notes
-----
- All four are linear in a pixel's R, G and B: one matrix and one offset per clip do them, in this order, for
  all its frames alike, and values are cut to 0 to 255 once. torchvision's ColorJitter changes image by image,
  in a random order, and cuts after each change.
- Hue turns I and Q of the colour space YIQ, which keeps the grey value; turning the hue of HSV is not linear.
- Contrast is relative to the mean grey value of the whole clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from mas_train.data.views import draw_shares

HUE_TURNS: Final = 0.25
"""Largest turn of the hue at strength 1, as a share of the circle."""
YIQ: Final = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], dtype=torch.float64
)
"""From R, G and B to the grey value Y and two components of colour (the NTSC standard of 1953)."""

GROUP_PIXELS: Final = 16
"""Pixels that are multiplied together, by a matrix with as many blocks: one by one takes CPUs longer."""


def draw_colour_changes(seed: int, epoch: int, clip_indices: Tensor, strength: float) -> Tensor:
    """Draw the changes of each clip, uniformly; they depend on the arguments alone.

    Parameters
    ----------
    seed, epoch, clip_indices
        As in `mas_train.data.views.draw_views`.
    strength
        0 to 1.

    Returns
    -------
    Tensor, shape (B, 4), float64
        Factors of brightness, contrast and saturation, from 1 - `strength` to 1 + `strength`; turn of the
        hue, up to `HUE_TURNS` times `strength` either way.
    """
    drawn = 2 * strength * draw_shares(seed, epoch, clip_indices, 4) - strength
    return torch.cat([1 + drawn[:, :3], HUE_TURNS * drawn[:, 3:]], dim=1)


def change_colours(clips: Tensor, changes: Tensor, pixel_mean: Sequence[float]) -> Tensor:
    """Change the colours of views.

    Parameters
    ----------
    clips : Tensor, shape (B, 3, frames, rows, cols), float32
        Views as `mas_train.data.views.take_views` makes them.
    changes : Tensor, shape (B, 4)
        Those of `draw_colour_changes`.
    pixel_mean
        Mean that was subtracted from the views; it is subtracted from the result.

    Returns
    -------
    Tensor, shape (B, 3, frames, rows, cols), float32
        Channels-last in memory.
    """
    pixels = clips.permute(0, 2, 3, 4, 1)  # (B, frames, rows, cols, 3)
    mean = torch.tensor(pixel_mean, device=clips.device)
    matrices = _matrices(changes).to(mean)  # (B, 3, 3)
    grey = (pixels.flatten(1, 3).mean(dim=1) + mean) @ YIQ[0].to(mean)  # (B,)
    brightness, contrast, _, _ = changes.to(mean).unbind(dim=1)  # (B,) each
    offsets = matrices @ mean + ((1 - contrast) * brightness * grey)[:, None]  # saturation, hue: grey stays
    group = math.gcd(pixels[0, ..., 0].numel(), GROUP_PIXELS)
    flat = pixels.reshape(len(clips), -1, 3 * group)
    blocks = torch.kron(torch.eye(group).to(mean), matrices.mT.contiguous())  # (B, 3 group, 3 group)
    changed = torch.baddbmm(offsets.repeat(1, group)[:, None], flat, blocks)
    changed.clamp_(0, 255).sub_(mean.repeat(group))
    return changed.reshape(pixels.shape).permute(0, 4, 1, 2, 3)


def _matrices(changes: Tensor) -> Tensor:
    """Return the matrix of each clip's changes, (B, 3, 3), float64, on the CPU."""
    brightness, contrast, saturation, hue = changes.cpu().double().unbind(dim=1)
    saturated = torch.lerp(YIQ[0].expand(3, 3), torch.eye(3, dtype=torch.float64), saturation[:, None, None])
    angle = 2 * math.pi * hue
    turns = torch.eye(3, dtype=torch.float64).repeat(len(changes), 1, 1)
    turns[:, 1, 1] = turns[:, 2, 2] = angle.cos()
    turns[:, 1, 2], turns[:, 2, 1] = -angle.sin(), angle.sin()
    turned = torch.linalg.inv(YIQ) @ turns @ YIQ
    return turned @ saturated * (brightness * contrast)[:, None, None]
