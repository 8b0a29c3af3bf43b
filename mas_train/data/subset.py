"""A set of shards with some of its clips left out: the training part and the held-out part of one set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError
from mas_labels.shards import Shard, ShardPool, ShardSet


class ShardSubset(ShardSet):
    """Some clips of a set of shards, as a set of its own: its clips are numbered anew.

    Parameters
    ----------
    shards
        The whole set.
    kept
        For each shard the numbers of its clips that are kept, ascending.
    """

    def __init__(self, shards: ShardSet, kept: list[NDArray[np.int64]]) -> None:
        self.paths, self.content_hashes = shards.paths, shards.content_hashes
        self.config, self.views, self.classes = shards.config, shards.views, shards.classes
        self.failure_count = shards.failure_count
        self.kept = kept
        self.lengths = [len(clips) for clips in kept]
        self.common_classes, self.incomplete = shards.common_classes, shards.incomplete
        self._pool = ShardPool(self.paths, self.content_hashes, self.common_classes)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    def locate(self, index: int) -> tuple[Shard, int]:
        """Return the shard that holds clip `index` of this set, and the clip's number in the shard."""
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.shard(number), int(self.kept[number][index - int(self._starts[number])])


def clip_rows(shards: ShardSet, number: int) -> NDArray[np.int64]:
    """Numbers, within shard `number`, of its clips that belong to a set: ascending."""
    return shards.kept[number] if isinstance(shards, ShardSubset) else np.arange(shards.lengths[number])


def hold_out(shards: ShardSet, share: float, seed: int) -> tuple[ShardSubset, ShardSubset]:
    """Part a set of shards by video into clips to train on and clips to measure on.

    Videos of one group and class are cut from one recording in some data sets (UCF101), so they go together.

    Parameters
    ----------
    shards
        The whole set.
    share
        Of the videos (or groups of videos), more than 0 and less than 1; one is held out at least.
    seed
        Of the draw, which depends on nothing but the seed and the videos' names.

    Returns
    -------
    training, held_out : ShardSubset

    Raises
    ------
    ConfigError
        If no video would be left to train on.
    """
    keys = [_video_keys(shards.shard(number)) for number in range(len(shards.paths))]
    names = sorted({key for shard_keys in keys for key in shard_keys})
    count = max(1, round(share * len(names)))
    if count >= len(names):
        raise ConfigError(
            f"--holdout {share:g} of {len(names)} videos (or groups of videos) leaves none to train on: "
            "give a smaller share, more shards, or other shards as --val-shards"
        )
    chosen = np.random.default_rng([seed, len(names)]).permutation(len(names))[:count]
    held = {names[at] for at in chosen}
    training, held_out = [], []
    for number, shard_keys in enumerate(keys):
        is_held = np.array([key in held for key in shard_keys], bool)
        of_clip = is_held[shards.shard(number).read("clips/video")]
        training.append(np.flatnonzero(~of_clip))
        held_out.append(np.flatnonzero(of_clip))
    return ShardSubset(shards, training), ShardSubset(shards, held_out)


def _video_keys(shard: Shard) -> list[str]:
    """What goes together, for each row of a shard's videos: class and group, or the video alone."""
    columns = (
        shard.read_texts("videos/path"),
        shard.read_class_indices(),
        shard.read_texts("videos/group"),
    )
    return [f"{number}/{group}" if group else path for path, number, group in zip(*columns, strict=True)]
