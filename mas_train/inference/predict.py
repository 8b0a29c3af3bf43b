"""Class scores of videos and of their clips, from a fine-tuned network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mas_labels.errors import ConfigError
from mas_labels.geometry import Geometry
from mas_labels.shards import Failure
from mas_train.data.views import describe_views
from mas_train.inference.outputs import clip_outputs
from mas_train.inference.progress import show_progress
from mas_train.inference.sources import ClipPlace, EndedVideo, FrameSource
from mas_train.model.classifier import Classifier
from mas_train.model.similarity import require_finite_outputs
from mas_train.model.video_means import RunningMean
from mas_train.weights.backbone_weights import Weights


@dataclass(frozen=True)
class VideoScores:
    """Class scores of one video.

    Attributes
    ----------
    video
        Its name.
    true_class
        The class that its folder or manifest states; None without one.
    scores
        (C,) float32, the mean over its clips of the softmax probabilities; None if it has no clip.
    clips
        The places of its clips.
    clip_scores
        (n, C) float32, the probabilities of each clip.
    failure
        The reason why it could not be used, or not all of it; None if it could.
    """

    video: str
    true_class: str | None
    scores: NDArray[np.float32] | None
    clips: Sequence[ClipPlace]
    clip_scores: NDArray[np.float32]
    failure: Failure | None


def require_trained_geometry(weights: Weights, geometry: Geometry, place: object) -> None:
    """Refuse clips that the fully connected layers of a fine-tuned model cannot take.

    Parameters
    ----------
    weights, geometry
        The weights, and the geometry of the clips.
    place
        Where the clips are, for the message.

    Raises
    ------
    ConfigError
        If the clips have another number of features than those of training.
    """
    learnt = weights.geometry
    if len({weights.backbone.output_features(sizes) for sizes in (learnt, geometry)}) > 1:
        raise ConfigError(
            f"{weights.source}: expected clips of {describe_views(learnt)}, as in training, found "
            f"{describe_views(geometry)} in {place}: label the test videos with the options of the training "
            "videos, or fine-tune a backbone that averages over positions, such as r3d-18"
        )


def score_source(
    weights: Weights,
    model: Classifier,
    source: FrameSource,
    batch_size: int,
    workers: int | None,
    device: torch.device,
) -> Iterator[VideoScores]:
    """Yield the class scores of every video, in the order in which their clips end.

    Closing the iterator ends the threads that read clips, or the processes that decode them.

    Parameters
    ----------
    weights, model
        The weights, and their model (`load_classifier`).
    source
        The videos.
    batch_size, workers
        Number of clips per batch, and of those threads or processes; None: chosen.
    device
        Where the network runs.

    Raises
    ------
    InputError
        If a score is not finite.
    TrainingError
        If the device has too little memory.
    """
    waiting: dict[str, list[tuple[ClipPlace, NDArray[np.float32]]]] = {}
    batches = source.batches(batch_size, workers, device)
    with closing(batches):  # type: ignore[type-var]
        outputs = clip_outputs(
            model, model.probabilities, weights.pixel_mean, source.geometry, batches, device
        )
        for batch, rows in show_progress(outputs, len(source.videos), "predicting"):
            require_finite_outputs("scores", rows)
            for clip, row in zip(batch.clips, rows, strict=True):
                waiting.setdefault(clip.video, []).append((clip, row))
            for video in batch.ended:
                yield _score_video(video, source.classes.get(video.name), waiting.pop(video.name, []))


def _score_video(
    video: EndedVideo, true_class: str | None, scored: Sequence[tuple[ClipPlace, NDArray[np.float32]]]
) -> VideoScores:
    """Average the scores of a video's clips."""
    if not scored:
        return VideoScores(video.name, true_class, None, (), np.empty((0, 0), np.float32), video.failure)
    clips, rows = zip(*scored, strict=True)
    mean = RunningMean()
    for row in rows:
        mean.add(row)
    return VideoScores(video.name, true_class, mean.result(), clips, np.stack(rows), video.failure)
