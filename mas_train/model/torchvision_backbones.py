"""Backbones from torchvision: three of its video networks, with random weights.

Notes
-----
torchvision is an extra, imported only when one of its networks is requested. Its networks end in a mean over
all positions, and keep torchvision's own initialisation; weights are never downloaded. R3D-18 and R(2+1)D-18:
Tran et al., CVPR 2018. S3D: Xie et al., ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from mas_labels.errors import ConfigError, MissingDependencyError
from mas_train.model.backbone import Backbone
from mas_train.model.c3d import C3D_KINDS
from mas_train.networks import INPUT_FRAMES


class TorchvisionBackbone(Backbone):
    """One of torchvision's video networks without its classifier.

    Parameters
    ----------
    layers
        From clips to the maps of the last convolution, after its ReLU.
    channels
        Channels of these maps.
    names
        torchvision's name of each layer.
    """

    takes_frames = INPUT_FRAMES

    def __init__(self, layers: nn.Sequential, channels: int, names: Sequence[str]) -> None:
        super().__init__()
        self.layers = layers
        self.layer_names = names
        self.feature_channels = channels

    def features(self, clips: Tensor) -> Tensor:
        """Compute the activations of the last convolution, after its ReLU (`Backbone.features`)."""
        return self.layers(self.see(clips))

    def layer(self, clips: Tensor, name: str) -> Tensor:
        """Compute the output of one of torchvision's layers (`Backbone.layer`)."""
        return self.layers[: self.layer_names.index(name) + 1](self.see(clips))

    def pool(self, maps: Tensor) -> Tensor:
        """Average over all positions: (B, channels, 1, 1, 1) (`Backbone.pool`)."""
        return functional.adaptive_avg_pool3d(maps, 1)


def _resnet(network: nn.Module) -> TorchvisionBackbone:
    """Take the stem and the four stages of torchvision's `VideoResNet`."""
    names = ("stem", "layer1", "layer2", "layer3", "layer4")
    layers = nn.Sequential(*(network.get_submodule(name) for name in names))
    return TorchvisionBackbone(layers, channels=512, names=names)


def _s3d(network: nn.Module) -> TorchvisionBackbone:
    """Take the convolutions of torchvision's `S3D`."""
    layers = network.get_submodule("features")
    assert isinstance(layers, nn.Sequential)
    return TorchvisionBackbone(layers, 1024, [f"features.{number}" for number in range(len(layers))])


TORCHVISION: dict[str, tuple[str, Callable[[nn.Module], TorchvisionBackbone]]] = {
    "r3d-18": ("r3d_18", _resnet),
    "r2plus1d-18": ("r2plus1d_18", _resnet),
    "s3d": ("s3d", _s3d),
}
"""torchvision's name of each network, and the function that takes its backbone."""


def make_torchvision(name: str, width: float, initialisation: str, input_stride: int) -> Backbone:
    """Build one of torchvision's networks (`mas_train.model.backbones.make_backbone`).

    Raises
    ------
    ConfigError
        If another width or stride is requested.
    MissingDependencyError
        If torchvision cannot be imported.
    """
    if width != 1:
        raise ConfigError(
            f"width {width} requested of {name}, which comes from torchvision in one width: leave --width "
            f"out, or choose one of {', '.join(C3D_KINDS)}"
        )
    if input_stride != 1:
        raise ConfigError(
            f"--input-stride is for a C3D, not for {name}: leave it out or choose one of "
            f"{', '.join(C3D_KINDS)}"
        )
    constructor, take_backbone = TORCHVISION[name]
    return take_backbone(getattr(_torchvision_video(), constructor)(weights=None))


def _torchvision_video() -> Any:
    """Import torchvision's video models, or say how to install them."""
    try:
        from torchvision.models import video
    except (ImportError, RuntimeError) as error:  # the latter where its version does not fit torch's
        reason = str(error).splitlines()[0]
        raise MissingDependencyError(
            f"this backbone comes from torchvision, which cannot be imported here ({reason}): "
            'pip install "mas-video[train,torchvision]", in the version made for your torch'
        ) from error
    return video
