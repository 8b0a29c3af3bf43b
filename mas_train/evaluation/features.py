"""What a network says of each video: features of a backbone, or class scores, averaged over its clips.

The work of a network over a whole data set is done once: what it gave is kept in a folder, under a name made
of the weights' and the shards' hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from mas_labels.errors import ConfigError, DatasetError, InputError, reason_of, unavailable
from mas_labels.shards import ShardSet
from mas_labels.system.files import atomic_path
from mas_labels.system.process import bar_settings
from mas_train.data.class_match import ClassMatch
from mas_train.data.clips import clip_videos
from mas_train.data.few_labels import failed_videos
from mas_train.data.loader import load_frames
from mas_train.data.views import CENTRE_VIEW, take_views
from mas_train.model.backbone import Backbone
from mas_train.runtime.performance import set_memory_format
from mas_train.weights.load import fingerprint

KINDS: Final = ("pooled", "mean", "pixels")
"""``pooled``: the last convolution after the last pooling, flattened, 4096 numbers for C3D: what the fully
connected layers see. ``mean``: the mean over its time steps, rows and columns, 256 numbers. ``pixels``: a
control that asks no network, the colours of 4 x 4 blocks averaged over time, 48 numbers."""
PIXEL_BLOCKS: Final = (1, 4, 4)
VERSION: Final = 1
"""Version of what is kept, raised when the same weights and shards would give other numbers."""


@dataclass(frozen=True)
class VideoFeatures:
    """One row for each video that gave a clip.

    Attributes
    ----------
    values
        (V, D) float32, the mean over each video's clips.
    paths
        The videos, relative to the data set's root.
    classes
        (V,) int64, rows of the shards' classes; -1 without a class.
    groups
        What the recipe calls the group of each video; None without one.
    clip_counts
        (V,) int64, number of clips of each.
    failed
        Paths of the videos that gave no clip.
    failed_classes
        (F,) int64, their classes, -1 where unknown: the class of the other videos in their folder.
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
        """Return the same with the classes of those who are tested; those left out count as without class."""
        classes, failed_classes = match.numbers[self.classes], match.numbers[self.failed_classes]
        left_out = (self.classes >= 0) & (classes < 0)
        kept = (self.failed_classes < 0) | (failed_classes >= 0)
        return replace(
            self,
            classes=classes,
            clip_counts=np.where(left_out, 0, self.clip_counts),
            failed=tuple(path for path, is_kept in zip(self.failed, kept, strict=True) if is_kept),
            failed_classes=failed_classes[kept],
        )


@dataclass(frozen=True)
class Extraction:
    """How features are computed: nothing here decides them, but for rounding (on GPUs TF32's).

    Attributes
    ----------
    device
        Where.
    workers
        Processes that read clips.
    batch_size
        Clips at a time.
    cache
        Folder of what was computed before; None keeps nothing.
    """

    device: torch.device
    workers: int = 2
    batch_size: int = 32
    cache: Path | None = None


def backbone_features(backbone: Backbone, kind: str) -> Callable[[Tensor], Tensor]:
    """Return what turns a batch of views into features of one of `KINDS`, (B, 3, 16, 112, 112) -> (B, D)."""
    if kind == "pooled":
        return backbone
    if kind == "mean":
        return lambda clips: backbone.features(clips).mean(dim=(2, 3, 4))
    if kind == "pixels":
        return lambda clips: functional.adaptive_avg_pool3d(clips, PIXEL_BLOCKS).flatten(start_dim=1)
    raise ConfigError(f"no features {kind!r}: take one of {', '.join(KINDS)}")


