"""Attention maps: where the last convolution is active (paper, section 4.2 and figure 6).

The maps are the activation-based ones of Zagoruyko and Komodakis, ICLR 2017: F_sum^2, the sum over channels
of the squared absolute activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mas_labels.errors import ConfigError, InputError
from mas_labels.schema import CLIP_FRAMES, VIEW_SIZE
from mas_labels.shards import Clip, ShardSet
from mas_train.data.views import CENTRE_VIEW, take_views
from mas_train.runtime.figures import make_figure, save_figure
from mas_train.weights.backbone_weights import Weights


def attention_maps(activations: Tensor, size: int) -> Tensor:
    """Compute one map per clip from activations, as large as the network's input.

    Parameters
    ----------
    activations : Tensor, shape (B, C, T, rows, cols)
        Of the last convolution, after its ReLU.
    size
        Rows and columns of the maps.

    Returns
    -------
    Tensor, shape (B, size, size), float32
        From 0 to 1, the largest value of each map being 1; all 0 where nothing is active.

    Raises
    ------
    InputError
        If the shape is wrong.

    Notes
    -----
    The last convolution has time steps; the reference has none. Their maps are added. The resizing, which the
    paper leaves open, is bilinear.
    """
    if activations.ndim != 5:
        raise InputError(f"expected activations (B, C, T, rows, cols), found {tuple(activations.shape)}")
    maps = activations.float().abs().square().sum(dim=(1, 2))  # (B, rows, cols)
    maps = functional.interpolate(maps[:, None], size=(size, size), mode="bilinear")[:, 0]
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)


class AttentionRow(NamedTuple):
    """One row of figure 6, all as the centre view shows it."""

    title: str
    frame: NDArray[np.uint8]
    """(112, 112, 3): the middle frame."""
    attention: NDArray[np.float32]
    """(112, 112), from 0 to 1."""
    boundaries: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    """Lengths of Mu and Mv, (112, 112) each; None where the shard does not hold them."""


@torch.inference_mode()
def save_attention(
    weights: Weights, shards: ShardSet, clips: Sequence[int], device: torch.device, path: Path
) -> None:
    """Draw figure 6 for some clips as a PNG file: centre view, attention, lengths of Mu and Mv.

    Parameters
    ----------
    weights
        The network whose attention is drawn.
    shards, clips
        Numbers of clips in a shard set.
    device
        Where the network runs.
    path
        The picture.

    Raises
    ------
    ConfigError
        If there is no such clip, or the picture cannot be written.
    """
    unknown = [clip for clip in clips if not 0 <= clip < len(shards)]
    if unknown or not clips:
        raise ConfigError(f"expected clips from 0 to {len(shards) - 1}, found {unknown or 'none'}")
    backbone = weights.backbone.to(device)
    rows = []
    for clip in (shards[number] for number in clips):
        frames = clip.frames
        views = torch.tensor([CENTRE_VIEW], device=device)
        batch = take_views(torch.from_numpy(frames)[None].to(device), views, weights.pixel_mean)
        attention = attention_maps(backbone.features(batch), VIEW_SIZE)[0].cpu().numpy()
        title = f"{Path(clip.video).name} from {clip.start_frame}"
        rows.append(AttentionRow(title, _crop_centre(frames[CLIP_FRAMES // 2]), attention, _boundaries(clip)))
    draw_attention(rows, path)


def _boundaries(clip: Clip) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the lengths of Mu and Mv in the centre view; None where the shard does not hold them."""
    fields = clip.motion_boundaries
    if fields is None:
        return None
    u, v = (np.hypot(field[..., 0], field[..., 1]) for field in fields)
    return _crop_centre(u), _crop_centre(v)


def _crop_centre(image: NDArray) -> NDArray:
    top, left, _ = CENTRE_VIEW
    return image[top : top + VIEW_SIZE, left : left + VIEW_SIZE]


def draw_attention(rows: Sequence[AttentionRow], path: Path) -> None:
    """Draw frames, attention over them and the lengths of Mu and Mv, one row per clip, as a PNG file.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.
    """
    figure = make_figure((9.2, 2.5 * len(rows)))
    grid = figure.subplots(len(rows), 4, squeeze=False)
    for row, axes in zip(rows, grid, strict=True):
        for panel, name in zip(axes, ("frame", "attention", "|Mu|", "|Mv|"), strict=True):
            panel.set_title(name, fontsize=8)
            panel.set(xticks=[], yticks=[])
        axes[0].imshow(row.frame)
        axes[0].set_ylabel(row.title, fontsize=7, parse_math=False)
        axes[1].imshow(row.frame)
        axes[1].imshow(row.attention, cmap="inferno", alpha=0.5, vmin=0, vmax=1)
        for panel, field in zip(axes[2:], row.boundaries or (None, None), strict=True):
            if field is None:
                panel.text(0.5, 0.5, "not in this shard", transform=panel.transAxes, ha="center", fontsize=8)
            else:
                panel.imshow(field, cmap="magma", vmin=0, vmax=float(np.quantile(field, 0.999)) or 1.0)
    save_figure(figure, path)
