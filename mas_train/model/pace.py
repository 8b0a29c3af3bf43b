"""Playback pace as a pretext: the label is the speed at which a clip was read (Wang et al., ECCV 2020).

Of a clip that a shard holds, the network sees fewer frames: neighbouring ones at pace 1, every p-th at pace
p, and it tells the pace by classes. It is another pretext for the same clips, views, network, budget and
measurements, not a part of the paper that this project is about.

Notes
-----
- *Paces* are as many as a clip holds with at least `MIN_FRAMES` frames for the network, `MAX_PACES` at most.
  A clip of 16 frames: 8 frames at pace 1 or 2, which is the task of SpeedNet (Benaim et al., CVPR 2020); of
  32 or more: paces 1 to 4, those of Wang et al., whose clips of 16 frames come from the whole video and begin
  anew where it ends. There are no slow paces: frames that are repeated or interpolated are told by that.
- *Frames* for a network with an `input_stride` of 2, which leaves every second one out, are given at half
  steps of the pace, rounded up: it sees as many, and computes as much, as with the other targets. Residual
  frames are differences of these, taken before every second one is left out: over one frame at paces 1 and 2.
- *Colours* are not changed. Wang et al. change those of each frame anew, against a network that tells the
  pace by how similar neighbouring frames are.
- The pace and the first frame of a clip are a function of (seed, epoch, clip), like its view. On held-out
  clips the paces take turns, and frames are from the middle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from mas_labels.errors import ConfigError
from mas_labels.geometry import Geometry
from mas_train.data.clips import ClipBatch
from mas_train.data.views import draw_shares
from mas_train.model.branch_code import BranchCode
from mas_train.recipe import Recipe

MAX_PACES: Final = 4
MIN_FRAMES: Final = 8
"""Frames that a network sees: those that a C3D's poolings leave something of."""


class PaceReader:
    """Reads clips at a pace.

    Parameters
    ----------
    recipe
        Its `seed` and `input_stride`.
    geometry
        That of the clips.

    Attributes
    ----------
    paces : int
        Paces are 1 to this number.
    geometry : Geometry
        That of the clips which are read.

    Raises
    ------
    ConfigError
        If the clips hold one pace only.
    """

    def __init__(self, recipe: Recipe, geometry: Geometry) -> None:
        self.seed, self.stride = recipe.seed, recipe.input_stride
        self.clip_frames = geometry.clip_frames
        seen = {n: (self.clip_frames - 1 + n // self.stride) // n for n in range(2, MAX_PACES + 1)}
        self.paces = max((n for n, frames in seen.items() if frames >= MIN_FRAMES), default=1)
        if self.paces == 1:
            raise ConfigError(
                f"--targets pace: expected clips of {2 * MIN_FRAMES} frames or more, which hold two paces, "
                f"found {self.clip_frames}: label with longer clips, or take other targets"
            )
        self.geometry = replace(geometry, clip_frames=seen[self.paces] * self.stride)

    def __str__(self) -> str:
        frames = self.geometry.clip_frames // self.stride
        paces = " or ".join(map(str, range(1, self.paces + 1)))
        return (
            f"{frames} of the {self.clip_frames} frames of a clip are seen, at pace {paces}; "
            f"chance {1 / self.paces:.1%}"
        )

    def draw(self, batch: ClipBatch, epoch: int, label_sources: Sequence[int] | None = None) -> ClipBatch:
        """Read each clip of a batch at a pace drawn for it; its labels are that pace, shape (B, 1, 1).

        With `label_sources` (`mas_train.data.clips.ClipDataset`) they are the pace of another clip.
        """
        shares = draw_shares(self.seed, epoch, batch.clip_indices, 2)
        paces = labels = self._paces(shares)
        if label_sources is not None:
            others = torch.tensor([label_sources[clip] for clip in batch.clip_indices.tolist()])
            labels = self._paces(draw_shares(self.seed, epoch, others, 2))
        free = self.clip_frames - self._steps(paces).amax(dim=1)  # first frames to choose from
        starts = (shares[:, 1] * free).long()
        frames = self._read(batch.frames, paces, starts)
        return batch._replace(frames=frames, view_labels=labels[:, None, None].to(frames.device))

    def read_middle(self, frames: Tensor, paces: Tensor) -> Tensor:
        """Read clips (B, frames, rows, cols, 3) at given paces (B, 1), from their middle."""
        paces = paces[:, 0].cpu()
        free = self.clip_frames - self._steps(paces).amax(dim=1)
        return self._read(frames, paces, (free - 1) // 2)

    def _paces(self, shares: Tensor) -> Tensor:
        return (shares[:, 0] * self.paces).long() + 1

    def _steps(self, paces: Tensor) -> Tensor:
        """Return the distance of each frame read from the first, (B, T)."""
        steps = torch.arange(self.geometry.clip_frames) * paces[:, None]
        return (steps + self.stride - 1) // self.stride

    def _read(self, frames: Tensor, paces: Tensor, starts: Tensor) -> Tensor:
        """Take frames (B, T, rows, cols, 3) of clips at paces (B,), from frames (B,) on."""
        chosen = (starts[:, None] + self._steps(paces)).to(frames.device, non_blocking=True)
        return frames[torch.arange(len(frames), device=frames.device)[:, None], chosen]


class PaceCode(BranchCode):
    """The pace as classes; a batch of targets is one of paces, shape (B, 1), from 1.

    Parameters
    ----------
    names
        Of the target; without one the branch has no outputs.
    paces
        Number of paces.
    """

    def __init__(self, names: Sequence[str], paces: int) -> None:
        super().__init__(names, [0] * len(names), [0] * len(names))
        self.outputs = paces * len(names)

    def raw_numbers(self, targets: Tensor) -> Tensor:
        """Return none."""
        return targets[:, :0].float()

    def weigh(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Return paces that were listed, each with the same share."""
        shares = torch.full((len(statistics), len(self.names)), 1 / len(statistics), dtype=torch.float64)
        return statistics.to(self.mean.device), shares.to(self.mean.device)

    def are_known(self, targets: Tensor) -> Tensor:
        """Return that they are."""
        return torch.ones_like(targets[:, self.columns], dtype=torch.bool)

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return 1 where the class with the highest score is the pace."""
        if not self.names:
            return outputs[:, :0]
        return (outputs.argmax(dim=1, keepdim=True) + 1 == targets).float()

    def agree(self, targets: Tensor, others: Tensor) -> Tensor:
        """Return 1 where paces are those of others."""
        return (targets == others)[:, self.columns].float()

    def commonest(self, statistics: Tensor, others: Tensor) -> Tensor:
        """Return the share in other paces of the one that is the commonest."""
        return (others == statistics.mode(dim=0).values).double().mean(dim=0)[self.columns]

    def best_constant(self, statistics: Tensor) -> Tensor:
        """Return logarithms of the paces' shares."""
        counts = torch.bincount(statistics.flatten() - 1, minlength=self.outputs)[: self.outputs]
        return (counts.float() / len(statistics)).clamp(min=1e-12).log().to(self.mean.device)

    def _class_losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return cross-entropies in nats, (B, 1)."""
        if not self.names:
            return outputs[:, :0]
        return functional.cross_entropy(outputs, targets[:, 0].long() - 1, reduction="none")[:, None]
