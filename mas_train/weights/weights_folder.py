"""Weights folders, which `mas-export` writes and other programs read: weights, configuration, model card."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from mas_labels.errors import CheckpointError
from mas_train.weights.backbone_weights import Weights

WEIGHTS_FILE: Final = "model.safetensors"
CONFIG_FILE: Final = "config.json"
CARD_FILE: Final = "README.md"


def describe_config(weights: Weights) -> dict[str, Any]:
    """Return what ``config.json`` states about weights."""
    return {
        "backbone": weights.recipe["backbone"],
        "width": weights.recipe["width"],
        "input_stride": weights.recipe.get("input_stride", 1),
        "geometry": asdict(weights.geometry),
        "pixel_mean": list(weights.pixel_mean),
    }


def write_weights_folder(folder: Path, weights: Weights, card: str) -> None:
    """Write a weights folder."""
    raise NotImplementedError


def read_weights_folder(folder: Path) -> Weights:
    """Read a weights folder.

    Raises
    ------
    CheckpointError
        If it is none.
    """
    raise CheckpointError(f"{folder} holds no {CONFIG_FILE} of mas-export")
