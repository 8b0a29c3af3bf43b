"""Attention maps: where the last convolution is active (paper, section 4.2 and figure 6).

The maps are the activation-based ones of Zagoruyko and Komodakis, ICLR 2017: F_sum^2, the sum over channels
of the squared absolute activations.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mas_labels.errors import InputError


def attention_maps(activations: Tensor, size: int) -> Tensor:
    """Turn activations into one map a clip, as large as what the network saw.

    Parameters
    ----------
    activations : Tensor, shape (B, C, T, rows, cols)
        Of the last convolution, after its ReLU.
    size
        Rows and columns of the maps.

    Returns
    -------
    Tensor, shape (B, size, size), float32
        From 0 to 1, the largest value of each map being 1; all 0 where nothing is active.

    Raises
    ------
    InputError
        The shape is wrong.

    Notes
    -----
    The last convolution has time steps; the reference has none. Their maps are added. The resizing, which the
    paper leaves open, is bilinear.
    """
    if activations.ndim != 5:
        raise InputError(f"expected activations (B, C, T, rows, cols), found {tuple(activations.shape)}")
    maps = activations.float().abs().square().sum(dim=(1, 2))  # (B, rows, cols)
    maps = functional.interpolate(maps[:, None], size=(size, size), mode="bilinear")[:, 0]
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
