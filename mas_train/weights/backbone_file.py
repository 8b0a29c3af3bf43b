"""Backbones in files: checkpoints, files of `mas-export`, and public C3D weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn

from mas_labels.errors import CheckpointError, ConfigError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.system.extras import load_extra
from mas_labels.system.files import atomic_path
from mas_train.model.backbone import Backbone
from mas_train.model.backbones import make_backbone
from mas_train.model.c3d import C3D_KINDS
from mas_train.weights.checkpoint import CHECKPOINT_FORMAT, load_checkpoint
from mas_train.weights.public_layouts import from_public, rename_public, to_public
from mas_train.weights.tensor_file import read_bytes, read_tensors

Module = TypeVar("Module", bound=nn.Module)
METADATA_KEY: Final = "mas_backbone"
"""Key of the configuration in a safetensors file's header."""


@dataclass(frozen=True)
class BackboneConfig:
    """A backbone's architecture, the input it expects, and its source."""

    backbone: str
    """One of `mas_train.networks.BACKBONE_BUILDERS`."""
    width: float
    pixel_mean: tuple[float, float, float]
    """Subtracted from R, G and B of 0 to 255."""
    source: str
    """Name of the file it was read from."""
    step: int | None = None
    """Steps of pre-training, if known."""
    left_out: tuple[str, ...] = ()
    """Names of the source's weights that belong to a task, not to the backbone."""
    input_stride: int = 1
    """See `mas_train.recipe.Recipe`."""
    geometry: Geometry = DEFAULT_GEOMETRY
    """Geometry of the clips that it was trained on; the default if the file does not say."""
    preprocessing: str = ""
    """Origin of the pixel mean, where the file does not state it."""
    input_frames: str = "rgb"
    """See `mas_train.recipe.Recipe`."""


def read_backbone(path: Path) -> tuple[Backbone, BackboneConfig]:
    """Read a backbone, on the CPU and in evaluation mode.

    Parameters
    ----------
    path
        A checkpoint, a single file of `mas-export`, or the weights of a C3D in a layout of
        `mas_train.weights.public_layouts`, which states their preprocessing.

    Raises
    ------
    CheckpointError
        If it is not a file of weights, or its weights do not fit the backbone.
    MissingDependencyError
        If it needs safetensors or torchvision, which cannot be imported.
    """
    if path.suffix == ".safetensors":
        weights, config = _read_safetensors(path)
    else:
        weights, config = _read_torch(path)
    if len(config.pixel_mean) != 3 or not all(map(_is_finite, config.pixel_mean)):
        raise CheckpointError(f"{path}: expected three numbers as pixel_mean, found {config.pixel_mean}")
    seen = {"input_stride": config.input_stride, "input_frames": config.input_frames}
    build = partial(make_backbone, config.backbone, config.width, **seen)  # type: ignore[arg-type]
    try:
        return fill_module(build, weights).eval(), config
    except (OverflowError, RuntimeError, TypeError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:]) or str(error)
        raise CheckpointError(f"{path} does not fit a {config.backbone}: {reason}") from error


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def fill_module(build: Callable[[], Module], weights: Mapping[str, Tensor], part: str = "") -> Module:
    """Build a module, and give it, or a part of it, stored weights if they have its sizes.

    These are compared first without memory, on torch's device ``meta``: sizes that a damaged or hostile file
    states would fill it.

    Raises
    ------
    RuntimeError, TypeError, OverflowError
        If the weights do not fit.
    """
    with torch.device("meta"):
        sketch = build().get_submodule(part)
    sketch.load_state_dict({name: weight.to("meta") for name, weight in weights.items()})
    module = build()
    module.get_submodule(part).load_state_dict(weights)
    return module


def _read_torch(path: Path) -> tuple[dict[str, Tensor], BackboneConfig]:
    """Read a backbone from a file of `torch.save`: a checkpoint, or public weights."""
    content = read_tensors(path)
    if isinstance(content, dict) and content.get("format") == CHECKPOINT_FORMAT:
        content = load_checkpoint(path)
        recipe = content["recipe"]
        weights = part_of(content["model"], "backbone")
        mean = tuple(recipe["pixel_mean"])
        known = (recipe["backbone"], recipe["width"], mean, path.name, content["step"])
        seen = {name: recipe[name] for name in ("input_stride", "input_frames") if name in recipe}
        return weights, BackboneConfig(*known, geometry=stored_geometry(content, path), **seen)
    return _read_public(path, content)


