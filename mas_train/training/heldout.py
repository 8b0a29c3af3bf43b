"""Measurement of a network on held-out clips: loss and R^2 of each target, next to the mean's and its noise.

Notes
-----
Always the centre view of the same clips, in evaluation mode, so that the scores of a run differ by its
weights alone. Nothing here changes the weights or draws random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.schema import HELDOUT_COLUMNS, HELDOUT_FILE, LABEL_KINDS, NOISE_COLUMNS, TOTAL_LABEL
from mas_labels.shards import Clip, ShardSet, spread_evenly
from mas_train.data.views import take_views
from mas_train.model.branch_code import BranchCode
from mas_train.model.loss import constant_losses
from mas_train.model.targets import TargetCode
from mas_train.recipe import Recipe
from mas_train.runtime.csv_table import CsvTable
from mas_train.training.metrics import TensorBoardEvents
from mas_train.training.target_statistics import HeldOutTargets, heldout_targets
from mas_train.weights.checkpoint import TrainingState, checkpoint_path


class LabelScore(NamedTuple):
    """Scores of one target, or of a kind: `mas_labels.schema.HELDOUT_COLUMNS` and `NOISE_COLUMNS`."""

    label: str
    loss: float
    mean_label_loss: float
    r2: float
    accuracy: float
    mode_accuracy: float
    moved_r2: float
    moved_accuracy: float


class HeldOutMonitor:
    """Measures a network on held-out clips at regular steps, and writes the scores into a table.

    Parameters
    ----------
    clips
        Held-out clips.
    recipe
        Its batch size, pixel mean and weights of the losses.
    code
        The trained labels and their coding; on the CPU.
    training : Tensor
        Statistics of the training targets.
    every_steps
        Steps between two measurements.
    """

    def __init__(
        self, clips: Sequence[Clip], recipe: Recipe, code: TargetCode, training: Tensor, every_steps: int
    ) -> None:
        self.clips = clips
        self.recipe = recipe
        self._targets = heldout_targets(clips, code, recipe)
        statistics = code.statistics(self._targets.centre)
        self._constants = [
            _constant_scores(branch, statistics, training, self._targets) for branch in code.branches
        ]
        self.every_steps = every_steps
        self.best_loss, self.best_step = math.inf, 0
        self._table: CsvTable | None = None
        self._events: TensorBoardEvents | None = None

    def begin(self, run: Path, start_step: int, events: TensorBoardEvents | None = None) -> None:
        """Start the run's table, or resume it after `start_step` steps; the best has a checkpoint."""
        self._table, self._events = CsvTable(run / HELDOUT_FILE, HELDOUT_COLUMNS + NOISE_COLUMNS), events
        self._table.cut_back(start_step)
        totals = [
            (float(row["loss"]), int(row["step"]))
            for row in self._table.read()
            if row["label"] == TOTAL_LABEL and checkpoint_path(run, int(row["step"])).exists()
        ]
        self.best_loss, self.best_step = min(totals, default=(math.inf, 0))

    def is_due(self, step: int, end_step: int) -> bool:
        """Return whether to measure after `step` of `end_step` steps; the last step is always measured."""
        return step % self.every_steps == 0 or step == end_step

    def measure(self, state: TrainingState, device: torch.device) -> tuple[list[LabelScore], bool]:
        """Measure the network, and write the scores.

        Returns
        -------
        scores : list of LabelScore
            One per label, one per kind of labels, and the total.
        is_best : bool
            Whether the total loss is the lowest of the run.
        """
        measured = measure_targets(state, self.clips, self._targets.centre, self.recipe, device)
        scores = _combine_scores(state.code, measured, self._constants, self.recipe)
        if self._table is not None:
            self._table.append([self._row(state.step, score) for score in scores])
        if self._events is not None:
            for name in ("loss", "r2", "accuracy"):
                values = {f"heldout_{name}/{score.label}": getattr(score, name) for score in scores}
                self._events.add(state.step, values)
        is_best = scores[-1].loss < self.best_loss
        if is_best:
            self.best_loss, self.best_step = scores[-1].loss, state.step
        return scores, is_best

    def _row(self, step: int, score: LabelScore) -> list[str]:
        """Return a row of the table."""
        *figures, moved_r2, moved_accuracy = (f"{value:.6g}" for value in score[1:])
        noise = [moved_r2, moved_accuracy, str(self._targets.moved_pixels)]
        return [str(step), score.label, *figures, str(len(self.clips)), *noise]


