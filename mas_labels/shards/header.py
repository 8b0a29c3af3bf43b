"""Reads a shard's attributes and size in two milliseconds: a resumed run does so for thousands of shards."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mas_labels.shards.hdf5_file import UNREADABLE, explain, open_hdf5
from mas_labels.shards.validation import read_attributes


@dataclass(frozen=True)
class ShardAttributes:
    """Attributes of a shard's root group.

    Attributes
    ----------
    version
        Version of the schema.
    texts
        The texts as stored, by name.
    config, plan, versions
        The JSON objects in the attributes of these names.
    """

    version: int
    texts: dict[str, str]
    config: dict[str, Any]
    plan: dict[str, Any]
    versions: dict[str, str]


def parse_attributes(file: h5py.File, path: Path) -> ShardAttributes:
    """Read the attributes of an open shard; `path` is for error messages.

    Raises
    ------
    ShardError
        If it is not a shard, of another schema, or an attribute is damaged.
    UnavailableError
        If it cannot be read now.
    """
    try:
        version, stored = read_attributes(file, path)
        texts = {name: os.fsdecode(value) for name, value in stored.items()}
        config, plan, versions = (_dictionary(texts[name]) for name in ("config", "plan", "versions"))
    except UNREADABLE as error:
        raise explain(path, error, "not a shard of mas-labels, an attribute is damaged") from error
    return ShardAttributes(version, texts, config, plan, versions)


def _dictionary(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise TypeError(f"expected a JSON object, found {text[:40]}")
    return value


@dataclass(frozen=True)
class ShardHeader:
    """Attributes and size of a shard, without the full checks of `mas_labels.shards.reader.Shard`.

    Attributes
    ----------
    path
        The file.
    config, plan, versions
        The JSON objects in the attributes of these names.
    clips
        Number of clips.
    videos
        Size of each video's file in bytes, by path.
    failures
        Paths of the videos that failed; some of them have clips from before the failure.
    cut_clips, skipped_clips
        Number of clips across a shot cut, in the shard and left out of it; 0 where that is not stored.
    """

    path: Path
    config: dict[str, Any]
    plan: dict[str, Any]
    versions: dict[str, str]
    clips: int
    videos: dict[str, int]
    failures: tuple[str, ...]
    cut_clips: int
    skipped_clips: int


def read_header(path: Path) -> ShardHeader:
    """Read a shard's header.

    Raises
    ------
    ShardError
        If the file is not a shard, truncated, or of another schema.
    UnavailableError
        If it cannot be read now.
    """
    try:
        with open_hdf5(path) as file:
            attributes = parse_attributes(file, path)
            names = [os.fsdecode(name) for name in _read_column(file, "videos/path")]
            videos = dict(zip(names, _read_column(file, "videos/bytes"), strict=True))
            failures = tuple(map(os.fsdecode, _read_column(file, "failures/path")))
            clips = h5py.h5d.open(file.id, b"clips/video").shape[0]
            cut, skipped = (
                sum(_read_column(file, name)) if name in file else 0
                for name in ("clips/cut", "videos/skipped_clips")
            )
    except UNREADABLE as error:
        raise explain(path, error, "not a readable shard") from error
    stored = attributes.config, attributes.plan, attributes.versions
    return ShardHeader(path, *stored, clips, videos, failures, cut, skipped)


def _read_column(file: h5py.File, name: str) -> list[Any]:
    """Read a whole data set by the low-level interface, in a fifth of the time of ``file[name][()]``."""
    stored = h5py.h5d.open(file.id, name.encode())
    rows = np.empty(stored.shape, stored.dtype)
    stored.read(h5py.h5s.ALL, h5py.h5s.ALL, rows)
    return rows.tolist()
