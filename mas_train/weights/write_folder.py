"""Weights folders, written: their configuration and their files (format: `weights_folder`)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from mas_labels.errors import ConfigError, reason_of
from mas_labels.shards import fold_name
from mas_labels.system.extras import package_versions
from mas_labels.system.files import sync, sync_folder, write_text
from mas_train.data.leakage import name_digest
from mas_train.recipe import SCRATCH, TARGETS
from mas_train.weights.backbone_file import BackboneConfig, part_of, write_safetensors
from mas_train.weights.backbone_weights import FOLDER_ENTRIES, Weights
from mas_train.weights.weights_folder import FOLDER_FORMAT, FOLDER_VERSIONS, VIDEOS_FILE, public_head
from mas_train.weights.weights_source import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE

PROGRAM_FILES: Final = {"onnx": "model.onnx", "pt2": "model.pt2"}
"""Files of a weights folder for other programs, by format."""
FOLDER_FILES: Final = (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE, VIDEOS_FILE, *PROGRAM_FILES.values())


def describe_config(weights: Weights) -> dict[str, Any]:
    """Return what ``config.json`` states about weights, all of it JSON.

    Returns
    -------
    dict
        ``backbone``, ``width``, ``input_stride``, ``input_frames``, ``geometry``: the network.
        ``input_shape``: that of a view, (3, 16, 112, 112) in the paper; ``channel_order``, ``pixel_range``,
        ``pixel_mean``: its pixels.
        ``features``: length of the pooled vector. ``kind``: see `Weights.kind`. ``labels``: those that
        pre-training predicted. Then, where known, the entries `FOLDER_ENTRIES` of its checkpoint.
        ``versions``: the programs that wrote it.
    """
    geometry, content = weights.geometry, weights.content
    config = {
        "format": FOLDER_FORMAT,
        "version": FOLDER_VERSIONS[weights.backbone.input_frames],
        "kind": weights.kind,
        "backbone": weights.recipe["backbone"],
        "width": float(weights.recipe["width"]),
        "input_stride": int(weights.recipe.get("input_stride", 1)),
        "input_frames": weights.backbone.input_frames,
        "input_shape": [3, geometry.clip_frames, geometry.view_size, geometry.view_size],
        "channel_order": "RGB",
        "pixel_range": [0, 255],
        "pixel_mean": list(weights.pixel_mean),
        "features": weights.backbone.output_features(geometry),
        "geometry": asdict(geometry),
        "source": Path(weights.source).resolve().name,
    }
    if weights.pretraining:
        config["labels"] = list(TARGETS[weights.pretraining.get("targets", "joint")])
    known = {name: content[name] for name in FOLDER_ENTRIES if content.get(name, "") not in (None, "")}
    if "recipe" in known:
        known["recipe"] = {**known["recipe"], "pixel_mean": config["pixel_mean"]}
    if "init" in known:  # a path of the machine that trained it
        known["init"] = known["init"] if known["init"] == SCRATCH else Path(known["init"]).name
    return {**config, **json.loads(json.dumps(known)), "versions": package_versions("torch")}


def write_weights_folder(
    folder: Path, weights: Weights, config: Mapping[str, Any], card: str, head: Mapping[str, Tensor]
) -> None:
    """Write the files of a weights folder into an empty one.

    Parameters
    ----------
    folder
        Exists already, as `atomic_folder` makes it.
    weights
        Backbone and origin.
    config
        `describe_config`, and what the caller knows besides.
    card
        Text of the model card.
    head
        Weights of the classifier, under the names of this project; empty without classes.
    """
    path = folder / WEIGHTS_FILE
    header = BackboneConfig(
        backbone=config["backbone"],
        width=config["width"],
        pixel_mean=weights.pixel_mean,
        source=config["source"],
        step=config.get("step"),
        input_stride=config["input_stride"],
        input_frames=config["input_frames"],
        geometry=weights.geometry,
        preprocessing=config.get("preprocessing", ""),
    )
    write_safetensors(path, weights.backbone, header, public_head(dict(head)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write_text(folder / CONFIG_FILE, json.dumps({**config, "model_sha256": digest}, indent=2) + "\n")
    write_text(folder / CARD_FILE, card.encode("utf-8", "backslashreplace").decode())  # names may be bytes
    if "training_videos" in weights.content:
        write_text(folder / VIDEOS_FILE, _digest_lines(weights.content))


def _digest_lines(content: Mapping[str, Any]) -> str:
    """Return ``training_videos.txt``: names as digests; those that are digests already stay."""
    groups = [name if name.startswith("#") else fold_name(name) for name in content["training_groups"]]
    lines = [
        f"{kind} {name if name.startswith('#') else name_digest(name)}\n"
        for kind, names in (("video", content["training_videos"]), ("group", groups))
        for name in names
    ]
    return "".join(sorted(lines))


def classifier_head(weights: Weights) -> dict[str, Tensor]:
    """Return the weights of a fine-tuned network's head; empty without one."""
    return part_of(weights.content["model"], "head") if "classes" in weights.content else {}


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Write a folder as a whole or not at all: yield a hidden one next to it, renamed after the block.

    An older weights folder of that name is replaced.

    Raises
    ------
    ConfigError
        If the folder holds anything else, or cannot be written.
    """
    folder = folder.resolve()
    hidden = folder.with_name(f".tmp.{folder.name}")
    old = folder.with_name(f".old.{folder.name}")
    try:
        _require_replaceable(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(hidden, ignore_errors=True)  # of a run that was killed
        hidden.mkdir()
        yield hidden
        for path in hidden.iterdir():
            with path.open("rb") as file:
                sync(file.fileno())
        _replace(folder, hidden, old)
        sync_folder(folder.parent)
    except OSError as error:
        raise ConfigError(f"cannot write to {folder} ({reason_of(error)}): give another --out") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def _replace(folder: Path, hidden: Path, old: Path) -> None:
    """Rename a hidden folder to its name, after an older one of that name has moved aside; remove that."""
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        hidden.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _require_replaceable(folder: Path) -> None:
    """Raise an error if a folder holds anything but what `mas-export` writes."""
    if not folder.exists():
        return
    others = sorted({path.name for path in folder.iterdir()} - set(FOLDER_FILES))
    is_own = not any(folder.iterdir()) or FOLDER_FORMAT in _text_of(folder / CONFIG_FILE)
    if others or not is_own:
        found = others[0] if others else "files of another program"
        raise ConfigError(
            f"{folder}: expected a new folder, or weights to replace, found {found}: give another --out"
        )


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
