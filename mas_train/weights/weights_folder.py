"""Weights folders, which `mas-export` writes and other programs read: their format, and reading them.

A folder holds ``model.safetensors``, ``config.json`` and ``README.md``, the names that huggingface_hub
expects of a local folder, and, of a fine-tuned network, ``training_videos.txt``.

``model.safetensors``
    The backbone, a C3D under the names of public C3Ds (``conv1.weight``, ``bn1.weight`` ...;
    `mas_train.weights.public_layouts`), another under its own. The fully connected layers of a fine-tuned
    network are ``fc6``, ``fc7`` and ``fc8``, as in C3D; a linear classifier has ``fc8`` alone.
``config.json``
    Everything that is needed to build the network and to prepare its input, and the origin of the weights:
    see `mas_train.weights.write_folder.describe_config`.
``training_videos.txt``
    ``video`` or ``group`` and the digest of a name (`mas_train.data.leakage.name_digest`), a line each: a
    test finds out which of its videos were trained on, but the names are not published.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from torch import Tensor

from mas_labels.errors import CheckpointError, unavailable
from mas_train.model.c3d import C3D_KINDS
from mas_train.weights.backbone_file import import_safetensors
from mas_train.weights.public_layouts import rename_public
from mas_train.weights.tensor_file import read_bytes
from mas_train.weights.weights_source import CONFIG_FILE, WEIGHTS_FILE

FOLDER_FORMAT: Final = "mas-weights"
FOLDER_VERSIONS: Final = {"rgb": 1, "residual": 2}
"""Version of a folder by the input of its network: programs from before residual frames refuse 2."""
VIDEOS_FILE: Final = "training_videos.txt"
REQUIRED: Final = {"backbone", "width", "geometry", "pixel_mean", "kind", "model_sha256"}
REQUIRED_WITH_CLASSES: Final = {"recipe", "pretraining", "init", "frozen"}
"""Entries of ``config.json`` that a network needs, and more that a classifier needs."""
ENTRY_TYPES: Final[dict[Any, tuple[str, ...]]] = {
    str: ("backbone", "input_frames", "kind", "model_sha256", "init", "preprocessing", "manifest", "split"),
    int | float: ("width", "label_fraction", "step", "epoch", "input_stride", "videos", "clips"),
    bool: ("frozen",),
    dict: ("geometry", "recipe", "pretraining"),
    list: ("pixel_mean", "classes", "content_hashes", "data"),
}
"""Types of the entries that programs rely on, of ``config.json`` and of each part of its ``data``."""
DATA_ENTRIES: Final = {"manifest", "split", "clips"}
HEAD_NAMES: Final = {"fc6": "fc6", "fc7": "fc7", "output": "fc8"}
"""Layers of a classifier's head, and their names in the file."""


class FolderContent(NamedTuple):
    """Content of a weights folder."""

    config: dict[str, Any]
    """Content of ``config.json``."""
    backbone: dict[str, Tensor]
    """Weights under the names of this project."""
    head: dict[str, Tensor]
    """Weights of the classifier, under the names of this project; empty without classes."""
    video_digests: list[str] | None
    """Digests of the names of training videos; None if the folder does not say."""
    group_digests: list[str]


def read_weights_folder(folder: Path) -> FolderContent:
    """Read a weights folder.

    Raises
    ------
    CheckpointError
        If it is none, damaged, or of a later version.
    UnavailableError
        If a file cannot be read now.
    """
    config = _read_config(folder / CONFIG_FILE)
    path = folder / WEIGHTS_FILE
    data = read_bytes(path)
    if hashlib.sha256(data).hexdigest() != config["model_sha256"]:
        raise CheckpointError(
            f"{path} is not the file that {CONFIG_FILE} beside it describes: copy or export the folder again"
        )
    safetensors = import_safetensors()
    try:
        weights = safetensors.torch.load(data)
    except Exception as error:  # the library has several
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    names = {public: own for own, public in HEAD_NAMES.items()}
    is_linear = "fc7.weight" not in weights
    head = {}
    for name in [name for name in weights if name.partition(".")[0] in names]:
        layer, _, rest = name.partition(".")
        head[rest if is_linear else f"{names[layer]}.{rest}"] = weights.pop(name)
    if config["backbone"] in C3D_KINDS:
        weights = rename_public(weights, str(path)).weights
    return FolderContent(config, weights, head, *_read_digests(folder / VIDEOS_FILE))


def public_head(head: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of a classifier's head, three layers or a linear one, for the file."""
    renamed = {}
    for name, weight in head.items():
        layer, _, rest = name.rpartition(".")
        renamed[f"{HEAD_NAMES[layer] if layer else 'fc8'}.{rest}"] = weight
    return renamed


def _read_config(path: Path) -> dict[str, Any]:
    """Read ``config.json``; raise an error if it is not one of `mas-export`."""
    try:
        config = json.loads(read_bytes(path))
    except (RecursionError, ValueError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}): export the folder again") from error
    if not isinstance(config, dict) or config.get("format") != FOLDER_FORMAT:
        raise CheckpointError(
            f'{path}: expected "format": "{FOLDER_FORMAT}" of mas-export, found a file of another program: '
            "name the file of weights itself if it is a C3D"
        )
    if config.get("version") not in FOLDER_VERSIONS.values():
        raise CheckpointError(
            f"{path} is of version {config.get('version')}, this program reads "
            f"{' and '.join(map(str, FOLDER_VERSIONS.values()))}: install a later version of mas-video"
        )
    missing = (REQUIRED | (REQUIRED_WITH_CLASSES if "classes" in config else set())) - config.keys()
    if missing:
        raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}: export the folder again")
    wrong = _find_wrong(config)
    if wrong is not None:
        found = str(config[wrong])
        raise CheckpointError(
            f"{path}: expected another kind of value as {wrong}, found {found!r:.60}: export the folder again"
        )
    return config


def _find_wrong(config: Mapping[str, Any]) -> str | None:
    """Return the name of an entry whose value is of a wrong type; None if there is none."""
    for kind, names in ENTRY_TYPES.items():
        for name in names:
            if name in config and not isinstance(config[name], kind):
                return name
    parts = config.get("data", [])
    if not all(isinstance(part, dict) and part.keys() >= DATA_ENTRIES for part in parts):
        return "data"
    if any(_find_wrong(part) for part in parts):
        return "data"
    for name in ("classes", "content_hashes"):
        if not all(isinstance(text, str) for text in config.get(name, [])):
            return name
    classes = config.get("classes", [])
    return "classes" if len(set(classes)) < len(classes) else None


def _read_digests(path: Path) -> tuple[list[str] | None, list[str]]:
    """Read the digests of videos and of groups; None and none where there is no file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None, []
    except OSError as error:
        raise unavailable(path, error) from error
    except UnicodeError:
        lines = ["not text"]
    pairs = [line.split(" ") for line in lines]
    if any(len(pair) != 2 or pair[0] not in ("video", "group") for pair in pairs):
        raise CheckpointError(f"{path} is damaged: export the folder again")
    videos, groups = ([digest for kind, digest in pairs if kind == each] for each in ("video", "group"))
    return videos, groups