def extract(
    model: nn.Module,
    output: Callable[[Tensor], Tensor],
    kind: str,
    pixel_mean: tuple[float, float, float],
    shards: ShardSet,
    how: Extraction,
) -> VideoFeatures:
    """Compute the features of all videos, or take them from the cache.

    Parameters
    ----------
    model
        Holds all weights that `output` uses.
    output
        From views (B, 3, 16, 112, 112) to rows (B, D).
    kind
        Name of the output.
    pixel_mean
        What is subtracted from R, G and B.
    shards
        The videos.
    how
        Device, workers, cache.

    Raises
    ------
    DatasetError
        If there are no clips.
    ShardError
        If a shard is damaged.
    """
    parts = [
        str(VERSION),
        kind,
        fingerprint(model),
        repr(pixel_mean),
        repr(CENTRE_VIEW),
        *shards.content_hashes,
    ]
    name = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    values = _read_cache(how.cache, name)
    if values is None:
        values = _compute(model, output, pixel_mean, shards, how)
        _write_cache(how.cache, name, values)
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


@torch.inference_mode()
def _compute(
    model: nn.Module,
    output: Callable[[Tensor], Tensor],
    pixel_mean: tuple[float, float, float],
    shards: ShardSet,
    how: Extraction,
) -> NDArray[np.float32]:
    """Run the network over the centre view of every clip."""
    model.to(how.device).eval()
    set_memory_format(model, "channels_last_3d")  # that of the views
    clips = list(range(len(shards)))
    batches = [clips[start : start + how.batch_size] for start in range(0, len(clips), how.batch_size)]
    means = VideoMeans(clip_videos(shards), len(shards.videos))
    with tqdm(total=len(clips), desc="features", unit="clip", **bar_settings()) as bar:
        for batch in load_frames(shards, batches, how.workers, how.device):
            views = torch.tensor(CENTRE_VIEW, device=how.device).expand(len(batch.frames), 3)
            frames = batch.frames.to(how.device, non_blocking=True)
            rows = output(take_views(frames, views, pixel_mean)).float().cpu().numpy()
            means.add(batch.clip_indices.tolist(), rows)
            bar.update(len(frames))
    return means.result()


def _read_cache(folder: Path | None, name: str) -> NDArray[np.float32] | None:
    path = None if folder is None else folder / f"{name}.npy"
    if path is None or not path.exists():
        return None
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, MemoryError) as error:
        raise unavailable(path, error) from error
    except (ValueError, EOFError) as error:
        raise DatasetError(f"{path} is damaged ({error}): remove it, it is made again") from error


def _write_cache(folder: Path | None, name: str, values: NDArray[np.float32]) -> None:
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


class VideoMeans:
    """Averages what clips give over the clips of each video, some clips at a time.

    What all clips give need not fit into memory: 4096 numbers for each clip of UCF101 are 2.4 GB.

    Parameters
    ----------
    videos
        (N,), the number of each clip's video, 0 to `count` - 1.
    count
        Number of videos.

    Raises
    ------
    InputError
        A video has no clip.
    """

    def __init__(self, videos: NDArray[np.integer], count: int) -> None:
        self._videos = videos
        self._clips = np.bincount(videos, minlength=count)
        if len(self._clips) != count or (self._clips == 0).any():
            raise InputError(
                f"expected clips of videos 0 to {count - 1}, found counts {self._clips.tolist()[:10]}"
            )
        self._sums = np.zeros((count, 0))

    def add(self, clips: Sequence[int], values: NDArray[np.floating]) -> None:
        """Take in what some clips give; every clip once.

        Parameters
        ----------
        clips
            Their numbers.
        values
            (n, D), a row a clip.

        Raises
        ------
        InputError
            A shape is wrong.
        """
        if not self._sums.size:
            self._sums = np.zeros((len(self._clips), *values.shape[1:]))
        if values.ndim != 2 or values.shape != (len(clips), self._sums.shape[1]):
            raise InputError(f"expected values ({len(clips)}, D), found {values.shape}")
        np.add.at(self._sums, self._videos[clips], values)

    def result(self) -> NDArray[np.float32]:
        """Return the means, (count, D)."""
        return (self._sums / self._clips[:, None]).astype(np.float32)
