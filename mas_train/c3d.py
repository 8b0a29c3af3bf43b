"""The backbone: the small C3D (paper, section 3.4; Tran et al., ICCV 2015, section 3.2).

Notes
-----
What the paper leaves open, and what is taken here:

- *The last pooling.* 7 rows and columns do not halve. C3D's own framework (Caffe) rounds the size of a pooled
  map up, and the authors' released code pads to the same effect: 7 becomes 4, so 256 x 1 x 4 x 4 = 4096
  features reach the fully connected layers. We round up too.
- *Initialisation.* The paper gives none. The authors' released code draws convolution weights from N(0, 0.01)
  with zero biases; so do we at `width` 1.
- *Narrower models.* `width` is no part of the paper. A layer with fewer inputs would pass on a weaker signal,
  so its weights are drawn wider by the square root of the ratio, which keeps the signal's variance.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from mas_labels.errors import ConfigError

CONV_CHANNELS: Final = (64, 128, 256, 256, 256)
"""Channels of the five convolutions at `width` 1."""
CONV_STD: Final = 0.01
"""Standard deviation of the convolutions' first weights (authors' released code)."""
POOLED_POSITIONS: Final = 1 * 4 * 4
"""Positions left after the last pooling: 1 time step, 4 rows, 4 columns."""


class C3D(nn.Module):
    """Five 3 x 3 x 3 convolutions with a max-pooling after each.

    Parameters
    ----------
    width
        Multiplies the channels of every layer; 1 is the paper's.

    Attributes
    ----------
    feature_channels : int
        Channels of the last convolution, which `features` returns.
    output_features : int
        Length of the vector `forward` returns for each clip.

    Raises
    ------
    ConfigError
        If `width` leaves a layer without channels.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = (3, *(int(full * width) for full in CONV_CHANNELS))
        if min(channels) < 1:
            raise ConfigError(f"width must leave each layer a channel, {width} does not: give 1/64 or more")
        self.convs = nn.ModuleList(nn.Conv3d(a, b, kernel_size=3, padding=1) for a, b in pairwise(channels))
        self.feature_channels = channels[-1]
        self.output_features = channels[-1] * POOLED_POSITIONS
        self._initialise()

    def _initialise(self) -> None:
        for conv, full_inputs in zip(self.convs, (3, *CONV_CHANNELS), strict=False):
            assert isinstance(conv, nn.Conv3d) and conv.bias is not None
            nn.init.normal_(conv.weight, std=CONV_STD * math.sqrt(full_inputs / conv.in_channels))
            nn.init.zeros_(conv.bias)

    def features(self, clips: Tensor) -> Tensor:
        """Activations of the last convolution, after its ReLU.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, 16, 112, 112), float
            Normalised views, as `mas_train.views.take_views` makes them.

        Returns
        -------
        Tensor, shape (B, 256 * width, 2, 7, 7), not negative
        """
        conv1, conv2, conv3, conv4, conv5 = self.convs
        maps = functional.relu(conv1(clips), inplace=True)  # (B, 64, 16, 112, 112)
        maps = functional.max_pool3d(maps, (1, 2, 2))  # (B, 64, 16, 56, 56)
        maps = functional.relu(conv2(maps), inplace=True)  # (B, 128, 16, 56, 56)
        maps = functional.max_pool3d(maps, 2)  # (B, 128, 8, 28, 28)
        maps = functional.relu(conv3(maps), inplace=True)  # (B, 256, 8, 28, 28)
        maps = functional.max_pool3d(maps, 2)  # (B, 256, 4, 14, 14)
        maps = functional.relu(conv4(maps), inplace=True)  # (B, 256, 4, 14, 14)
        maps = functional.max_pool3d(maps, 2)  # (B, 256, 2, 7, 7)
        return functional.relu(conv5(maps), inplace=True)  # (B, 256, 2, 7, 7)

    def forward(self, clips: Tensor) -> Tensor:
        """What the fully connected layers see of each clip.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, 16, 112, 112), float

        Returns
        -------
        Tensor, shape (B, output_features)
        """
        maps = self.features(clips)  # (B, 256, 2, 7, 7)
        maps = functional.max_pool3d(maps, 2, ceil_mode=True)  # (B, 256, 1, 4, 4)
        return torch.flatten(maps, start_dim=1)  # (B, 4096)
