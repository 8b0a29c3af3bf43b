"""Shards, the HDF5 files that labelling writes and training reads, and sets of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mas_labels.lazy import load_lazily

if TYPE_CHECKING:
    from mas_labels.names import as_unicode, fold_name, match_names, printable
    from mas_labels.shards.clip import Clip
    from mas_labels.shards.filters import parse_filters
    from mas_labels.shards.opening import find_shards
    from mas_labels.shards.reader import Shard
    from mas_labels.shards.selection import ClipSelection, spread_evenly
    from mas_labels.shards.shard_set import ShardSet, open_shards
    from mas_labels.shards.tables import Failure, Video, read_failures
else:
    __getattr__, __dir__ = load_lazily(
        __name__,
        {
            "Clip": "mas_labels.shards.clip",
            "ClipSelection": "mas_labels.shards.selection",
            "Failure": "mas_labels.shards.tables",
            "Shard": "mas_labels.shards.reader",
            "ShardSet": "mas_labels.shards.shard_set",
            "Video": "mas_labels.shards.tables",
            "as_unicode": "mas_labels.names",
            "fold_name": "mas_labels.names",
            "match_names": "mas_labels.names",
            "find_shards": "mas_labels.shards.opening",
            "open_shards": "mas_labels.shards.shard_set",
            "parse_filters": "mas_labels.shards.filters",
            "printable": "mas_labels.names",
            "read_failures": "mas_labels.shards.tables",
            "spread_evenly": "mas_labels.shards.selection",
        },
    )

__all__ = [
    "Clip",
    "ClipSelection",
    "Failure",
    "Shard",
    "ShardSet",
    "Video",
    "as_unicode",
    "find_shards",
    "fold_name",
    "match_names",
    "open_shards",
    "parse_filters",
    "printable",
    "read_failures",
    "spread_evenly",
]
