"""Networks by name; importing this loads no torch, so that ``--help`` may list them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BACKBONE_BUILDERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "c3d": "mas_train.model.c3d:make_c3d",
        "c3d-bn": "mas_train.model.c3d:make_c3d",
        "c3d-large": "mas_train.model.c3d:make_c3d",
        "c3d-large-bn": "mas_train.model.c3d:make_c3d",
        "r3d-18": "mas_train.model.torchvision_backbones:make_torchvision",
        "r2plus1d-18": "mas_train.model.torchvision_backbones:make_torchvision",
        "s3d": "mas_train.model.torchvision_backbones:make_torchvision",
    }
)
"""Module and function that build each backbone from name, width, initialisation and input stride (see
`mas_train.model.backbones.make_backbone`). ``c3d`` is the paper's."""
NETWORK_FIELDS: Final = ("backbone", "width", "input_stride", "input_frames")
"""Fields of a recipe that decide a backbone's layers and what they see of a view."""
INPUT_FRAMES: Final = ("rgb", "residual")
"""Input of a backbone's first layer: frames, or the differences of neighbouring ones (see
`mas_train.model.backbone.residual_frames`)."""
INITIALISATIONS: Final = ("authors", "he")
"""``authors``: normal weights of fixed deviation, as in the authors' released code. ``he``: normal weights
whose deviation keeps the signal's variance through ReLUs (He et al., ICCV 2015), biases 0."""
