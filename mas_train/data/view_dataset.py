"""Views of clips with their labels, as a data set for training loops of one's own.

`mas-train` has its own loader (`mas_train.data.loader`), which moves whole clips, and cuts views on the
device; this data set gives the same views to any `torch.utils.data.DataLoader`.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from mas_labels.errors import ConfigError, InputError
from mas_labels.schema import LABEL_NAMES, MOTION_NAMES
from mas_labels.shards import ClipSelection, ShardSet, open_shards
from mas_train.data.clips import ClipDataset
from mas_train.data.views import cut_view, draw_views, take_labels
from mas_train.recipe import Recipe

ClipsOfShards = ShardSet | ClipSelection | str | Path | Sequence[str | Path]
"""Shards, opened or named by files, folders or patterns, or clips chosen from them with `ShardSet.where`."""


class LabelledView(NamedTuple):
    """One view of a clip; torch's `default_collate` makes batches of it, with a first dimension B."""

    frames: Tensor
    """Shape (3, frames, view_size, view_size): float32 RGB less the pixel mean, or as it is without one."""
    labels: Tensor
    """Shape (27,), uint8: the labels of this view; 0 where a label does not hold (see `ViewDataset`)."""
    view: Tensor
    """Shape (3,), int64: top, left, mirrored; the crop comes first."""
    clip_index: int
    """Number of the clip in `ViewDataset.shards`."""


class ViewDataset(Dataset[LabelledView]):
    """Clips of shards, each as one view with this view's 27 labels.

    It may be pickled, and read by worker processes, spawned or forked; each opens the shards itself.

    Parameters
    ----------
    clips
        Shards (opened, or files, folders, patterns), or a selection such as ``shards.where(cut=False)``,
        whose clips are then numbered from 0.
    views
        ``"random"`` draws a view of each clip from (seed, epoch, number of the clip) as `mas-train` does,
        with the same result; `set_epoch` sets the epoch. ``"centre"`` is the centre, not mirrored.
    seed
        Seed of the views, not negative.
    pixel_mean
        Subtracted from R, G and B, on the scale of 0 to 255. None: frames stay as they are, uint8 without a
        `transform`, which is a quarter of the memory between worker processes and device; or a `transform`
        has brought them to another scale.
    transform
        Called with the frames of a view before the mean is subtracted: uint8, (frames, 3, view_size,
        view_size), as torchvision's transforms take them. Returns the same shape. Crops and mirror images
        come from `views` alone: labels are those of the view, and pixels that move make them wrong.
    changes_colours
        Whether `transform` may change colours. The 13 appearance labels (colours and their diversity) then
        do not hold: they become 0, and `mas_train.PretextLoss` leaves them out. False keeps them, for
        transforms that only change the scale of numbers.

    Attributes
    ----------
    shards : ShardSet
        The clips.

    Raises
    ------
    ConfigError
        If an argument is out of its range.
    DatasetError
        If there are no shards, or they hold no clips or no labels.
    ShardError
        If a shard is damaged.
    """

    def __init__(
        self,
        clips: ClipsOfShards,
        views: Literal["random", "centre"] = "random",
        seed: int = 0,
        pixel_mean: Sequence[float] | None = Recipe.pixel_mean,
        transform: Callable[[Tensor], Tensor] | None = None,
        changes_colours: bool = True,
    ) -> None:
        if views not in ("random", "centre"):
            raise ConfigError(f"expected views 'random' or 'centre', found {views!r}")
        if seed < 0:
            raise ConfigError(f"expected a seed that is not negative, found {seed}")
        self.shards = open_clips(clips)
        self.views, self.seed, self.transform = views, operator.index(seed), transform
        self.pixel_mean = None if pixel_mean is None else _mean_tensor(pixel_mean)
        self.drops_appearance = transform is not None and changes_colours
        self._clips = ClipDataset(self.shards)
        self._table = torch.from_numpy(self.shards.views.astype("int64"))  # (V, 3)
        self._epoch = torch.zeros((), dtype=torch.int64)
        with contextlib.suppress(OSError, RuntimeError):  # no shared memory: then there are no workers either
            self._epoch.share_memory_()  # `set_epoch` reaches workers that live for several epochs

    def set_epoch(self, epoch: int) -> None:
        """Draw other views from now on: those of this epoch, counted from 0.

        Call it before each epoch; worker processes that persist are told as well.
        """
        if epoch < 0:
            raise ConfigError(f"expected an epoch that is not negative, found {epoch}")
        self._epoch.fill_(operator.index(epoch))

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> LabelledView:
        """Read a clip and cut its view.

        Raises
        ------
        InputError
            If `transform` returns another shape, or no tensor.
        ShardError
            If a shard is damaged.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        clip = self._clips[index]
        row = torch.zeros(1, dtype=torch.int64)
        if self.views == "random":
            row = draw_views(self.seed, int(self._epoch), torch.tensor([index]), len(self._table))
        labels = take_labels(clip.view_labels[None], row)[0]
        if self.drops_appearance:
            labels[len(MOTION_NAMES) : len(LABEL_NAMES)] = 0
        view = self._table[row[0]]
        frames = cut_view(clip.frames, view, self.shards.geometry)
        return LabelledView(self._prepare(frames), labels, view, int(index))

    def _prepare(self, frames: Tensor) -> Tensor:
        """Transform a view (frames, 3, S, S) and subtract the mean: (3, frames, S, S)."""
        shape = frames.shape
        if self.transform is not None:
            frames = self.transform(frames)
            if not isinstance(frames, Tensor) or frames.shape != shape:
                found = tuple(frames.shape) if isinstance(frames, Tensor) else f"a {type(frames).__name__}"
                raise InputError(
                    f"expected a tensor {tuple(shape)} of the transform, found {found}: "
                    "crops come from the shards' views"
                )
        frames = frames.transpose(0, 1)
        if self.pixel_mean is None:
            return frames.contiguous()
        # a copy: the transform may keep the tensor that it returned
        plain = frames.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        return plain.sub_(self.pixel_mean)


def _mean_tensor(pixel_mean: Sequence[float]) -> Tensor:
    """Return the mean of R, G and B in the shape in which it is subtracted."""
    if len(pixel_mean) != 3:
        raise ConfigError(f"expected a pixel mean of three numbers, R, G and B, found {tuple(pixel_mean)}")
    return torch.tensor(pixel_mean, dtype=torch.float32).reshape(3, 1, 1, 1)


def open_clips(clips: ClipsOfShards) -> ShardSet:
    """Return the clips of shards, or of a selection, as a set of their own."""
    if isinstance(clips, ShardSet):
        return clips
    if isinstance(clips, ClipSelection):
        if not isinstance(clips.shards, ShardSet):
            raise InputError("expected clips chosen from `mas_labels.open_shards`")
        return clips.shards.subset(clips.indices)
    return open_shards(clips)
