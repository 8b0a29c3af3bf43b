"""Layouts of C3D weights in public use, and conversion from and to the names of this project.

plain
    ``conv1.weight`` ... ``conv5.weight``, or with ``a`` and ``b`` (``conv3a``, ``conv3b``) for the large C3D;
    ``bn1.*`` ... of batch norm. Seen in most PyTorch ports, the second release of the paper's authors, and
    what `mas-export` writes.
wrapped
    ``conv1a.conv.weight``, ``conv1a.bn.*``. Seen in MMAction2.
numbered
    ``features.0.weight``, ``features.3.weight`` ..., convolutions in order. Seen in ports from Caffe.

Prefixes ``module.``, ``backbone.`` and ``model.`` are dropped. Fully connected layers (``fc6``, ``fc7``,
``fc8``, ``classifier.*``, ``cls_head.*``, ``motion_linear``, ``app_linear``) are recognised and left out:
they belong to a task, and are retrained (paper, section 4.1).

Such files do not state their preprocessing, so it is that of the programs that publish them
(`PREPROCESSING`), as read in their code. Where these take pixels as B, G, R, the input channels of the first
convolution are reversed, which is exact: all backbones of this project see R, G, B of 0 to 255 less a mean.

Notes
-----
- *Plain, large*: the means of the Sports-1M volume of C3D's authors are 101.41, 97.66, 90.25 of R, G, B, and
  its pixels B, G, R, as in Caffe (DavideA/c3d-pytorch, issue 1; ``predict.py`` there subtracts nothing and
  takes R, G, B, which the issue corrects). jfzhang95/pytorch-video-recognition (``dataloaders/dataset.py``)
  rounds them to 102, 98, 90. The files of both have the same names; we take the rounded mean.
- *Plain, large with batch norm*: the second release of the paper's authors (laura-wang/video_repres_sts,
  ``utils/read_clip.py``) reads frames with OpenCV, B, G, R, and subtracts nothing.
- *Wrapped*: MMAction2 (``c3d_sports1m_16x1x1_45e_ucf101_rgb.py``) subtracts 104, 117, 128 from R, G, B.
- *Numbered*: ``ucf101-caffe.pth`` of sunnyxiaohu/R-C3D.pytorch (``lib/model/utils/config.py``), which
  jfzhang95 reads, too: B, G, R less 90, 98, 102.
- *Plain, small*: no program is known to publish such a file; we take the mean that this project trains with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from torch import Tensor

from mas_labels.errors import CheckpointError
from mas_train.model.c3d import C3D_KINDS, STAGES

_PREFIXES = re.compile(r"^(?:module\.|backbone\.|model\.)+")
_PLAIN = re.compile(r"^(conv|bn)([1-5])([ab]?)\.(?:(conv|bn)\.)?(\w+)$")
_NUMBERED = re.compile(r"^features\.(\d+)\.(weight|bias)$")
_TASK = re.compile(r"^(?:fc\d|classifier|cls_head|motion_linear|app_linear)\b")


class Preprocessing(NamedTuple):
    """Preprocessing of the programs that publish weights in one layout."""

    pixel_mean: tuple[float, float, float]
    """Subtracted from R, G and B of 0 to 255."""
    is_bgr: bool
    """True if the first convolution sees B, G, R."""
    origin: str
    """Programs whose preprocessing it is."""


_CAFFE: Final = Preprocessing((102.0, 98.0, 90.0), True, "C3D's ports from Caffe")
_OWN: Final = Preprocessing((102.0, 98.0, 90.0), False, "this project, as no other is known")
PREPROCESSING: Final[Mapping[tuple[str, str], Preprocessing]] = {
    ("plain", "c3d"): _OWN,
    ("plain", "c3d-bn"): _OWN,
    ("plain", "c3d-large"): _CAFFE,
    ("plain", "c3d-large-bn"): Preprocessing((0.0, 0.0, 0.0), True, "the second release of MAS's authors"),
    **{("numbered", name): _CAFFE for name in C3D_KINDS},
    **{("wrapped", name): Preprocessing((104.0, 117.0, 128.0), False, "MMAction2") for name in C3D_KINDS},
}
"""Preprocessing by layout and backbone."""


class PublicC3D(NamedTuple):
    """A C3D of another program, under the names of `mas_train.model.c3d.C3D`."""

    backbone: str
    """``c3d``, ``c3d-bn``, ``c3d-large`` or ``c3d-large-bn``."""
    width: float
    """From the first convolution."""
    weights: dict[str, Tensor]
    left_out: list[str]
    """Names of the weights that belong to a task."""
    layout: str
    """``plain``, ``wrapped`` or ``numbered``."""


def public_names(size: str) -> list[str]:
    """Return the convolutions' names in the plain layout, without ``conv``: 1 to 5, or 1, 2, 3a to 5b."""
    stages = enumerate(STAGES[size], start=1)
    return [f"{n}{letter}" for n, stage in stages for letter in (("",) if len(stage) == 1 else ("a", "b"))]


