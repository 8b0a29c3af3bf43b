"""Interface of backbones: the part of the network that is kept after pre-training."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A network from views to feature maps and feature vectors.

    Attributes
    ----------
    feature_channels : int
        Channels of the feature maps that `features` returns.
    output_features : int
        Length of the vector `forward` returns for each clip.
    """

    feature_channels: int
    output_features: int

    @abstractmethod
    def features(self, clips: Tensor) -> Tensor:
        """Compute the activations of the last convolution, after its ReLU.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, 16, 112, 112), float
            Normalised views, as `mas_train.data.views.take_views` makes them.

        Returns
        -------
        Tensor, shape (B, feature_channels, times, rows, cols), not negative
        """

    @abstractmethod
    def pool(self, maps: Tensor) -> Tensor:
        """Apply the last pooling, before the fully connected layers.

        Parameters
        ----------
        maps : Tensor
            Feature maps, as `features` returns them.

        Returns
        -------
        Tensor, shape (B, feature_channels, times, rows, cols)
        """

    def forward(self, clips: Tensor) -> Tensor:
        """Compute the feature vector of each clip, the input of the fully connected layers.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, 16, 112, 112), float

        Returns
        -------
        Tensor, shape (B, output_features)
        """
        return torch.flatten(self.pool(self.features(clips)), start_dim=1)
