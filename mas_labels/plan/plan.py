"""The plan of a labelling run: which shards there will be and which videos each holds.

A folder is labelled in batches: the videos of its first run, then, if there are any, those that were added
since. A batch never changes; its shards follow from it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, overload

from mas_labels.config import json_hash
from mas_labels.datasets.listing import Listing, VideoRecord, listing_notes
from mas_labels.names import unite_classes
from mas_labels.plan.file_names import added_name, shard_name


@dataclass(frozen=True)
class ShardPlan:
    """One shard of a plan.

    Attributes
    ----------
    manifest, split
        What the plan is of.
    index, count
        Number of this shard in its batch from 0, and how many the batch has.
    videos
        Its videos.
    classes
        Names of all classes of the data set.
    limit
        How many videos the plan was limited to; None if that left none out.
    batch
        Number of its batch, 0 for the first.
    videos_hash
        Hash of the videos' records, where they are not all known; None: it follows from `videos`.
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

    def as_dict(self) -> dict[str, Any]:
        """Return what is stored in the shard: enough to know it again."""
        limited = {} if self.limit is None else {"limit": self.limit}
        added = {"batch": self.batch} if self.batch else {}
        return {
            "manifest": self.manifest,
            "split": self.split,
            "index": self.index,
            "count": self.count,
            "videos_hash": self.videos_hash or hash_of_videos(self.videos),
            "classes_hash": _hash_of_classes(self.classes),
            **limited,
            **added,
        }


def batch_name(manifest: str, split: str, number: int) -> str:
    """Return what the names of a batch's files begin with."""
    return added_name(f"{manifest}-{split}", number)


def hash_of_videos(videos: Sequence[VideoRecord]) -> str:
    """Return the hash of videos' records that their shard keeps."""
    return json_hash([vars(video) for video in videos])


@lru_cache(maxsize=1)
def _hash_of_classes(classes: tuple[str, ...]) -> str:
    """Return the hash that all shards of a batch share."""
    return json_hash(classes)


@dataclass(frozen=True)
class Batch:
    """Videos of a folder of shards that were planned together.

    Attributes
    ----------
    manifest, split
        Names of the data set's manifest and of the split.
    number
        0 for the first batch of a folder, then counted up.
    count
        Shards they are distributed over.
    videos
        The videos, in the listing's order.
    classes
        Names of all classes of the data set: those of the batch before, then new ones.
    limit
        Number of videos the folder was limited to; None if that left none out.
    notes
        The notes on the data set's folder of that time.
    videos_hashes
        As the shards have them, where the records of `videos` are not all known; else empty.
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
        """Assign the videos to shards round-robin, so that each holds videos of many classes."""
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
        What was asked for; see `plan_shards`.
    batches
        The batches, in order.
    known
        Number of batches that were there before.
    """

    listing: Listing
    split: str
    videos_per_shard: int
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
        """Paths of the videos that were planned before and are not in the data set any more."""
        here = {video.path for video in self.listing.videos}
        known = self.batches[: self.known]
        return tuple(video.path for batch in known for video in batch.videos if video.path not in here)

    def after(self, known: Sequence[Batch]) -> Plan:
        """Return the plan for a folder that has some batches already."""
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
    videos_per_shard: int,
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
        Most videos of a shard.
    limit
        Take the first so many videos of the split only; None: all.
    known
        The batches that were planned before: they stay, and videos that none of them has make one more.

    Raises
    ------
    ConfigError, DatasetError
        If there is no such split, or it is empty.
    """
    whole = listing.select(split)
    planned = {video.path for batch in known for video in batch.videos}
    new = [video for video in whole if video.path not in planned]
    videos = new if limit is None else new[: max(0, limit - len(planned))]
    batches = tuple(known)
    if videos:
        before = known[-1].classes if known else ()
        classes, (_, places) = unite_classes((before, listing.classes))
        numbers = places.tolist()
        batch = Batch(
            *(listing.manifest_name, split, len(known), -(-len(videos) // videos_per_shard)),
            tuple(renumber(video, classes, numbers) for video in videos),
            tuple(classes),
            limit if len(videos) < len(new) else None,
            tuple(listing_notes(listing)),
        )
        batches = (*batches, batch)
    return Plan(listing, split, videos_per_shard, limit, batches, len(known))


def renumber(video: VideoRecord, classes: Sequence[str], numbers: Sequence[int]) -> VideoRecord:
    """Return a record whose class is one of `classes`; see `mas_labels.names.CommonClasses.numbers`."""
    number = numbers[video.class_index]
    return replace(video, class_name=classes[number] if number >= 0 else None, class_index=number)
