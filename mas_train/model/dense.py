"""Dense targets: statistics of every block of a view, from Mu, Mv and the view's pixels.

The labels name the block with the largest motion, its orientation, the blocks whose colours change most and
least, and their dominant colours (paper, sections 3.2 and 3.3). Here all blocks say what these choices were
made from. Everything is computed on the device, for the view drawn.

Notes
-----
- *Magnitudes* (``um``, ``vm``): the mean over a block, as the label's; its square root, since a few blocks
  move much and most hardly.
- *Axes* (``ua``, ``va``): sine and cosine of twice the angle, weighted by the magnitude and summed as the
  histogram of the label is, without its bins, so that no vote changes bins by rounding when a view is
  mirrored; each with the square root of its size, on the scale of the magnitudes: a block that hardly moves
  has no axis to speak of.
- *Diversity* (``di``): 1 less the score of equation 2, with one histogram of the eight colours instead of
  three of 256 values.
- *Colours* (``co``): the share of each of the eight colours in the block over all frames, its square root.
- All numbers of a target are divided by one deviation, each less its own mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mas_labels.geometry import Geometry
from mas_labels.labels.patterns import block_maps, block_pixels, block_slices
from mas_labels.schema import COLOURS
from mas_train.model.branch_code import BranchCode

NUMBERS = {"um": 1, "ua": 2, "vm": 1, "va": 2, "di": 1, "co": COLOURS}
"""Numbers of each statistic in a block."""


class BlockStatistics(nn.Module):
    """Computes dense targets of views.

    Parameters
    ----------
    names
        The targets, such as ``grid_um``: `mas_train.codings.dense_names`.
    geometry
        That of the clips.
    pixel_mean
        Mean that is subtracted from R, G and B of clips.

    Attributes
    ----------
    sizes : tuple of int
        Numbers of each target.
    """

    def __init__(
        self, names: Sequence[str], geometry: Geometry, pixel_mean: Sequence[float] = (0.0, 0.0, 0.0)
    ) -> None:
        super().__init__()
        self.names, self.blocks = tuple(names), block_slices(geometry)
        parts = [name.rpartition("_") for name in names]
        self.sizes = tuple(geometry.blocks[pattern] * NUMBERS[name] for pattern, _, name in parts)
        numbers = np.stack([numbers.ravel() for numbers in block_maps(geometry).values()])
        cells, cell_of_pixel = np.unique(numbers, axis=1, return_inverse=True)  # what no pattern divides
        starts = np.array([self.blocks[pattern].start for pattern in block_maps(geometry)])
        members = np.zeros((cells.shape[1], sum(geometry.blocks.values())), np.float32)
        np.put_along_axis(members, (cells.astype(int) + starts[:, None] - 1).T, 1, axis=1)
        pixels = torch.tensor(block_pixels("partition", geometry), dtype=torch.float32)
        self.members: Tensor
        self.cells: Tensor
        self.pixels: Tensor
        self.middle: Tensor
        self.register_buffer("members", torch.from_numpy(members), persistent=False)
        self.register_buffer("cells", torch.from_numpy(cell_of_pixel.ravel()), persistent=False)
        self.register_buffer("pixels", pixels, persistent=False)
        # comparing with 128 less the mean finds the same pixels as comparing before it was subtracted
        middle = (128 - torch.tensor(pixel_mean)).repeat(geometry.view_size)
        self.register_buffer("middle", middle, persistent=False)  # of each number in a row of pixels

    def forward(self, boundaries: Tensor, clips: Tensor) -> Tensor:
        """Compute the targets of views.

        Parameters
        ----------
        boundaries : Tensor, shape (B, 2, view_size, view_size, 2), float32
            Mu and Mv of the views (`mas_train.data.views.take_boundaries`).
        clips : Tensor, shape (B, 3, frames, view_size, view_size), float32
            The views, less the mean (`mas_train.data.views.take_views`).

        Returns
        -------
        Tensor, shape (B, numbers), float32
            The numbers of each target in turn, block by block.
        """
        of_blocks = {**self._motion(boundaries), **self._colours(clips)}
        parts = [name.rpartition("_") for name in self.names]
        return torch.cat([of_blocks[n][:, self.blocks[pattern]].flatten(1) for pattern, _, n in parts], dim=1)

    def _motion(self, boundaries: Tensor) -> dict[str, Tensor]:
        """Return magnitudes and axes of Mu and Mv, each (B, blocks, numbers)."""
        along_cols, along_rows = boundaries.flatten(2, 3).unbind(dim=3)  # (B, 2, pixels)
        magnitude = torch.hypot(along_cols, along_rows)
        size = magnitude.clamp(min=1e-12)  # where nothing moves, the axis is 0
        sines = 2 * along_cols * along_rows / size
        cosines = (along_cols.square() - along_rows.square()) / size
        maps = torch.stack([magnitude, sines, cosines], dim=2)  # (B, 2, 3, pixels)
        sums = torch.einsum("bmnp,pk->bmkn", maps, self.members[self.cells])  # (B, 2, blocks, 3)
        means = sums / self.pixels[:, None]
        roots = means.sign() * means.abs().sqrt()
        return {
            f"{component}{name}": roots[:, number, :, chosen]
            for number, component in enumerate("uv")
            for name, chosen in (("m", slice(1)), ("a", slice(1, 3)))
        }

    def _colours(self, clips: Tensor) -> dict[str, Tensor]:
        """Return diversity and shares of colours, each (B, blocks, numbers)."""
        n_clips, _, frames = clips.shape[:3]
        is_bright = clips.permute(0, 2, 3, 4, 1).flatten(3) >= self.middle  # (B, T, S, 3 S): as in memory
        red, green, blue = is_bright.view(torch.uint8).unflatten(3, (-1, 3)).unbind(dim=4)
        colours = (4 * red + 2 * green + blue).flatten(2)  # (B, T, pixels)
        places = self.cells * COLOURS + colours.long()
        counts = places.new_zeros((n_clips, frames, len(self.members) * COLOURS), dtype=torch.float32)
        counts.scatter_add_(2, places, torch.ones_like(places, dtype=torch.float32))
        of_cells = counts.unflatten(2, (-1, COLOURS))  # (B, T, cells, 8)
        of_blocks = torch.einsum("btnc,nk->btkc", of_cells, self.members)  # (B, T, blocks, 8)
        common, united = of_blocks.amin(dim=1).sum(dim=2), of_blocks.amax(dim=1).sum(dim=2)
        shares = of_blocks.sum(dim=1) / (frames * self.pixels[:, None])
        return {"di": (1 - common / united)[:, :, None], "co": shares.sqrt()}


class DenseCode(BranchCode):
    """Coding of dense targets of one branch.

    Parameters
    ----------
    names
        The branch's targets, some of those of `statistics`.
    statistics
        Computes all targets.
    """

    def __init__(self, names: Sequence[str], statistics: BlockStatistics) -> None:
        columns = [statistics.names.index(name) for name in names]
        super().__init__(names, [statistics.sizes[column] for column in columns], columns)
        starts = torch.tensor([0, *np.cumsum(statistics.sizes)])
        self.source: Tensor
        self.register_buffer("source", starts[self.columns[self.owner]] + self.part, persistent=False)

    def raw_numbers(self, targets: Tensor) -> Tensor:
        """Select the branch's numbers."""
        return targets[:, self.source]

    def scale(self, variance: Tensor) -> Tensor:
        """Return the mean variance of a target's numbers: a colour hardly ever seen weighs little."""
        sums = variance.new_zeros(len(self.names)).index_add_(0, self.owner, variance)
        return (sums / torch.bincount(self.owner, minlength=len(self.names)))[self.owner]

    def weigh(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sample, of equal shares."""
        shares = statistics.new_full((1, 1), 1 / len(statistics), dtype=torch.float64)
        return statistics, shares.expand(len(statistics), len(self.names))

    def are_known(self, targets: Tensor) -> Tensor:
        """All are."""
        return targets.new_ones((len(targets), len(self.names)), dtype=torch.bool)

    def hits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """NaN."""
        return outputs.new_full((len(outputs), len(self.names)), torch.nan)

    def agree(self, targets: Tensor, others: Tensor) -> Tensor:
        """NaN."""
        return targets.new_full((len(targets), len(self.names)), torch.nan)

    def commonest(self, statistics: Tensor, others: Tensor) -> Tensor:
        """NaN."""
        return torch.full((len(self.names),), torch.nan, dtype=torch.float64)
