"""Trained backbones as modules of torch, with their preprocessing beside them: for one's own programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mas_labels.errors import InputError
from mas_labels.geometry import Geometry
from mas_train.data.views import centre_view, take_views
from mas_train.weights.backbone_weights import Weights, load_weights
from mas_train.weights.write_folder import describe_config


class PretrainedBackbone(nn.Module):
    """A trained backbone: ``features = backbone(backbone.preprocess(frames))``.

    Attributes
    ----------
    backbone
        The network (`mas_train.model.backbone.Backbone`).
    config
        What ``config.json`` of a weights folder states: network, width, geometry, pixel mean, recipe.
    """

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.backbone = weights.backbone
        self.config: dict[str, Any] = describe_config(weights)
        self.geometry: Geometry = weights.geometry
        self.pixel_mean = weights.pixel_mean

    def preprocess(self, frames: Any) -> Tensor:
        """Take the centre view of clips, and subtract the pixel mean.

        Parameters
        ----------
        frames : array or Tensor, shape (T, rows, cols, 3) or (B, T, rows, cols, 3), uint8
            RGB frames of the size that the backbone was trained on: (16, 128, 171, 3) in the paper.

        Returns
        -------
        Tensor, shape (B, 3, T, view_size, view_size), float32
            B is 1 for a single clip.

        Raises
        ------
        InputError
            If the frames have another shape or type.
        """
        clips = torch.as_tensor(frames)
        clips = clips[None] if clips.ndim == 4 else clips
        shape = self.geometry.clip_shape
        if clips.dtype != torch.uint8 or tuple(clips.shape[1:]) != shape:
            raise InputError(
                f"expected frames {shape} or (B, {', '.join(map(str, shape))}), uint8, found "
                f"{tuple(frames.shape)}, {clips.dtype}: resize the frames, or give the videos to mas-embed"
            )
        views = torch.tensor(centre_view(self.geometry), device=clips.device).expand(len(clips), 3)
        return take_views(clips, views, self.pixel_mean, self.geometry)

    def forward(self, clips: Tensor) -> Tensor:
        """Compute the feature vector of each view, (B, F): the last convolution, pooled."""
        return self.backbone(clips)

    def features(self, clips: Tensor) -> Tensor:
        """Compute the maps of the last convolution, (B, channels, times, rows, cols)."""
        return self.backbone.features(clips)


def load_backbone(source: str | Path, pixel_mean: Sequence[float] | None = None) -> PretrainedBackbone:
    """Load a trained backbone, on the CPU and in evaluation mode.

    Parameters
    ----------
    source
        A weights folder of `mas-export`, a run's folder, a checkpoint, or public weights of a C3D. It must be
        on this machine: nothing is fetched over the network.
    pixel_mean
        Mean to subtract from R, G and B of 0 to 255 instead of the one that the weights state.

    Raises
    ------
    CheckpointError
        If there are no weights, or they cannot be used.
    """
    return PretrainedBackbone(load_weights(source, pixel_mean=pixel_mean)).eval()
