"""Division of a set of shards, video by video, into a training part and a held-out part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError
from mas_labels.shards import Shard, ShardSet


def hold_out(shards: ShardSet, share: float, seed: int) -> tuple[ShardSet, ShardSet]:
    """Divide a set of shards, video by video, into clips to train on and clips to measure on.

    Videos of one group and class are cut from one recording in some data sets (UCF101), so they go together.

    Parameters
    ----------
    shards
        The whole set.
    share
        Of the videos (or groups of videos), more than 0 and less than 1; one is held out at least.
    seed
        Seed of the draw, which depends on the seed and the videos' names alone.

    Returns
    -------
    training, held_out : ShardSet

    Raises
    ------
    ConfigError
        If no video would be left to train on.
    """
    keys = [_clip_keys(shard, shards.rows(number)) for number, shard in shards.each_shard()]
    names = sorted({key for shard_keys in keys for key in shard_keys})
    count = max(1, round(share * len(names)))
    if count >= len(names):
        raise ConfigError(
            f"--holdout {share:g} of {len(names)} videos (or groups of videos) leaves none to train on: "
            "give a smaller share, more shards, or other shards as --val-shards"
        )
    chosen = np.random.default_rng([seed, len(names)]).permutation(len(names))[:count]
    held = {names[at] for at in chosen}
    of_clip = np.array([key in held for shard_keys in keys for key in shard_keys], bool)
    return shards.subset(np.flatnonzero(~of_clip)), shards.subset(np.flatnonzero(of_clip))


def _clip_keys(shard: Shard, rows: NDArray[np.int64]) -> list[str]:
    """Return for clips of a shard the key of those that stay together: class and group, or the video."""
    columns = (shard.read_texts("videos/path"), shard.read_class_indices(), shard.read_texts("videos/group"))
    of_video = [f"{label}/{group}" if group else path for path, label, group in zip(*columns, strict=True)]
    return [of_video[video] for video in shard.read("clips/video")[rows].tolist()]
