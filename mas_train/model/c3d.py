"""The paper's backbone, the small C3D (section 3.4; Tran et al., ICCV 2015, section 3.2), and its variants.

Notes
-----
Choices that the paper leaves open, and the decisions made here:

- *The last pooling.* 7 rows and columns do not halve. C3D's own framework (Caffe) rounds the size of a pooled
  map up, and the authors' released code pads to the same effect: 7 becomes 4, so 256 x 1 x 4 x 4 = 4096
  features reach the fully connected layers. We round up too.
- *Initialisation.* The paper gives none. The authors' released code draws convolution weights from N(0, 0.01)
  with zero biases; so do we at `width` 1.
- *Narrower models.* `width` is not part of the paper. A layer with fewer inputs would pass on a weaker
  signal, so its weights are drawn wider by the square root of the ratio, which keeps the signal's variance.
- *Other geometries* of clips (`mas_labels.geometry`) are not part of the paper: the same convolutions and
  poolings leave other numbers of features.
- *A smaller input.* `input_stride` 2 is not part of the paper: every second frame, means of 2 x 2 pixels, an
  eighth of the work. Frame rate and resolution are halved, so motion keeps its pixels per frame.
- *Batch norm* and the *large* C3D of eight convolutions (Tran et al., section 3.3) are not part of the paper;
  the second release of its authors' code has both. Batch norm stands between convolution and ReLU.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, Final

from torch import Tensor, nn
from torch.nn import functional

from mas_labels.errors import ConfigError
from mas_train.model.backbone import Backbone
from mas_train.networks import INPUT_FRAMES

STAGES: Final = {
    "small": ((64,), (128,), (256,), (256,), (256,)),
    "large": ((64,), (128,), (256, 256), (512, 512), (512, 512)),
}
"""Channels of the convolutions before each pooling, at `width` 1."""
CONV_STD: Final = 0.01
"""Standard deviation of the convolutions' initial weights (authors' released code)."""
SMALL_FEATURES: Final = STAGES["small"][-1][-1] * 1 * 4 * 4
"""Features the paper's fully connected layers see of a clip, 4096: 1 time step, 4 rows, 4 columns."""


class C3D(Backbone):
    """Stages of 3 x 3 x 3 convolutions with a max-pooling after each, named as `layer_names`.

    Parameters
    ----------
    width
        Multiplies the channels of every layer; 1 is the paper's.
    size
        ``"small"``: five convolutions, the paper's; ``"large"``: eight.
    batch_norm
        Whether each convolution is followed by batch norm.
    initialisation
        One of `mas_train.networks.INITIALISATIONS`.
    input_stride
        1 or 2: see `mas_train.recipe.Recipe`.

    Raises
    ------
    ConfigError
        If `width` leaves a layer without channels, or `input_stride` is neither 1 nor 2.
    """

    layer_names = ("conv1", "conv2", "conv3", "conv4", "conv5")
    takes_frames = INPUT_FRAMES

    def __init__(
        self,
        width: float = 1.0,
        size: str = "small",
        batch_norm: bool = False,
        initialisation: str = "authors",
        input_stride: int = 1,
    ) -> None:
        super().__init__()
        if input_stride not in (1, 2):
            raise ConfigError(f"--input-stride must be 1 or 2, not {input_stride}")
        stages = STAGES[size]
        full = (3, *(channels for stage in stages for channels in stage))
        channels = (3, *(int(count * width) for count in full[1:]))
        if min(channels) < 1:
            raise ConfigError(f"width must leave each layer a channel, {width} does not: give 1/64 or more")
        self.convs = nn.ModuleList(nn.Conv3d(a, b, kernel_size=3, padding=1) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm3d(count) for count in channels[1:] if batch_norm)
        self._stages = [range(sum(map(len, stages[:n])), sum(map(len, stages[: n + 1]))) for n in range(5)]
        self.feature_channels = channels[-1]
        self.input_stride = input_stride
        for conv, full_inputs in zip(self.convs, full, strict=False):
            assert isinstance(conv, nn.Conv3d)
            _initialise(conv, full_inputs, initialisation)

    def _stage(self, number: int, maps: Tensor) -> Tensor:
        """Apply the convolutions of one stage, each followed by batch norm, if any, and ReLU."""
        for layer in self._stages[number]:
            maps = self.convs[layer](maps)
            maps = self.norms[layer](maps) if self.norms else maps
            maps = functional.relu(maps, inplace=True)
        return maps

    def features(self, clips: Tensor) -> Tensor:
        """Compute the activations of the last convolution, after its ReLU (`Backbone.features`).

        Returns
        -------
        Tensor, shape (B, 256 * width, 2, 7, 7); of the large one (B, 512 * width, 2, 7, 7)
            With an `input_stride` of 2 (B, ..., 1, 3, 3). Shapes here are those of the paper's geometry.
        """
        return self.layer(clips, self.layer_names[-1])

    def layer(self, clips: Tensor, name: str) -> Tensor:
        """Compute the activations of the last convolution of a stage, after its ReLU (`Backbone.layer`)."""
        clips = self.see(clips)
        if self.input_stride > 1:
            clips = functional.avg_pool3d(
                clips[:, :, :: self.input_stride], (1, self.input_stride, self.input_stride)
            )  # (B, 3, 8, 56, 56)
        end = self.layer_names.index(name)
        maps = self._stage(0, clips)  # (B, 64, 16, 112, 112)
        if end >= 1:
            maps = functional.max_pool3d(maps, (1, 2, 2))  # (B, 64, 16, 56, 56)
            maps = self._stage(1, maps)  # (B, 128, 16, 56, 56)
        for stage in range(2, end + 1):
            maps = functional.max_pool3d(maps, 2)
            maps = self._stage(stage, maps)  # (B, 256, 8, 28, 28), (B, 256, 4, 14, 14), (B, 256, 2, 7, 7)
        return maps

    def pool(self, maps: Tensor) -> Tensor:
        """Apply the last pooling, from (B, 256, 2, 7, 7) to (B, 256, 1, 4, 4) (`Backbone.pool`)."""
        return functional.max_pool3d(maps, 2, ceil_mode=True)


def _initialise(conv: nn.Conv3d, full_inputs: int, initialisation: str) -> None:
    """Draw random weights; `CONV_STD` is the deviation for a layer with `full_inputs` input channels."""
    if initialisation == "he":
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    else:
        nn.init.normal_(conv.weight, std=CONV_STD * math.sqrt(full_inputs / conv.in_channels))
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)


C3D_KINDS: Final[dict[str, dict[str, Any]]] = {
    "c3d": {},
    "c3d-bn": {"batch_norm": True},
    "c3d-large": {"size": "large"},
    "c3d-large-bn": {"size": "large", "batch_norm": True},
}
"""Arguments of `C3D` under each name."""


def make_c3d(name: str, width: float, initialisation: str, input_stride: int) -> C3D:
    """Build one of `C3D_KINDS` (`mas_train.model.backbones.make_backbone`)."""
    return C3D(width, initialisation=initialisation, input_stride=input_stride, **C3D_KINDS[name])
