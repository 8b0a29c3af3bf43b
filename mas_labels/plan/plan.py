"""The plan of a labelling run: which shards there will be and which videos each holds.

A folder is labelled in batches: the videos of its first run, then, batch by batch, videos that were added
since. A batch never changes; its shards follow from it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Final, overload

from mas_labels.config import json_hash
from mas_labels.datasets.listing import Listing, VideoRecord, listing_notes
from mas_labels.names import unite_classes
from mas_labels.plan.file_names import batch_name, shard_name

MIN_SHARD_VIDEOS: Final = 2
MAX_SHARD_VIDEOS: Final = 16
"""Least and most videos of a shard, unless the manifest or --videos-per-shard says otherwise."""
MIN_SHARDS: Final = 128
"""Number of shards from which these grow: few shards leave workers without work at the end of a run."""


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a plan.

    Attributes
    ----------
    manifest, split
        Names of the data set's manifest and of the split.
    index, count
        Number of this shard in its batch, from 0, and number of shards of the batch.
    videos
        Its videos.
    classes
        Names of all classes of the data set.
    limit
        Number of videos that the plan was limited to; None if no video was left out.
    batch
        Number of its batch, 0 for the first.
    videos_hash
        Hash of the videos' records where they are not all known; None: it follows from `videos`.
    """

    manifest: str
    split: str
    index: int
    count: int
    videos: tuple[VideoRecord, ...]
    classes: tuple[str, ...]
    limit: int | None = None
    batch: int = 0
    videos_hash: str | None = None

    @property
    def name(self) -> str:
        """File name of the shard."""
        return shard_name(batch_name(self.manifest, self.split, self.batch), self.index, self.count)

    @property
    def planned(self) -> int:
        """Number of its videos."""
        return len(self.videos)

    def as_dict(self) -> dict[str, Any]:
        """Return the part that is stored in the shard: enough to recognise it when a run is resumed."""
        limited = {} if self.limit is None else {"limit": self.limit}
        added = {"batch": self.batch} if self.batch else {}
        return {
            "manifest": self.manifest,
            "split": self.split,
            "index": self.index,
            "count": self.count,
            "videos_hash": self.videos_hash or hash_videos(self.videos),
            "classes_hash": _hash_classes(self.classes),
            **limited,
            **added,
        }


def hash_videos(videos: Sequence[VideoRecord]) -> str:
    """Return the hash of the records of a shard's videos."""
    return json_hash([vars(video) for video in videos])


@lru_cache(maxsize=1)
def _hash_classes(classes: tuple[str, ...]) -> str:
    """Return the hash of the classes, which all shards of a batch share."""
    return json_hash(classes)


