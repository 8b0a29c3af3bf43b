"""What a shard says of itself, read in milliseconds: a resumed run looks at thousands of shards."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from mas_labels import schema
from mas_labels.errors import ShardError
from mas_labels.shard_reader import UNREADABLE


@dataclass(frozen=True)
class ShardHeader:
    """The head of a shard that a run of ours made; `mas_labels.shard_reader.Shard` checks all of it.

    Attributes
    ----------
    path
        The file.
    config, plan, versions
        What the attributes of the same names say.
    clips
        Number of clips.
    videos
        Size of each video's file in bytes, by path.
    failures
        Paths of the videos that failed, some of them after clips.
    """

    path: Path
    config: dict[str, Any]
    plan: dict[str, Any]
    versions: dict[str, str]
    clips: int
    videos: dict[str, int]
    failures: tuple[str, ...]


def read_header(path: Path) -> ShardHeader:
    """Read a shard's head.

    Raises
    ------
    ShardError
        If the file is no shard, cut short, or of another schema.
    """
    try:
        with h5py.File(path, "r", locking=False) as file:
            attributes = dict(file.attrs)
            found = os.fsdecode(attributes["format"]), int(attributes["schema_version"])
            if found == (schema.FORMAT_NAME, schema.SCHEMA_VERSION):
                names = ("config", "plan", "versions")
                config, plan, versions = (json.loads(bytes(attributes[name])) for name in names)
                paths = map(os.fsdecode, file["videos/path"][()].tolist())
                videos = dict(zip(paths, file["videos/bytes"][()].tolist(), strict=True))
                failures = tuple(map(os.fsdecode, file["failures/path"][()].tolist()))
                clips = len(file["clips/video"])
                return ShardHeader(path, config, plan, versions, clips, videos, failures)
    except UNREADABLE as error:
        raise ShardError(f"{path}: not a readable shard ({error}): remove it and make it again") from error
    raise ShardError(
        f"{path}: expected {schema.FORMAT_NAME} version {schema.SCHEMA_VERSION}, found {found[0]} version "
        f"{found[1]}: label into another --out, or remove it"
    )
