"""The commands of `mas-eval` behind their options: open what is named, measure, write, say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, reason_of
from mas_labels.schema import CLIP_FRAMES, VIEW_SIZE
from mas_labels.shard import Clip, ShardSet
from mas_train.evaluation.attention import attention_maps
from mas_train.evaluation.features import Extraction
from mas_train.evaluation.figures import AttentionRow, draw_attention
from mas_train.evaluation.neighbours import draw_neighbours, spread_evenly
from mas_train.evaluation.recognition import evaluate_accuracy, load_scratch_run
from mas_train.evaluation.results import Result, save_result, show_result
from mas_train.evaluation.run import Evaluation
from mas_train.frames import CENTRE_VIEW
from mas_train.views import take_views
from mas_train.weights import Weights, load_weights

CACHE = "features"
"""Folder of features, beside that of the results: the protocols share them."""


def make_evaluation(
    source: str, out: Path, device: torch.device, workers: int, command: str, kind: str, baseline: bool
) -> Evaluation:
    """Load weights and prepare the folder of results.

    Raises
    ------
    CheckpointError
        If the weights cannot be read.
    ConfigError
        If the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write to {out} ({reason_of(error)}): give another --out") from error
    how = Extraction(device, workers, cache=out.resolve().parent / CACHE)
    return Evaluation(load_weights(source), how, out, command, kind, baseline)


def finish(result: Result, out: Path) -> str:
    """Write a result as `<protocol>.json`, and return it as text."""
    path = out / f"{result.protocol}.json"
    save_result(result, path)
    return f"{show_result(result)}\nwrote {path}"


def measure_accuracy(
    evaluation: Evaluation, test: ShardSet, scratch_run: str | None, leaks: Sequence[str] | None = None
) -> str:
    """Test a fine-tuned model, beside one from scratch if that is named; return the result as text.

    Raises
    ------
    CheckpointError
        If one of the two cannot be read, or has no classes.
    ConfigError
        If the two were trained otherwise than from other first weights.
    DatasetError
        If the shards have no clips, or no class that the model knows.
    """
    scratch = None if scratch_run is None else load_scratch_run(scratch_run, evaluation.weights.content)
    return finish(evaluate_accuracy(evaluation, test, scratch, leaks), evaluation.out)


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
    """Draw figure 6 for some clips: frame, attention, |Mu| and |Mv|, all as the centre view sees them.

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