def to_public(weights: Mapping[str, Tensor], size: str) -> dict[str, Tensor]:
    """Rename the weights of a `mas_train.model.c3d.C3D` to the plain layout."""
    names = public_names(size)
    kinds = {"convs": "conv", "norms": "bn"}
    renamed = {}
    for key, weight in weights.items():
        kind, layer, rest = key.split(".")
        renamed[f"{kinds[kind]}{names[int(layer)]}.{rest}"] = weight
    return renamed


def from_public(weights: Mapping[str, Tensor], source: str) -> tuple[PublicC3D, Preprocessing]:
    """Recognise a C3D of another program, and turn its first convolution to R, G, B.

    Parameters and errors are those of `rename_public`.
    """
    found = rename_public(weights, source)
    preprocessing = PREPROCESSING[found.layout, found.backbone]
    first = found.weights.get("convs.0.weight")
    if preprocessing.is_bgr and first is not None and first.ndim == 5:
        found = found._replace(weights={**found.weights, "convs.0.weight": first.flip(1)})
    return found, preprocessing


def rename_public(weights: Mapping[str, Tensor], source: str) -> PublicC3D:
    """Recognise a C3D by the names of its weights, and rename them.

    Parameters
    ----------
    weights
        In any of the layouts above.
    source
        Name of the file for error messages.

    Raises
    ------
    CheckpointError
        With the unknown names, or the missing layers.
    """
    keys = {key: _PREFIXES.sub("", key) for key in weights}
    left_out = [key for key, name in keys.items() if _TASK.match(name)]
    places = {key: _parse_name(name) for key, name in keys.items() if key not in left_out}
    unknown = [key for key, place in places.items() if place is None]
    if unknown:
        raise CheckpointError(
            f"{source} is not a C3D in a known layout: it has {_first_names(unknown)}; expected "
            "conv1.weight to conv5.weight or conv5b.weight, conv1a.conv.weight, or features.0.weight"
        )
    parsed = {key: place for key, place in places.items() if place is not None}
    layers = sorted({layer for kind, layer, _ in parsed.values() if kind == "convs"})
    size = _recognise_size(layers, source)
    batch_norm = any(kind == "norms" for kind, _, _ in parsed.values())
    renamed = {
        f"{kind}.{layers.index(layer)}.{rest}": weights[key]
        for key, (kind, layer, rest) in parsed.items()
        if layer in layers
    }
    width = len(renamed["convs.0.weight"]) / STAGES[size][0][0] if "convs.0.weight" in renamed else 1.0
    name = "c3d" + ("-large" if size == "large" else "") + ("-bn" if batch_norm else "")
    return PublicC3D(name, width, renamed, left_out, _recognise_layout(keys[key] for key in parsed))


def _recognise_layout(names: Iterable[str]) -> str:
    """Return the layout of convolutions' and norms' names, without prefixes."""
    first = next(iter(names), "")
    if _NUMBERED.match(first):
        return "numbered"
    match = _PLAIN.match(first)
    return "wrapped" if match is not None and match[4] else "plain"


def _parse_name(name: str) -> tuple[str, tuple[int, str], str] | None:
    """Split a public name into kind of layer, layer (stage and letter, or number), and weight."""
    if match := _PLAIN.match(name):
        kind, stage, letter, inner, rest = match.groups()
        return {"conv": "convs", "bn": "norms"}[inner or kind], (int(stage), letter or "a"), rest
    if match := _NUMBERED.match(name):
        return "convs", (int(match[1]), ""), match[2]
    return None


def _recognise_size(layers: Sequence[tuple[int, str]], source: str) -> str:
    """Return ``"small"`` or ``"large"``, by the convolutions present."""
    for size in STAGES:
        names = [(int(name[0]), name[1:] or "a") for name in public_names(size)]
        numbered = len(layers) == len(names) and all(letter == "" for _, letter in layers)
        if list(layers) == names or numbered:
            return size
    present = ", ".join(f"{stage}{letter}" for stage, letter in layers) or "none"
    expected = " or ".join(", ".join(public_names(size)) for size in STAGES)
    raise CheckpointError(f"{source} has convolutions {present}; expected {expected}")


def _first_names(keys: Sequence[str]) -> str:
    """List up to four names, and the number of the others."""
    return ", ".join(keys[:4]) + (f" and {len(keys) - 4} more" if len(keys) > 4 else "")
