"""Interface of backbones: the part of the network that is kept after pre-training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mas_labels.errors import ConfigError
from mas_labels.geometry import Geometry
from mas_train.data.views import describe_views


def residual_frames(clips: Tensor) -> Tensor:
    """Return the differences between each frame of views and the next (Tao et al., arXiv 2001.05661).

    Parameters
    ----------
    clips : Tensor, shape (B, 3, frames, rows, cols), float

    Returns
    -------
    Tensor, shape (B, 3, frames, rows, cols)

    Notes
    -----
    The last frame has no next one here; its difference is that of the frame before it, so that a network gets
    as many frames as without. The paper reads one frame more. Differences are not scaled, and no mean is left
    in them.
    """
    differences = clips[:, :, 1:] - clips[:, :, :-1]
    return torch.cat([differences, differences[:, :, -1:]], dim=2)


class Backbone(nn.Module, ABC):
    """A network from views to feature maps and feature vectors.

    Attributes
    ----------
    input_frames : str
        One of `mas_train.networks.INPUT_FRAMES`, of those in `takes_frames`.
    takes_frames : sequence of str
        Those that this network can be given: all, if `features` and `layer` call `see` first.
    input_stride : int
        Every n-th frame, and means of n x n pixels, are what the first layer sees; no weight tells it.
    feature_channels : int
        Channels of the feature maps that `features` returns.
    layer_names : sequence of str
        Names of the layers that `layer` knows, in order; the maps of the last one are those of `features`.
    """

    feature_channels: int
    layer_names: Sequence[str] = ()
    input_frames: str = "rgb"
    input_stride: int = 1
    takes_frames: Sequence[str] = ("rgb",)

    def see(self, clips: Tensor) -> Tensor:
        """Return what the first layer sees of views, (B, 3, frames, view_size, view_size)."""
        return residual_frames(clips) if self.input_frames == "residual" else clips

    @abstractmethod
    def features(self, clips: Tensor) -> Tensor:
        """Compute the activations of the last convolution, after its ReLU.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, frames, view_size, view_size), float
            Normalised views, as `mas_train.data.views.take_views` makes them; (B, 3, 16, 112, 112) in
            the paper.

        Returns
        -------
        Tensor, shape (B, feature_channels, times, rows, cols), not negative
        """

    def layer(self, clips: Tensor, name: str) -> Tensor:
        """Compute the activations of one of `layer_names`, and of no later layer.

        Parameters
        ----------
        clips : Tensor, shape (B, 3, frames, view_size, view_size), float

        Returns
        -------
        Tensor, shape (B, channels, times, rows, cols)
        """
        raise ConfigError(f"this backbone names no layers, but {name!r} was requested: leave the layer out")

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
        clips : Tensor, shape (B, 3, frames, view_size, view_size), float

        Returns
        -------
        Tensor, shape (B, F), F as `output_features` gives it
        """
        return torch.flatten(self.pool(self.features(clips)), start_dim=1)

    def output_features(self, geometry: Geometry, output: Callable[[Tensor], Tensor] | None = None) -> int:
        """Return the length of the vector that this network computes for each clip of a geometry.

        Parameters
        ----------
        geometry
            That of the clips.
        output
            Function that computes the vectors with this network; None: `forward`.

        Raises
        ------
        ConfigError
            If its clips are too short or its views too small for the network.

        Notes
        -----
        The network computes it from a clip without content, on torch's device ``meta``.
        """
        size = geometry.view_size
        clips = torch.empty(2, 3, geometry.clip_frames, size, size, device="meta")
        tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        weights = {f"backbone.{name}": tensor.detach().to("meta") for name, tensor in tensors.items()}
        try:
            with torch.no_grad():
                return int(functional_call(_BackboneOutput(self, output), weights, (clips,)).shape[1])
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(
                f"{describe_views(geometry)} are too small for this backbone ({reason}): label with longer "
                "clips or larger views, or choose another backbone"
            ) from error


class _BackboneOutput(nn.Module):
    """A function of a backbone as a module, so that it can be called with other weights."""

    def __init__(self, backbone: Backbone, output: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.backbone = backbone
        self._output = [output or backbone.forward]  # in a list: a module here would be a part of this one

    def forward(self, clips: Tensor) -> Tensor:
        return self._output[0](clips)