@dataclass(frozen=True)
class Batch:
    """The videos of a folder of shards that were planned together.

    Attributes
    ----------
    manifest, split
        Names of the data set's manifest and of the split.
    number
        0 for the first batch of a folder, then counted up.
    count
        Number of shards that they are distributed over.
    videos
        The videos, in the listing's order.
    classes
        Names of all classes of the data set: those of the previous batch, then new ones.
    limit
        Number of videos that the folder was limited to; None if no video was left out.
    notes
        The notes on the data set's folder when the batch was planned.
    videos_hashes
        Hashes that the shards hold, where the records of `videos` are not all known; else empty.
    """

    manifest: str
    split: str
    number: int
    count: int
    videos: tuple[VideoRecord, ...]
    classes: tuple[str, ...]
    limit: int | None = None
    notes: tuple[str, ...] = ()
    videos_hashes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Beginning of the names of its files."""
        return batch_name(self.manifest, self.split, self.number)

    def shards(self) -> list[ShardPlan]:
        """Assign the videos to shards round-robin, so that each shard holds videos of many classes."""
        return [
            ShardPlan(
                *(self.manifest, self.split, index, self.count, self.videos[index :: self.count]),
                *(self.classes, self.limit, self.number),
                self.videos_hashes[index] if self.videos_hashes else None,
            )
            for index in range(self.count)
        ]


@dataclass(frozen=True)
class Plan(Sequence[ShardPlan]):
    """All shards of a folder, batch by batch.

    Attributes
    ----------
    listing, split, videos_per_shard, limit
        The arguments of `plan_shards`.
    batches
        The batches, in order.
    known
        Number of batches that were planned by earlier runs.
    """

    listing: Listing
    split: str
    videos_per_shard: int | None
    limit: int | None
    batches: tuple[Batch, ...]
    known: int

    @cached_property
    def _shards(self) -> list[ShardPlan]:
        return [shard for batch in self.batches for shard in batch.shards()]

    @property
    def added(self) -> tuple[Batch, ...]:
        """The batch of videos that are new in a folder that was planned before, if there is one."""
        return tuple(batch for batch in self.batches[self.known :] if batch.number)

    @cached_property
    def removed(self) -> tuple[str, ...]:
        """Paths of the videos that were planned before and are no longer in the data set."""
        listed = {video.path for video in self.listing.videos}
        known = self.batches[: self.known]
        return tuple(video.path for batch in known for video in batch.videos if video.path not in listed)

    def after(self, known: Sequence[Batch]) -> Plan:
        """Return the plan for a folder that already has some batches."""
        return plan_shards(self.listing, self.split, self.videos_per_shard, self.limit, known)

    def __len__(self) -> int:
        return len(self._shards)

    @overload
    def __getitem__(self, index: int) -> ShardPlan: ...
    @overload
    def __getitem__(self, index: slice) -> list[ShardPlan]: ...
    def __getitem__(self, index: int | slice) -> ShardPlan | list[ShardPlan]:
        return self._shards[index]


def plan_shards(
    listing: Listing,
    split: str,
    videos_per_shard: int | None,
    limit: int | None = None,
    known: Sequence[Batch] = (),
) -> Plan:
    """Distribute the videos of a split over shards.

    Parameters
    ----------
    listing
        The data set.
    split
        Name of the split.
    videos_per_shard
        Maximum number of videos of a shard; None: `shard_counts` chooses.
    limit
        Take only this many videos of the split, the first ones; None: all.
    known
        Batches that were planned by earlier runs: they stay; videos that none of them has become one more.

    Raises
    ------
    ConfigError, DatasetError
        If there is no such split, or it is empty.
    """
    planned = {video.path for batch in known for video in batch.videos}
    new = [video for video in listing.select(split) if video.path not in planned]
    videos = new if limit is None else new[: max(0, limit - len(planned))]
    batches = tuple(known)
    if videos:
        known_classes = known[-1].classes if known else ()
        classes, (_, places) = unite_classes((known_classes, listing.classes))
        numbers = places.tolist()
        batch = Batch(
            *(listing.manifest_name, split, len(known), shard_counts(len(videos), videos_per_shard)[0]),
            tuple(renumber_class(video, classes, numbers) for video in videos),
            tuple(classes),
            limit if len(videos) < len(new) else None,
            tuple(listing_notes(listing)),
        )
        batches = (*batches, batch)
    return Plan(listing, split, videos_per_shard, limit, batches, len(known))


def shard_counts(videos: int, videos_per_shard: int | None) -> tuple[int, ...]:
    """Return the number of shards of so many videos, then that of older versions, if it was another.

    It follows from the videos alone, not from workers, so that every machine makes the same shards.
    """
    if videos_per_shard is not None:
        return (-(-videos // videos_per_shard),)
    size = min(max(MIN_SHARD_VIDEOS, videos // MIN_SHARDS), MAX_SHARD_VIDEOS)
    return tuple(dict.fromkeys(-(-videos // most) for most in (size, MAX_SHARD_VIDEOS)))


def renumber_class(video: VideoRecord, classes: Sequence[str], numbers: Sequence[int]) -> VideoRecord:
    """Return a record whose class is one of `classes`; see `mas_labels.names.CommonClasses.numbers`."""
    number = numbers[video.class_index]
    return replace(video, class_name=classes[number] if number >= 0 else None, class_index=number)
