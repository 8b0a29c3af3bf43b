"""Random views of clips: crop, mirror and normalise, on the device (paper, section 3.4).

The paper crops and mirrors at random. A label belongs to a view, so only views whose labels the shards hold
are drawn: the rows of the shards' table of views. Without labels (fine-tuning) any crop is drawn.

Notes
-----
The draw is a function of (seed, epoch, clip) and of nothing else, so that it does not depend on the number of
workers, on the order of clips or on where a run was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mas_labels.errors import InputError
from mas_labels.geometry import Geometry
from mas_labels.schema import LABELS

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX2: Final = np.uint64(0x94D049BB133111EB)


def centre_view(geometry: Geometry) -> tuple[int, int, int]:
    """Return top, left, mirrored of the view used for measuring: the centre, not mirrored."""
    rows, cols, size = geometry.frame_rows, geometry.frame_cols, geometry.view_size
    return (rows - size) // 2, (cols - size) // 2, 0


def describe_views(geometry: Geometry) -> str:
    """Describe what a network sees of a clip, such as ``16 frames of 112 x 112 pixels``."""
    return f"{geometry.clip_frames} frames of {geometry.view_size} x {geometry.view_size} pixels"


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash integers with SplitMix64's finaliser (Steele et al., OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * _MIX1
    values = (values ^ (values >> np.uint64(27))) * _MIX2
    return values ^ (values >> np.uint64(31))


def draw_views(seed: int, epoch: int, clip_indices: Tensor, views: int) -> Tensor:
    """Draw a row of the table of views for each clip, uniformly.

    Parameters
    ----------
    seed, epoch
        Not negative.
    clip_indices : Tensor, shape (B,), int64, on the CPU
        Numbers of the clips in the set of shards.
    views
        Rows of the table.

    Returns
    -------
    Tensor, shape (B,), int64
        Row of the table for each clip.
    """
    drawn = _draw(seed, epoch, clip_indices)
    return torch.from_numpy((drawn % np.uint64(views)).astype(np.int64))


def draw_shares(seed: int, epoch: int, clip_indices: Tensor, count: int) -> Tensor:
    """Draw numbers for each clip, uniformly from 0 to 1, apart from its view.

    Parameters
    ----------
    seed, epoch, clip_indices
        As in `draw_views`.
    count
        Numbers per clip.

    Returns
    -------
    Tensor, shape (B, count), float64
        Each less than 1.
    """
    numbers = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    drawn = _mix(_draw(seed, epoch, clip_indices)[:, None] + numbers)  # (B, count)
    return torch.from_numpy((drawn >> np.uint64(11)) * 2.0**-53)


def _draw(seed: int, epoch: int, clip_indices: Tensor) -> NDArray[np.uint64]:
    """Draw 64 random bits for each clip, (B,)."""
    state = _mix(_mix(np.array([seed], np.uint64) + _GOLDEN) + np.array([epoch], np.uint64) * _GOLDEN)
    return _mix(state + (clip_indices.numpy().astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def draw_crops(seed: int, epoch: int, clip_indices: Tensor, geometry: Geometry) -> Tensor:
    """Draw a crop, mirrored or not, for each clip, uniformly from all crops of the frame.

    Returns
    -------
    Tensor, shape (B, 3), int64
        Top, left, mirrored.
    """
    rows, cols = geometry.frame_rows - geometry.view_size + 1, geometry.frame_cols - geometry.view_size + 1
    drawn = draw_views(seed, epoch, clip_indices, rows * cols * 2)
    position = drawn // 2
    return torch.stack([position // cols, position % cols, drawn % 2], dim=1)


def take_views(frames: Tensor, views: Tensor, pixel_mean: Sequence[float], geometry: Geometry) -> Tensor:
    """Crop, mirror and normalise each clip of a batch to its view.

    Parameters
    ----------
    frames : Tensor, shape (B, frames, rows, cols, 3), uint8
        RGB frames, (B, 16, 128, 171, 3) of the paper's geometry.
    views : Tensor, shape (B, 3), integer, on the same device
        Top, left, mirrored of each clip's view (`mas_labels.schema.VIEW_COLUMNS`): crop first, then mirror.
    pixel_mean
        Subtracted from R, G and B, on the scale of 0 to 255.
    geometry
        That of the clips.

    Returns
    -------
    Tensor, shape (B, 3, frames, view_size, view_size), float32
        Channels-last in memory.

    Raises
    ------
    InputError
        If a shape is wrong.
    """
    if frames.shape[1:] != geometry.clip_shape or views.shape != (len(frames), 3):
        raise InputError(
            f"expected frames (B, {', '.join(map(str, geometry.clip_shape))}) and views (B, 3), "
            f"found {tuple(frames.shape)} and {tuple(views.shape)}"
        )
    taken = _take_pixels(frames, views, geometry)  # (B, 16, 112, 112, 3)
    mean = torch.tensor(pixel_mean, dtype=torch.float32).to(frames.device, non_blocking=True)
    return taken.float().sub_(mean).permute(0, 4, 1, 2, 3)  # (B, 3, 16, 112, 112)


def _take_pixels(maps: Tensor, views: Tensor, geometry: Geometry) -> Tensor:
    """Crop and mirror maps (B, n, rows, cols, C) to views (B, 3): (B, n, view_size, view_size, C)."""
    _, n_maps, n_rows, n_cols, channels = maps.shape
    top, left, mirrored = views.long().unbind(dim=1)  # (B,) each
    offsets = torch.arange(geometry.view_size, device=maps.device)
    rows = top[:, None] + offsets  # (B, 112)
    cols = left[:, None] + torch.where(mirrored[:, None] != 0, offsets.flip(0), offsets)  # (B, 112)
    numbers = torch.arange(len(maps) * n_maps, device=maps.device).reshape(-1, n_maps)
    lines = numbers[:, :, None] * n_rows + rows[:, None]  # (B, 16, 112)
    pixels = lines[:, :, :, None] * n_cols + cols[:, None, None]  # (B, 16, 112, 112)
    return maps.reshape(-1, channels).index_select(0, pixels.flatten()).reshape(*pixels.shape, channels)


def take_boundaries(boundaries: Tensor, views: Tensor, geometry: Geometry) -> Tensor:
    """Crop and mirror motion boundaries to the views drawn, as if flow had been mirrored and u negated.

    Parameters
    ----------
    boundaries : Tensor, shape (B, 2, rows, cols, 2), float16
        Mu and Mv, each the summed derivatives along columns and rows.
    views : Tensor, shape (B, 3), integer, on the same device
        Top, left, mirrored: crop first, then mirror.
    geometry
        That of the clips.

    Returns
    -------
    Tensor, shape (B, 2, view_size, view_size, 2), float32
    """
    taken = _take_pixels(boundaries, views, geometry).float()
    signs = (1 - 2 * (views[:, 2] != 0).float())[:, None, None]  # (B, 1, 1): -1 if mirrored
    taken[:, 0, ..., 1] *= signs
    taken[:, 1, ..., 0] *= signs
    return taken


def cut_view(frames: Tensor, view: Tensor, geometry: Geometry) -> Tensor:
    """Crop and mirror one clip to a view, whose pixels stay as they are; `take_views` without its mean.

    Parameters
    ----------
    frames : Tensor, shape (frames, rows, cols, 3), uint8
        RGB frames.
    view : Tensor, shape (3,), integer
        Top, left, mirrored.
    geometry
        That of the clip.

    Returns
    -------
    Tensor, shape (frames, 3, view_size, view_size), uint8
    """
    top, left, mirrored = view.tolist()
    size = geometry.view_size
    crop = frames[:, top : top + size, left : left + size]  # (16, 112, 112, 3)
    return (crop.flip(2) if mirrored else crop).permute(0, 3, 1, 2)


def take_labels(view_labels: Tensor, view_rows: Tensor) -> Tensor:
    """Select the labels of the view drawn for each clip.

    Parameters
    ----------
    view_labels : Tensor, shape (B, V, 27), uint8
        Labels of every view of each clip.
    view_rows : Tensor, shape (B,), int64, on the same device
        Row of the table of views drawn for each clip.

    Returns
    -------
    Tensor, shape (B, 27), uint8

    Raises
    ------
    InputError
        If a shape is wrong.
    """
    if view_labels.ndim != 3 or view_labels.shape[2] != LABELS or view_rows.shape != view_labels.shape[:1]:
        raise InputError(
            f"expected labels (B, V, {LABELS}) and one view per clip, "
            f"found {tuple(view_labels.shape)} and {tuple(view_rows.shape)}"
        )
    return view_labels[torch.arange(len(view_labels), device=view_labels.device), view_rows]
