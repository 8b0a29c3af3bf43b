"""Names of the files in a folder of shards: shards, plan files, and the hidden files of a run in progress.

::

    ucf101-all-00003-of-00075.h5                a finished shard
    .ucf101-all-00003-of-00075.h5.partial       the same shard while it is written
    .ucf101-all-00003-of-00075.h5.progress      its heartbeat: which worker makes it
    ucf101-all.plan.json                        the plan of the first batch of videos
    ucf101-all-added0001-00000-of-00002.h5      a shard of videos that were added later
    .lock, .lock-3-of-16                        held by a run, by one rank of 16

A folder of flow has locks and heartbeats of the same kind, ``.flow-<hash of the video's name>.progress``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

PLAN_SUFFIX: Final = ".plan.json"
PARTIAL_SUFFIX: Final = ".partial"
HEARTBEAT_SUFFIX: Final = ".progress"
ALL_SHARDS: Final = "-*.h5"
"""Stands for the shards of a batch of which not even the number is known."""

_SHARD: Final = r"(?P<batch>[^.].*)-(?P<index>\d{5,})-of-(?P<count>\d{5,})\.h5"
SHARD_NAME: Final = re.compile(_SHARD, re.DOTALL)
"""A finished shard."""
SHARD_OR_PARTIAL_NAME: Final = re.compile(rf"(?P<dot>\.)?{_SHARD}(?(dot)\.(progress|partial))", re.DOTALL)
"""A finished shard, or the hidden files of one that is being made."""
PLAN_NAME: Final = re.compile(r"(?P<batch>[^.].*)\.plan\.json", re.DOTALL)
ADDED_BATCH_NAME: Final = re.compile(r"(?P<first>.+)-added(?P<number>\d{4})", re.DOTALL)
HEARTBEAT_NAME: Final = re.compile(r"\..+\.progress", re.DOTALL)
LEFTOVER_NAME: Final = re.compile(
    r"\..+\.progress|\..+\.h5\.partial|\..+\.json\.\d+-\d+|\.lock(-\d+-of-\d+)?", re.DOTALL
)
"""Everything that a killed run may leave behind."""


def batch_name(manifest: str, split: str, number: int) -> str:
    """Return the beginning of the names of a batch's files; the first batch is number 0."""
    return added_batch_name(f"{manifest}-{split}", number)


def added_batch_name(first: str, number: int) -> str:
    """Return the name of a batch from the name of the first one and its number; see `ADDED_BATCH_NAME`."""
    return f"{first}-added{number:04d}" if number else first


def shard_name(batch: str, index: int, count: int) -> str:
    """Return the file name of shard `index`, from 0, of the `count` of a batch; see `SHARD_NAME`."""
    return f"{batch}-{index:05d}-of-{count:05d}.h5"


def partial_path(shard: Path) -> Path:
    """Return the hidden file that a shard is written to before it gets its name."""
    return shard.with_name(f".{shard.name}{PARTIAL_SUFFIX}")


def heartbeat_path(shard: Path) -> Path:
    """Return the heartbeat file of a shard, or of another task; see `HEARTBEAT_NAME`."""
    return shard.with_name(f".{shard.name}{HEARTBEAT_SUFFIX}")


def lock_name(rank: int, world_size: int) -> str:
    """Return the name of the file that a run, or one rank of several, holds a lock on."""
    return ".lock" if world_size == 1 else f".lock-{rank}-of-{world_size}"
