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
from mas_labels.geometry import Geometry
from mas_labels.shards import Clip, ShardSet
from mas_train.data.views import centre_view, take_views
from mas_train.runtime.figures import make_figure, save_figure
from mas_train.runtime.performance import OF_INFERENCE, oom_as_training_error
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
    """(size, size, 3): the middle frame."""
    attention: NDArray[np.float32]
    """(size, size), from 0 to 1."""
    boundaries: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    """Lengths of Mu and Mv, (size, size) each; None where the shard does not hold them."""


@oom_as_training_error(OF_INFERENCE)
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
        If there is no such clip, the clips are too small for the network, or the picture cannot be written.
    """
    unknown = [clip for clip in clips if not 0 <= clip < len(shards)]
    if unknown or not clips:
        raise ConfigError(f"expected clips from 0 to {len(shards) - 1}, found {unknown or 'none'}")
    backbone, geometry = weights.backbone.to(device), shards.geometry
    backbone.output_features(geometry)  # refuses clips that are too small for it
    views = torch.tensor([centre_view(geometry)], device=device)
    rows = []
    for clip in (shards[number] for number in clips):
        frames = clip.frames
        batch = take_views(torch.from_numpy(frames)[None].to(device), views, weights.pixel_mean, geometry)
        attention = attention_maps(backbone.features(batch), geometry.view_size)[0].cpu().numpy()
        title = f"{Path(clip.video).name} from {clip.start_frame}"
        middle = _crop_centre(frames[len(frames) // 2], geometry)
        rows.append(AttentionRow(title, middle, attention, _boundaries(clip, geometry)))
    draw_attention(rows, path)


def _boundaries(clip: Clip, geometry: Geometry) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return the lengths of Mu and Mv in the centre view; None where the shard does not hold them."""
    fields = clip.motion_boundaries
    if fields is None:
        return None
    u, v = (np.hypot(field[..., 0], field[..., 1]) for field in fields)
    return _crop_centre(u, geometry), _crop_centre(v, geometry)


def _crop_centre(image: NDArray, geometry: Geometry) -> NDArray:
    top, left, _ = centre_view(geometry)
    return image[top : top + geometry.view_size, left : left + geometry.view_size]


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
