"""Plan files: the videos that a batch of shards was planned from, kept in the folder of the shards.

A plan file is written before the work, atomically, once, and never changed. Resuming follows it, so that an
interrupted run is finished as it was planned even if videos were added or removed meanwhile.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mas_labels.datasets.listing import VideoRecord
from mas_labels.errors import ConfigError, storage_error, unavailable
from mas_labels.plan.file_names import PLAN_NAME, PLAN_SUFFIX
from mas_labels.plan.plan import Batch
from mas_labels.system.files import write_once

PLAN_FORMAT: Final = "mas-plan"
PLAN_VERSION: Final = 1
MAX_PLAN_BYTES: Final = 1 << 30
"""Largest file that is read: a plan of ten million videos."""


def plan_paths(out: Path) -> list[Path]:
    """List the plan files of a folder, sorted; nothing is opened."""
    return sorted(out / entry.name for entry in os.scandir(out) if PLAN_NAME.fullmatch(entry.name))


def write_plan_file(out: Path, batch: Batch) -> bool:
    """Write a batch's plan file, unless it is there already.

    Returns
    -------
    bool
        Whether the file now holds `batch`; False if another process was faster, with another plan.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    path = out / f"{batch.name}{PLAN_SUFFIX}"
    try:
        return write_once(path, _as_json(batch))
    except OSError as error:
        raise storage_error(path, error) from error


def _as_json(batch: Batch) -> bytes:
    """Return a plan file's bytes: one video per line, so that people can read it."""
    head = {
        "format": PLAN_FORMAT,
        "version": PLAN_VERSION,
        "manifest": batch.manifest,
        "split": batch.split,
        "batch": batch.number,
        "shards": batch.count,
        "limit": batch.limit,
        "notes": batch.notes,
        "classes": batch.classes,
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in head.items()]
    videos = [json.dumps([v.path, v.class_index, v.splits, v.group]) for v in batch.videos]
    return ("{\n" + "".join(lines) + ' "videos": [\n  ' + ",\n  ".join(videos) + "\n ]\n}\n").encode()


def read_plan_file(path: Path) -> Batch:
    """Read a plan file.

    Raises
    ------
    ConfigError
        If it is corrupt, or its content does not match its name.
    UnavailableError
        If it cannot be read now.
    """
    try:
        if path.stat().st_size > MAX_PLAN_BYTES:
            raise ValueError(f"larger than {MAX_PLAN_BYTES} bytes")
        content = path.read_bytes()
    except ValueError as error:
        raise _corrupt(path, error) from error
    except OSError as error:
        raise unavailable(path, error) from error
    try:
        batch = _parse_batch(json.loads(content))
        if f"{batch.name}{PLAN_SUFFIX}" != path.name:
            raise ValueError(f"its content belongs into {batch.name}{PLAN_SUFFIX}")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise _corrupt(path, error) from error
    return batch


def _corrupt(path: Path, error: Exception) -> ConfigError:
    return ConfigError(
        f"{path} is not a plan file of mas-labels, or is corrupt ({error}): put back the right one, or "
        "remove it (it is written again if its shards are all there, or if the data set has not changed), or "
        "choose another --out"
    )


def _parse_batch(content: Any) -> Batch:
    """Validate all of a plan file; raise `ValueError`, `TypeError` or `KeyError`."""
    _require(isinstance(content, dict), "not a JSON object")
    _require(content.get("format") == PLAN_FORMAT, f"its format is not {PLAN_FORMAT}")
    _require(
        content.get("version") == PLAN_VERSION,
        f"expected version {PLAN_VERSION}, found {content.get('version')!r:.20}: another mas-labels wrote it",
    )
    classes = _require_texts(content, "classes")
    _require(len(set(classes)) == len(classes), "a class is listed twice")
    videos = tuple(_parse_video(row, classes) for row in content["videos"])
    _require(len({video.path for video in videos}) == len(videos), "a video is listed twice")
    count, limit = content["shards"], content["limit"]
    _require(type(count) is int and 1 <= count <= len(videos), "shards out of range")
    _require(limit is None or (type(limit) is int and limit >= 1), "limit out of range")
    _require(type(content["batch"]) is int and content["batch"] >= 0, "batch out of range")
    return Batch(
        *(
            _require_text(content["manifest"]),
            _require_text(content["split"]),
            content["batch"],
            count,
            videos,
            classes,
        ),
        *(limit, _require_texts(content, "notes")),
    )


def _parse_video(row: Any, classes: tuple[str, ...]) -> VideoRecord:
    """Validate one video's row: path, class index, splits, group."""
    path, index, splits, group = row
    parts = _require_text(path).split("/")
    _require(
        "\0" not in path and not {"", ".", ".."} & set(parts), f"path {path!r:.80} is outside of the data set"
    )
    _require(type(index) is int and -1 <= index < len(classes), f"class of {path!r:.80} out of range")
    _require(group is None or isinstance(group, str), f"group of {path!r:.80} is not a text")
    _require(isinstance(splits, list), f"splits of {path!r:.80} are not a list")
    name = classes[index] if index >= 0 else None
    return VideoRecord(path, name, index, tuple(map(_require_text, splits)), group)


def _require_texts(content: Mapping[str, Any], name: str) -> tuple[str, ...]:
    _require(isinstance(content[name], list), f"{name} is not a list")
    return tuple(map(_require_text, content[name]))


def _require_text(value: Any) -> str:
    _require(isinstance(value, str), f"expected a text, found {value!r:.40}")
    return str(value)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)
