"""Attention maps: where the last convolution is active (paper, section 4.2 and figure 6).

The maps are the activation-based ones of Zagoruyko and Komodakis, ICLR 2017: F_sum^2, the sum over channels
of the squared absolute activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mas_labels.errors import ConfigError, InputError
from mas_labels.schema import CLIP_FRAMES, VIEW_SIZE
from mas_labels.shards import Clip, ShardSet
from mas_train.data.views import CENTRE_VIEW, take_views
from mas_train.evaluation.figures import AttentionRow, draw_attention
from mas_train.evaluation.protocol import Evaluation
from mas_train.evaluation.retrieval import draw_neighbours, spread_evenly
from mas_train.weights.load import Weights


def attention_maps(activations: Tensor, size: int) -> Tensor:
    """Turn activations into one map a clip, as large as what the network saw.

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
        The shape is wrong.

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


def look(evaluation: Evaluation, shards: ShardSet, queries: ShardSet | None, clips: int) -> list[Path]:
    """Draw what the page about a run shows: attention, and with `queries` the nearest neighbours.

    Parameters
    ----------
    evaluation
        Where pictures go, and whose weights they are of.
    shards
        Labelled clips, whose videos are found.
    queries
        Test shards, whose videos search.
    clips
        How many clips of `shards` are shown, evenly spread.

    Returns
    -------
    The pictures: attention.png, neighbours.png.

    Raises
    ------
    ConfigError
        If a picture cannot be written.
    DatasetError
        If there are no clips.
    """
    attention, neighbours = evaluation.out / "attention.png", evaluation.out / "neighbours.png"
    chosen = spread_evenly(len(shards), clips).tolist()
    save_attention(evaluation.weights, shards, chosen, evaluation.how.device, attention)
    if queries is None:
        return [attention]
    train, test = (evaluation.features(evaluation.weights, part) for part in (shards, queries))
    draw_neighbours(train, shards, test, queries, neighbours)
    return [attention, neighbours]


@torch.inference_mode()
def save_attention(
    weights: Weights, shards: ShardSet, clips: Sequence[int], device: torch.device, path: Path
) -> None:
    """Draw figure 6 for some clips: frame, attention, Mu and Mv of the centre view.

    Raises
    ------
    ConfigError
        If there is no such clip, or the picture cannot be written.
    """
    wrong = [clip for clip in clips if not 0 <= clip < len(shards)]
    if wrong or not clips:
        raise ConfigError(f"expected clips from 0 to {len(shards) - 1}, found {wrong or 'none'}")
    backbone = weights.backbone.to(device)
    rows = []
    for clip in (shards[number] for number in clips):
        frames = clip.frames
        views = torch.tensor([CENTRE_VIEW], device=device)
        seen = take_views(torch.from_numpy(frames)[None].to(device), views, weights.pixel_mean)
        attention = attention_maps(backbone.features(seen), VIEW_SIZE)[0].cpu().numpy()
        title = f"{Path(clip.video).name} from {clip.start_frame}"
        rows.append(AttentionRow(title, _centre(frames[CLIP_FRAMES // 2]), attention, _boundaries(clip)))
    draw_attention(rows, path)


def _boundaries(clip: Clip) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    fields = clip.motion_boundaries
    if fields is None:
        return None
    u, v = (np.hypot(field[..., 0], field[..., 1]) for field in fields)
    return _centre(u), _centre(v)


def _centre(picture: NDArray) -> NDArray:
    top, left, _ = CENTRE_VIEW
    return picture[top : top + VIEW_SIZE, left : left + VIEW_SIZE]
