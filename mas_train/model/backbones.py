"""Backbones by name: the paper's C3D and its variants, and torchvision's video networks."""

from __future__ import annotations

import pkgutil

from mas_labels.errors import ConfigError
from mas_train.model.backbone import Backbone
from mas_train.networks import BACKBONE_BUILDERS


def make_backbone(
    name: str,
    width: float = 1.0,
    initialisation: str = "authors",
    input_stride: int = 1,
    input_frames: str = "rgb",
) -> Backbone:
    """Build a backbone with random weights.

    Parameters
    ----------
    name
        One of `mas_train.networks.BACKBONE_BUILDERS`.
    width
        Multiplies the channels of a C3D; torchvision's networks have one width.
    initialisation
        Of a C3D, one of `mas_train.networks.INITIALISATIONS`.
    input_stride
        Of a C3D: see `mas_train.recipe.Recipe`.
    input_frames
        One of `mas_train.networks.INPUT_FRAMES`.

    Raises
    ------
    ConfigError
        If there is no such backbone, or it has no other width or stride, or no such input.
    MissingDependencyError
        If torchvision is needed and cannot be imported.
    """
    if name not in BACKBONE_BUILDERS:
        raise ConfigError(f"no backbone {name!r}: choose one of {', '.join(BACKBONE_BUILDERS)}")
    build = pkgutil.resolve_name(BACKBONE_BUILDERS[name])
    backbone: Backbone = build(name, width, initialisation, input_stride)
    if input_frames not in backbone.takes_frames:
        raise ConfigError(
            f"--input-frames {input_frames}: {name} takes {' or '.join(backbone.takes_frames)}: leave the "
            "option out, or choose another --backbone"
        )
    backbone.input_frames = input_frames
    return backbone
