"""Features of a backbone by name: the last convolution, pooled or averaged, and earlier layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor
from torch.nn import functional

from mas_labels.errors import ConfigError
from mas_train.inference.options import FEATURE_KINDS
from mas_train.model.backbone import Backbone

PIXEL_BLOCKS: Final = (1, 4, 4)
"""Time steps, rows and columns of the control ``pixels``."""


def backbone_features(backbone: Backbone, layer: str) -> Callable[[Tensor], Tensor]:
    """Return the function that computes features from a batch of views, (B, 3, T, S, S) -> (B, D).

    Parameters
    ----------
    backbone
        The network.
    layer
        One of `FEATURE_KINDS`, or a name of `Backbone.layer_names`, whose maps are averaged over positions.

    Raises
    ------
    ConfigError
        If the network has no such layer.
    """
    if layer == "pooled":
        return backbone
    if layer == "mean":
        return lambda clips: backbone.features(clips).mean(dim=(2, 3, 4))
    if layer == "pixels":
        return lambda clips: functional.adaptive_avg_pool3d(clips, PIXEL_BLOCKS).flatten(start_dim=1)
    if layer in backbone.layer_names:
        return lambda clips: backbone.layer(clips, layer).mean(dim=(2, 3, 4))
    names = ", ".join((*FEATURE_KINDS, *backbone.layer_names))
    raise ConfigError(f"expected a layer of this network, {names}, found {layer!r}: take one of them")
