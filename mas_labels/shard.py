"""Former name of `mas_labels.shards`, kept for notebooks until the next release."""

from mas_labels.shards import Clip, Failure, Shard, ShardSet, Video, find_shards, open_shards

__all__ = ["Clip", "Failure", "Shard", "ShardSet", "Video", "find_shards", "open_shards"]
