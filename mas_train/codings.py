"""Codings: the numbers that stand for what a view shows, and that a network is trained to predict.

One table, by name. `mas_train.model.label_codes` has the numbers of each label code, and
`mas_train.model.dense` computes dense targets; importing this loads neither.

Notes
-----
The paper regresses the number of each label: ``number``, the choice of all presets. The rest is not in the
paper. A block's number, an orientation's and a colour's are names rather than amounts: blocks 4 and 5 of the
grid lie far apart, bins 8 and 1 of a direction side by side, and the direction along an axis is less stable
than the axis (`docs/labels.md`). ``recoded`` gives each label numbers of which near ones mean near things;
``dense`` predicts what the labels were chosen from, in every block instead of in the winning one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from mas_labels.errors import ConfigError
from mas_labels.schema import PATTERNS

LABEL_CODINGS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "number": {},
        "sin-cos": {"orientation": "sin-cos"},
        "classes": {"orientation": "classes"},
        "axis": {"orientation": "axis"},
        "recoded": {
            "orientation": "axis",
            "grid": "row-column",
            "triangles": "sin-cos",
            "colour": "channels",
        },
    }
)
"""Code of each kind of label (`label_kind`) under each coding of labels; the others are numbers."""

DENSE_CODINGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"magnitudes": ("um", "vm", "di", "co"), "dense": ("um", "ua", "vm", "va", "di", "co")}
)
"""Statistics of every block that each dense coding predicts: the magnitudes of Mu (``um``) and Mv (``vm``),
their axes (``ua``, ``va``), the diversity of colours (``di``) and their shares (``co``)."""

MOTION_STATISTICS: Final = ("um", "ua", "vm", "va")
"""Those of motion; the others are of appearance."""

CODINGS: Final = (*LABEL_CODINGS, *DENSE_CODINGS)

DENSE_LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {"um": "ul", "ua": "uo", "vm": "vl", "va": "vo", "di": "pd", "co": "cd"}
)
"""The label that is chosen from each dense statistic: both are trained under the same `targets`."""


def label_kind(label: str) -> str:
    """Return a label's kind: a pattern for a block of it, ``orientation``, ``field`` or ``colour``."""
    pattern, _, statistic = label.rpartition("_")
    if statistic in ("uo", "vo"):
        return "orientation"
    if statistic in ("cd", "cs", "C"):
        return "colour"
    return "field" if statistic in ("ui", "vi") else pattern


def dense_names(coding: str, labels: Collection[str]) -> tuple[str, ...]:
    """Return the dense targets in the place of some labels, such as ``grid_um``; first those of motion."""
    return tuple(
        f"{pattern}_{name}"
        for is_motion in (True, False)
        for pattern in PATTERNS
        for name in DENSE_CODINGS[coding]
        if (name in MOTION_STATISTICS) is is_motion and f"{pattern}_{DENSE_LABELS[name]}" in labels
    )


def check_coding(coding: str, labels: Collection[str], target_scale: str, shuffle_labels: bool) -> None:
    """Raise `ConfigError` if a recipe's other choices do not go with its coding."""
    if "pace" in labels and coding in LABEL_CODINGS and coding != "number":
        raise ConfigError(
            f"coding {coding}: expected labels as targets, found pace, which are classes: leave --coding out"
        )
    if coding not in DENSE_CODINGS:
        return
    if not dense_names(coding, labels):
        raise ConfigError(
            f"coding {coding}: expected targets in blocks, found {', '.join(labels)}: take others"
        )
    if target_scale != "standard":
        raise ConfigError(
            f"coding {coding}: expected target_scale standard, found {target_scale}: its numbers have "
            "different units, add --target-scale standard"
        )
    if shuffle_labels:
        raise ConfigError(
            f"coding {coding}: expected no shuffle_labels, since it has no labels: shuffle those of another "
            "coding"
        )