def read_heldout(run: Path) -> list[dict[str, float | str]]:
    """Read a run's ``heldout.csv``, one dictionary per row; empty cells are NaN.

    Raises
    ------
    TrainingError
        If it is missing, or has other columns.
    """
    rows = CsvTable(run / HELDOUT_FILE, HELDOUT_COLUMNS).read()
    return [
        {name: text if name == "label" else float(text or "nan") for name, text in row.items()}
        for row in rows
    ]


def choose_heldout_clips(sources: Sequence[ShardSet], max_clips: int) -> list[Clip]:
    """Choose clips to measure on, spread evenly if there are more than `max_clips`.

    Raises
    ------
    DatasetError
        If there are none.
    """
    clips = [clip for shards in sources for clip in shards]
    if not clips:
        raise DatasetError("no clips are held out: give a larger --holdout, or --val-shards with clips")
    return [clips[index] for index in spread_evenly(len(clips), max_clips)]


def require_comparable(held_out: ShardSet, training: ShardSet) -> None:
    """Raise an error if held-out shards have other labels than the training shards, or overlap with them.

    Raises
    ------
    ConfigError
        If they have no labels, another convention, flow or geometry, or are training shards.
    """
    if not held_out.has_labels:
        raise ConfigError(
            f"{held_out.paths[0]} (--val-shards) holds frames without labels: give labelled shards"
        )
    for name in ("convention", "flow"):
        found, expected = held_out.config.get(name), training.config.get(name)
        if found != expected:
            raise ConfigError(
                f"--val-shards were made with {name} {found}, --shards with {expected}: label one set again"
            )
    if held_out.geometry != training.geometry:
        raise ConfigError(
            f"--val-shards were made with {held_out.geometry}, --shards with {training.geometry}: label one "
            "set again"
        )
    both = set(held_out.content_hashes) & set(training.content_hashes)
    if both:
        path = held_out.paths[held_out.content_hashes.index(min(both))]
        raise ConfigError(f"{path} is in --shards and in --val-shards: leave it out of one")


def measure_targets(
    state: TrainingState, clips: Sequence[Clip], targets: Tensor, recipe: Recipe, device: torch.device
) -> list[Tensor]:
    """Compute loss and accuracy of each target on the centre views of some clips.

    Parameters
    ----------
    state
        The network and the coding of its targets; its training mode is restored.
    clips, targets
        Clips to measure on, and the targets of their centre views.
    recipe
        Its batch size and pixel mean.
    device
        Of the network.

    Returns
    -------
    list of two Tensors, shape (n, 2), float64
        Loss and accuracy of each target of the motion and of the appearance branch.
    """
    sums = [torch.zeros(len(branch.names), 2, dtype=torch.float64) for branch in state.code.branches]
    was_training = state.model.training
    state.model.eval()
    parts = targets.split(recipe.batch_size)
    with torch.inference_mode():
        for (frames, views), part in zip(_batches(clips, recipe.batch_size, device), parts, strict=True):
            if state.code.pace is not None:
                frames = state.code.pace.read_middle(frames, part)
            seen = take_views(frames, views, recipe.pixel_mean, state.code.input_geometry)
            predictions = state.model(seen)
            there = part.to(device)
            for branch, outputs, of_branch in zip(state.code.branches, predictions, sums, strict=True):
                both = torch.stack([branch.losses(outputs, there), branch.hits(outputs, there)], dim=2)
                of_branch += both.cpu().double().sum(dim=0)  # of (B, n, 2)
    state.model.train(was_training)
    return [of_branch / len(clips) for of_branch in sums]


