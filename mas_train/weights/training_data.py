"""The data that weights were trained on: name and split, read from shards of the same content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from mas_labels.errors import ConfigError, unavailable
from mas_labels.schema import RUN_CONFIG_FILE
from mas_labels.shards import ShardSet, open_shards
from mas_train.weights.backbone_weights import Weights

MAX_NAMED_CLASSES: Final = 20
"""Most classes that are named."""


def find_training_data(
    source: str | Path, weights: Weights, shards: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Describe the data sets that weights were trained on.

    Parameters
    ----------
    source
        Where the weights are from; the folder of a run of `mas-train` names its shards.
    weights
        Their origin.
    shards
        The training shards; none: those of the run, if they are still where they were.

    Returns
    -------
    list of dict
        ``manifest``, ``split``, ``videos`` and ``clips`` of each, ``classes`` if it has a few of many; what
        the weights state already, which may be nothing, if there are no shards to read.

    Raises
    ------
    ConfigError
        If `shards` are not those that the weights were trained on.
    """
    expected = set(weights.content.get("content_hashes", ()))
    paths = list(shards) or shards_of_run(Path(source))
    if not paths:
        return list(weights.content.get("data", ()))
    opened = open_shards(paths)
    if set(opened.content_hashes) != expected:
        if not shards:
            return []  # made again since
        known = len(expected & set(opened.content_hashes))
        raise ConfigError(
            f"--shards: expected the {len(expected)} shards that {weights.source} was trained on, found "
            f"{len(opened.paths)}, {known} of them the same: name those, or leave the option out"
        )
    plans = [shard.plan for _, shard in opened.each_shard()]
    names = [(str(plan.get("manifest")), str(plan.get("split"))) for plan in plans]
    clips: Counter[tuple[str, str]] = Counter()
    for name, count in zip(names, opened.lengths, strict=True):
        clips[name] += count
    details = _describe_videos(opened) if len(clips) == 1 else {}
    return [
        {"manifest": name[0], "split": name[1], **details, "clips": count} for name, count in clips.items()
    ]


def _describe_videos(shards: ShardSet) -> dict[str, Any]:
    """Return the number of videos, and the names of their classes if these are a few of many."""
    videos = shards.videos
    classes = sorted({video.class_name for video in videos if video.class_name is not None})
    is_part = 0 < len(classes) <= MAX_NAMED_CLASSES and len(classes) < len(shards.classes)
    return {"videos": len(videos), **({"classes": classes} if is_part else {})}


def shards_of_run(run: Path) -> list[str]:
    """Return the paths of a run's shards; none if it is no run's folder, or one of them is gone."""
    path = run / RUN_CONFIG_FILE
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
        paths = [str(shard["path"]) for shard in config.get("shards", ())]
    except OSError as error:
        raise unavailable(path, error) from error
    except (ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not the configuration of a run ({error}): give --shards") from error
    return paths if all(Path(each).is_file() for each in paths) else []
