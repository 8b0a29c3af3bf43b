"""Features of videos: the output of a network, averaged over the clips of each video.

They are the input of every protocol. Running a network over a whole data set takes long, so its features are
cached in a folder, under a name made from the hashes of weights and shards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from mas_labels.errors import ConfigError, DatasetError, reason_of, unavailable
from mas_labels.shards import ShardSet
from mas_labels.system.files import atomic_path
from mas_labels.system.process import bar_settings
from mas_train.data.class_match import ClassMatch
from mas_train.data.few_labels import failed_videos
from mas_train.data.loader import load_frames
from mas_train.data.views import centre_view
from mas_train.inference.layers import backbone_features as backbone_features
from mas_train.inference.outputs import clip_outputs
from mas_train.inference.sources import text_digest
from mas_train.model.backbone import Backbone
from mas_train.model.similarity import normalise_rows as normalise_rows
from mas_train.model.video_means import VideoMeans
from mas_train.weights.backbone_weights import weights_digest

CACHE_VERSION: Final = 3
"""Raised whenever the same weights and shards would give other features, so that cached ones are not used."""


@dataclass(frozen=True)
class VideoFeatures:
    """Features of the videos of a shard set, one row per video that has a clip.

    Attributes
    ----------
    values
        (V, D) float32, the mean over each video's clips.
    paths
        Paths of the videos, relative to the data set's root.
    classes
        (V,) int64, numbers of classes as in the shards; -1 without a class.
    groups
        Group of each video, as the manifest defines it; None without one.
    clip_counts
        (V,) int64, number of clips of each video.
    failed
        Paths of the videos that have no clip.
    failed_classes
        (F,) int64, their classes, those of the other videos in their folder; -1 where unknown.
    """

    values: NDArray[np.float32]
    paths: tuple[str, ...]
    classes: NDArray[np.int64]
    groups: tuple[str | None, ...]
    clip_counts: NDArray[np.int64]
    failed: tuple[str, ...]
    failed_classes: NDArray[np.int64]

    @property
    def clips(self) -> int:
        """Number of clips."""
        return int(self.clip_counts.sum())

    def in_classes(self, match: ClassMatch) -> VideoFeatures:
        """Return the features with the class numbers of `match`; videos of unknown classes have none."""
        classes, failed_classes = match.numbers[self.classes], match.numbers[self.failed_classes]
        left_out = (self.classes >= 0) & (classes < 0)
        is_kept = (self.failed_classes < 0) | (failed_classes >= 0)
        return replace(
            self,
            classes=classes,
            clip_counts=np.where(left_out, 0, self.clip_counts),
            failed=tuple(path for path, kept in zip(self.failed, is_kept, strict=True) if kept),
            failed_classes=failed_classes[is_kept],
        )


@dataclass(frozen=True)
class Extraction:
    """Options of computing features; apart from rounding (TF32 on GPUs) they do not change the features.

    Attributes
    ----------
    device
        The device that the network runs on.
    workers
        Number of processes that read clips; None: as many as needed (`mas_train.data.loader.load_batches`).
    batch_size
        Number of clips per batch.
    cache
        Folder of cached features; None disables the cache.
    """

    device: torch.device
    workers: int | None = None
    batch_size: int = 32
    cache: Path | None = None


def extract(
    model: nn.Module,
    output: Callable[[Tensor], Tensor],
    kind: str,
    pixel_mean: tuple[float, float, float],
    shards: ShardSet,
    extraction: Extraction,
) -> VideoFeatures:
    """Compute the features of all videos, or read them from the cache.

    Parameters
    ----------
    model
        The module that holds all weights of `output`.
    output
        Function from views (B, 3, frames, size, size) to features (B, D).
    kind
        Name of the output, by which the cache distinguishes outputs of the same weights.
    pixel_mean
        Mean of R, G and B, which is subtracted from the views.
    shards
        The videos.
    extraction
        Device, workers, cache.

    Raises
    ------
    DatasetError
        If there are no clips.
    ShardError
        If a shard is corrupt.
    """
    weights = weights_digest(model)
    parts = [
        str(CACHE_VERSION),
        kind,
        weights,
        repr([module.input_stride for module in model.modules() if isinstance(module, Backbone)]),
        repr(pixel_mean),
        repr(centre_view(shards.geometry)),
        *shards.identity,
    ]
    name = text_digest(*parts)
    values = _read_cache(extraction.cache, name)
    if values is None:
        values = _compute(model, output, pixel_mean, shards, extraction)
        _write_cache(extraction.cache, name, values)
    videos = shards.videos
    failed, failed_classes = failed_videos(shards)
    return VideoFeatures(
        values=values,
        paths=tuple(video.path for video in videos),
        classes=np.array([video.class_index for video in videos], np.int64),
        groups=tuple(video.group for video in videos),
        clip_counts=np.array([video.clips for video in videos], np.int64),
        failed=failed,
        failed_classes=failed_classes,
    )


def _compute(
    model: nn.Module,
    output: Callable[[Tensor], Tensor],
    pixel_mean: tuple[float, float, float],
    shards: ShardSet,
    extraction: Extraction,
) -> NDArray[np.float32]:
    """Run the network on the centre view of every clip; return the mean over each video's clips, (V, D)."""
    device, size = extraction.device, extraction.batch_size
    clips = list(range(len(shards)))
    order = [clips[start : start + size] for start in range(0, len(clips), size)]
    batches = load_frames(shards, order, extraction.workers, device)
    means = VideoMeans(shards.clip_videos(), len(shards.videos))
    with tqdm(total=len(clips), desc="features", unit="clip", **bar_settings()) as bar:
        for batch, rows in clip_outputs(model, output, pixel_mean, shards.geometry, batches, device):
            means.add(batch.clip_indices.tolist(), rows)
            bar.update(len(rows))
    return means.result()


def _read_cache(folder: Path | None, name: str) -> NDArray[np.float32] | None:
    """Return cached features; None if there are none."""
    path = None if folder is None else folder / f"{name}.npy"
    if path is None or not path.exists():
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, MemoryError) as error:
        raise unavailable(path, error) from error
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path} is corrupt ({error}): remove it, it will be computed again") from error


def _write_cache(folder: Path | None, name: str, values: NDArray[np.float32]) -> None:
    """Cache features, atomically."""
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / f"{name}.npy", is_shared=True) as hidden:
            np.save(hidden, values, allow_pickle=False)
    except OSError as error:
        raise ConfigError(
            f"cannot write features to {folder}: {reason_of(error)}. Give another --out"
        ) from error