def _batches(clips: Sequence[Clip], batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield frames (B, T, rows, cols, 3) and views (B, 3) of the centre views of clips."""
    for start in range(0, len(clips), batch_size):
        batch = clips[start : start + batch_size]
        frames = torch.from_numpy(np.stack([clip.frames for clip in batch]))
        views = torch.from_numpy(np.stack([clip.views[0] for clip in batch]).astype(np.int64))
        yield frames.to(device), views.to(device)


def _constant_scores(
    branch: BranchCode, statistics: Tensor, training: Tensor, targets: HeldOutTargets
) -> Tensor:
    """Score predictions that need no network on held-out targets with these statistics, (n, 5), float64.

    Columns: loss of the best constant of the training clips, loss of the best constant of the held-out clips,
    accuracy of the most frequent label of the training clips; R^2 and accuracy of the moved view's target.
    """
    of_training = constant_losses(branch, branch.best_constant(training), statistics)
    of_heldout = constant_losses(branch, branch.best_constant(statistics), statistics)
    if len(targets.moved):
        centre, moved = targets.centre, targets.moved
        distances = branch.distances(centre, moved).double().mean(dim=0)
        agreement = branch.agree(centre, moved).double().mean(dim=0)
    else:
        distances = agreement = torch.full_like(of_heldout, math.nan)
    accuracy = branch.commonest(training, statistics)
    return torch.stack(
        [of_training, of_heldout, accuracy, _r_squared(distances, of_heldout), agreement], dim=1
    )


def _r_squared(losses: Tensor, of_constant: Tensor) -> Tensor:
    """Return 1 - loss / the best constant's; NaN where a target is constant."""
    return torch.where(of_constant > 0, 1 - losses / of_constant, math.nan)


def _combine_scores(
    code: TargetCode, measured: Sequence[Tensor], constants: Sequence[Tensor], recipe: Recipe
) -> list[LabelScore]:
    """Combine measurements and constant scores: one score per label, then per kind, then the total."""
    weights = dict(zip(LABEL_KINDS, (recipe.motion_weight, recipe.appearance_weight), strict=True))
    scores: list[LabelScore] = []
    kinds: list[LabelScore] = []
    branches = zip(weights, code.branches, measured, constants, strict=True)
    for kind, branch, of_labels, of_constants in branches:
        (loss, accuracy), (of_training, of_heldout, *others) = of_labels.T, of_constants.T
        r2 = _r_squared(loss, of_heldout)
        table = torch.stack([loss, of_training, r2, accuracy, *others], dim=1).tolist()
        of_branch = [LabelScore(name, *row) for name, row in zip(branch.names, table, strict=True)]
        if of_branch:
            kinds.append(_mean_score(kind, of_branch))
        scores += of_branch
    total = _mean_score(TOTAL_LABEL, scores)._replace(
        loss=sum(weights[kind.label] * kind.loss for kind in kinds),
        mean_label_loss=sum(weights[kind.label] * kind.mean_label_loss for kind in kinds),
    )
    return [*scores, *kinds, total]


def _mean_score(label: str, scores: Sequence[LabelScore]) -> LabelScore:
    """Average each column over the labels where it is defined."""
    columns = torch.tensor([score[1:] for score in scores], dtype=torch.float64)
    return LabelScore(label, *columns.nanmean(dim=0).tolist())


def describe_scores(scores: Sequence[LabelScore]) -> str:
    """Describe the scores of the total and of each kind of labels in one line."""
    kinds = [score for score in scores if score.label in (*LABEL_KINDS, TOTAL_LABEL)]
    texts = [
        f"{s.label} {s.loss:.3f} (mean label {s.mean_label_loss:.3f}), R^2 {s.r2:.3f}" for s in kinds[::-1]
    ]
    texts += [
        f"{s.label} told in {s.accuracy:.1%} (chance {s.mode_accuracy:.1%})"
        for s in scores
        if s.label == "pace"
    ]
    return f"held-out clips: {'; '.join(texts)}"
