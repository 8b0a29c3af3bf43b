"""Names of the files in a folder of shards."""

from __future__ import annotations

import re
from typing import Final

PLAN_SUFFIX: Final = ".plan.json"
PLAN_NAME: Final = re.compile(r"(?P<batch>[^.].*)\.plan\.json", re.DOTALL)
_SHARD: Final = r"(?P<batch>[^.].*)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.h5"
SHARD_NAME: Final = re.compile(_SHARD, re.DOTALL)
"""A finished shard."""
SHARD_OR_PARTIAL_NAME: Final = re.compile(rf"\.?{_SHARD}(\.progress|\.partial)?", re.DOTALL)
"""A finished shard, or the hidden files of one that is being made."""
ADDED_NAME: Final = re.compile(r"(?P<first>.+)-added(?P<number>\d{4})", re.DOTALL)
ALL_SHARDS: Final = "-*.h5"
"""End of what stands for the shards of a batch whose number is not known."""


def shard_name(batch: str, index: int, count: int) -> str:
    """Return the file name of shard `index`, from 0, of the `count` of a batch; see `SHARD_NAME`."""
    return f"{batch}-{index:05d}-of-{count:05d}.h5"


def added_name(first: str, number: int) -> str:
    """Return the name of a batch, from that of the first one and its number."""
    return f"{first}-added{number:04d}" if number else first