def _read_public(path: Path, content: Any) -> tuple[dict[str, Tensor], BackboneConfig]:
    """Extract the weights of a C3D from the content of another program's file."""
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(w, Tensor) for w in content.values()):
        raise CheckpointError(f"{path} holds no weights by name: expected a state_dict")
    found, preprocessing = from_public(content, str(path))
    reversed_too = "; its first convolution, of B, G, R, is reversed" if preprocessing.is_bgr else ""
    return found.weights, BackboneConfig(
        found.backbone,
        found.width,
        preprocessing.pixel_mean,
        path.name,
        left_out=tuple(found.left_out),
        preprocessing=f"that of {preprocessing.origin} (layout {found.layout}{reversed_too})",
    )


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], BackboneConfig]:
    """Read a backbone from a file of `write_safetensors`, or a public C3D in that format."""
    safetensors = import_safetensors()
    read_bytes(path)  # raises for an unreadable file; the library's errors do not tell the two apart
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dictionary
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file ({error})") from error
    if METADATA_KEY not in header:
        return _read_public(path, weights)
    try:
        fields = json.loads(header[METADATA_KEY])
        read = {"pixel_mean": tuple(fields["pixel_mean"]), "geometry": stored_geometry(fields, path)}
        config = BackboneConfig(**{**fields, **read})
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} holds no backbone that this version knows ({error}): it is damaged, or of a later one"
        ) from error
    if config.backbone in C3D_KINDS:
        weights = rename_public(weights, str(path)).weights
    return weights, config


def write_safetensors(
    path: Path, backbone: Backbone, config: BackboneConfig, others: Mapping[str, Tensor] | None = None
) -> None:
    """Write a backbone, a C3D in the plain public layout, with its configuration in the header.

    `others` are weights to write as well, such as those of a classifier.
    """
    safetensors = import_safetensors()
    weights = dict(backbone.state_dict())
    if config.backbone in C3D_KINDS:
        weights = to_public(weights, C3D_KINDS[config.backbone].get("size", "small"))
    contiguous = {name: weight.contiguous() for name, weight in {**weights, **(others or {})}.items()}
    stated = asdict(config)
    if config.input_frames == "rgb":
        del stated["input_frames"]  # programs from before residual frames refuse it
    header = {METADATA_KEY: json.dumps(stated), "format": "pt"}
    with atomic_path(path) as hidden:
        hidden.write_bytes(_in_order(safetensors.torch.save(contiguous, header)))


def _in_order(data: bytes) -> bytes:
    """Return a safetensors file with its header sorted, which the library writes in a random order."""
    end = 8 + int.from_bytes(data[:8], "little")
    text = json.dumps(json.loads(data[8:end]), sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the tensors stay aligned
    return len(text).to_bytes(8, "little") + text + data[end:]


def import_safetensors() -> ModuleType:
    """Import safetensors and its functions for torch."""
    return load_extra("safetensors.torch", "files of weights need", "train")


def part_of(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the weights of one submodule, by their names within it."""
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def stored_geometry(content: Mapping[str, Any], source: str | Path) -> Geometry:
    """Return the geometry of the clips that weights were trained on: in files from before it, the default.

    Raises
    ------
    CheckpointError
        If what is stored is no geometry; `source` is for its message.
    """
    try:
        sizes = content.get("geometry", {})
        if bad := [name for name, size in sizes.items() if type(size) is not int]:
            raise TypeError(f"{bad[0]}: expected a whole number, found {sizes[bad[0]]!r}")
        return Geometry(**sizes)
    except (AttributeError, ConfigError, TypeError) as error:
        raise CheckpointError(
            f"{source} holds no geometry that this version knows ({error}): it is damaged, or of a later one"
        ) from error
