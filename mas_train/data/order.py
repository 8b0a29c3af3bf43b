"""The order of clips: a function of seed and epoch alone, however many workers or processes read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from mas_labels.errors import ConfigError
from mas_train.recipe import Recipe


def epoch_order(
    seed: int, epoch: int, lengths: Sequence[int], window_shards: int | None = None
) -> NDArray[np.int64]:
    """Order of the clips in one epoch, a function of its arguments alone.

    Parameters
    ----------
    seed, epoch
        Not negative.
    lengths
        Clips in each shard.
    window_shards
        None draws from all clips: for disks that jump cheaply. A number puts the shards in random order,
        takes so many at a time, and shuffles their clips: then only these need to be open, and each is read
        within a short time, as network file systems like it.

    Returns
    -------
    ndarray, shape (sum of lengths,), int64
        Each clip once.
    """
    generator = np.random.default_rng([seed, epoch])
    if window_shards is None:
        return generator.permutation(sum(lengths))
    ends = np.cumsum(lengths)
    clips = [np.arange(end - length, end) for end, length in zip(ends, lengths, strict=True)]
    shards = generator.permutation(len(lengths))
    windows = [shards[at : at + window_shards] for at in range(0, len(shards), window_shards)]
    return np.concatenate([generator.permutation(np.concatenate([clips[s] for s in w])) for w in windows])


class RunOrder(Sampler[list[int]]):
    """The batches of a run from some step on.

    Each clip comes once an epoch; the last batch of an epoch may be smaller than the others. With several
    processes each takes a part of every batch, in the order of their ranks, so that together they see what
    one process would.

    Parameters
    ----------
    lengths
        Clips in each shard.
    recipe
        Its batch size, seed, epochs and way to shuffle.
    start_step
        First step to yield; steps are counted from 0 over all epochs.
    max_steps
        Stop before this step, None for the end of the last epoch.
    rank, ranks
        Which process this is, of how many.

    Raises
    ------
    ConfigError
        If there are fewer clips than one batch takes, or fewer in a batch than processes.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        recipe: Recipe,
        start_step: int = 0,
        max_steps: int | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        clips = sum(lengths)
        if recipe.batch_size > clips:
            raise ConfigError(
                f"a batch of {recipe.batch_size} is larger than the data ({clips} clips): "
                f"give --batch-size {clips} or less, or more shards"
            )
        if ranks > recipe.batch_size:
            raise ConfigError(
                f"a batch of {recipe.batch_size} is too small for {ranks} processes, which share it: "
                f"give --batch-size {ranks} or more, or fewer processes"
            )
        self.lengths = list(lengths)
        self.recipe = recipe
        self.start_step = start_step
        self.rank, self.ranks = rank, ranks
        self.steps_per_epoch = -(-clips // recipe.batch_size)
        whole_run = recipe.epochs * self.steps_per_epoch
        self.end_step = max(start_step, whole_run if max_steps is None else min(max_steps, whole_run))
        self._drawn: tuple[int, NDArray[np.int64]] | None = None

    def batch(self, step: int) -> list[int]:
        """The whole batch of a step, of all processes."""
        epoch, number = divmod(step, self.steps_per_epoch)
        if self._drawn is None or self._drawn[0] != epoch:
            window = self.recipe.shuffle_window if self.recipe.shuffle == "window" else None
            self._drawn = epoch, epoch_order(self.recipe.seed, epoch, self.lengths, window)
        size = self.recipe.batch_size
        return self._drawn[1][number * size : (number + 1) * size].tolist()

    def part(self, step: int) -> tuple[list[int], float]:
        """What this process takes of a step's batch.

        Returns
        -------
        clips
            At least one: where an epoch's last batch has fewer clips than there are processes, some take its
            first clip a second time.
        weight
            The part's share of the batch; 0 for a clip that another process counts.
        """
        batch = self.batch(step)
        own = np.array_split(batch, self.ranks)[self.rank].tolist()
        return own or batch[:1], len(own) / len(batch)

    def __len__(self) -> int:
        return self.end_step - self.start_step

    def __iter__(self) -> Iterator[list[int]]:
        return (self.part(step)[0] for step in range(self.start_step, self.end_step))
