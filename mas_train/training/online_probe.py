"""The online probe: nearest neighbours among labelled videos by the features of the network in training.

It shows whether what is learned transfers, which the loss does not tell. Of each video the mean feature of
its clips is compared by cosine with that of every other video outside its group, and it counts as found if
the nearest is of its class (leave-one-out; retrieval between two sets of videos is
`mas_train.evaluation.retrieval`).

Notes
-----
Features are those of ``mas-eval retrieval --features pooled``: the centre view of each clip, in evaluation
mode, pooled as for the fully connected layers (the default there is their mean over positions). Nothing here
changes the weights, the statistics of batch norm, or the random generators. Clips are
read again each time, a batch at a time; only the features of videos are held.

Before the first step the running statistics of batch norm are those of no data, and a network in evaluation
mode is not the one that training starts from. It is measured with the statistics of the probe's clips: else
the first epoch would seem to teach what it only normalises.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from tqdm import tqdm

from mas_labels.system.process import bar_settings
from mas_train.data.clips import FrameDataset
from mas_train.data.probe_clips import ProbeVideos
from mas_train.data.views import centre_view, take_views
from mas_train.model.backbone import Backbone
from mas_train.model.similarity import normalise_rows
from mas_train.model.video_means import VideoMeans
from mas_train.recipe import Recipe
from mas_train.training.metrics import ProbeScore, TensorBoardEvents, read_metrics
from mas_train.weights.checkpoint import TrainingState, checkpoint_path

BATCH_CLIPS: Final = 32
QUERY_BLOCK: Final = 512
"""Clips that are computed, and videos that are compared with all, at a time."""
DECIMALS: Final = 6
"""Of an accuracy, so that the one written to a table is the one compared with."""


class OnlineProbe:
    """Measures the accuracy of nearest neighbours after each epoch.

    Parameters
    ----------
    videos
        The videos, and which of them may be neighbours.
    recipe
        Its batch size, of which at most `BATCH_CLIPS` are computed at a time, and its pixel mean.
    epoch_steps
        Steps per epoch.

    Attributes
    ----------
    best_step
        Step of the best measurement so far, of equal ones the earliest; 0 before the first.
    """

    def __init__(self, videos: ProbeVideos, recipe: Recipe, epoch_steps: int) -> None:
        self.videos, self.recipe, self.epoch_steps = videos, recipe, epoch_steps
        self.best_step = 0
        self._best = -math.inf
        self._untrained = math.nan
        self._dataset = FrameDataset(videos.shards)
        self._events: TensorBoardEvents | None = None

    def begin(self, run: Path, events: TensorBoardEvents | None = None) -> None:
        """Take up the measurements of the same videos in a run's table, which has been cut back.

        The best is one whose checkpoint is still there: the run may have kept it by another figure before.
        """
        self._events = events
        same = f"{self.videos.chance:.6g}", float(len(self.videos.queries))
        for row in read_metrics(run):
            if (f"{row.get('probe_chance', math.nan):.6g}", row.get("probe_videos")) != same:
                continue
            self._untrained = row["probe_untrained"]
            if checkpoint_path(run, int(row["step"])).exists():
                self._compare(row["probe_accuracy"], int(row["step"]))

    def is_due(self, step: int, end_step: int) -> bool:
        """Return whether to measure after `step` of `end_step` steps: after epochs, and at both ends."""
        return step % self.epoch_steps == 0 or step == end_step

    def measure(self, state: TrainingState, device: torch.device) -> ProbeScore:
        """Measure the network after `state.step` steps; that before the first is what others compare with."""
        backbone = state.model.backbone
        if state.step == 0:
            backbone = self._with_statistics(backbone, device)
        nearest = self._nearest(self._features(backbone, device))
        queries, classes = self.videos.queries, self.videos.classes
        accuracy = round(float((classes[nearest] == classes[queries]).mean()), DECIMALS)
        if state.step == 0:
            self._untrained = accuracy
        else:
            self._compare(accuracy, state.step)
        if self._events is not None:
            scalars = {"probe/accuracy": accuracy, "probe/chance": self.videos.chance}
            self._events.add(state.step, scalars)
        return ProbeScore(accuracy, self._untrained, self.videos.chance, len(queries))

    def _compare(self, accuracy: float, step: int) -> None:
        """Remember a step if it is the best; that of the untrained network is not among them."""
        if accuracy > self._best:
            self._best, self.best_step = accuracy, step

    def _nearest(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the nearest video of each query, (Q,); of equally near ones the earlier."""
        unit, nearest = normalise_rows(features), np.empty(len(self.videos.queries), np.int64)
        for start in range(0, len(nearest), QUERY_BLOCK):
            queries = self.videos.queries[start : start + QUERY_BLOCK]
            similarity = unit[queries] @ unit.T  # cosine
            similarity[self.videos.groups[queries, None] == self.videos.groups] = -math.inf
            nearest[start : start + QUERY_BLOCK] = similarity.argmax(axis=1)
        return nearest

    def _features(self, backbone: Backbone, device: torch.device) -> NDArray[np.float32]:
        """Compute the mean feature of each video's clips, (V, F); the backbone's mode is restored."""
        means = VideoMeans(self.videos.shards.clip_videos(), len(self.videos.classes))
        was_training = backbone.training
        backbone.eval()
        with torch.inference_mode():
            for clips, views in self._views(device):
                means.add(clips, backbone(views).float().cpu().numpy())
        backbone.train(was_training)
        return means.result()

    def _with_statistics(self, backbone: Backbone, device: torch.device) -> Backbone:
        """Return a copy whose batch norm has the statistics of the probe's clips; without it the backbone."""
        if not any(isinstance(module, _BatchNorm) for module in backbone.modules()):
            return backbone
        copied = copy.deepcopy(backbone).eval()
        for module in copied.modules():
            if isinstance(module, _BatchNorm):
                module.reset_running_stats()
                module.momentum = None  # the mean over all batches
                module.train()
        with torch.no_grad():
            for clips, views in self._views(device):
                if len(clips) > 1:  # one clip may have a single position, and so no variance
                    copied(views)
        return copied

    def _views(self, device: torch.device) -> Iterator[tuple[range, Tensor]]:
        """Yield the centre views of all clips, a batch at a time, each with the clips' numbers."""
        shards, size = self.videos.shards, min(self.recipe.batch_size, BATCH_CLIPS)
        centre = torch.tensor(centre_view(shards.geometry), device=device)
        batch = self._dataset.empty_batch(min(size, len(shards)))
        with tqdm(total=len(shards), desc="probe", unit="clip", leave=False, **bar_settings()) as bar:
            for start in range(0, len(shards), size):
                clips = range(start, min(start + size, len(shards)))
                self._dataset.read_into(batch, clips)
                frames = batch.frames[: len(clips)].to(device)
                places = centre.expand(len(clips), 3)
                yield clips, take_views(frames, places, self.recipe.pixel_mean, shards.geometry)
                bar.update(len(clips))
