"""Data-parallel training with several processes, started by `torchrun`: each takes a part of every batch.

Every process draws the same order and the same initial weights; torch's `DistributedDataParallel` averages
the gradients. A decision of one process (to stop, to fail) is shared between steps, so that no process waits
forever for one that has ended.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mas_labels.errors import ConfigError, MasError, TrainingError
from mas_labels.system.process import group_number, is_in_group, print_error

Item = TypeVar("Item")


class ReportedError(TrainingError):
    """An error that one process has already reported: the message is empty, the cause is that error."""


@dataclass(frozen=True)
class Group:
    """The processes of a run, from the view of one of them; outside of a launcher all methods are trivial."""

    rank: int = 0
    size: int = 1
    is_joined: bool = False
    """True in a group that torch knows: one process of `torchrun` takes the path that several take."""

    @property
    def is_first(self) -> bool:
        """Return whether this process writes files and messages for all."""
        return self.rank == 0

    def largest(self, value: int) -> int:
        """Return the largest of the values of all processes."""
        if not self.is_joined:
            return value
        with peer_loss_as_training_error():
            values = torch.tensor([value])
            distributed.all_reduce(values, distributed.ReduceOp.MAX)
            return int(values.item())

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the values of all processes."""
        if not self.is_joined:
            return values
        with peer_loss_as_training_error():
            values = values.clone()
            distributed.all_reduce(values)
            return values

    def gather(self, item: Item) -> list[Item]:
        """Return the items of all processes, by rank."""
        if not self.is_joined:
            return [item]
        with peer_loss_as_training_error():
            items: list[Item | None] = [None] * self.size
            distributed.all_gather_object(items, item)
            return items  # type: ignore[return-value]

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model, wrapped so that its gradients are averaged over the processes."""
        return DistributedDataParallel(model) if self.is_joined else model

    @contextlib.contextmanager
    def averaging(self, network: nn.Module, is_last: bool) -> Iterator[None]:
        """Average gradients in a backward pass only if it is the last of a step."""
        if not self.is_joined:
            yield
            return
        assert isinstance(network, DistributedDataParallel)
        with peer_loss_as_training_error(), contextlib.nullcontext() if is_last else network.no_sync():
            yield

    @contextlib.contextmanager
    def share_errors(self) -> Iterator[None]:
        """Raise in all processes if the block fails in one; the first that failed reports its error.

        The error is reported before any process ends: a launcher ends all processes as soon as one has ended,
        and the line would be lost. A single process raises its error as it is.

        Raises
        ------
        ReportedError
            In all processes.
        """
        failed: MasError | None = None
        try:
            yield
        except MasError as error:
            failed = error
        if not self.is_joined and failed is not None:
            raise failed
        first_failed = self.size - self.largest(0 if failed is None else self.size - self.rank)
        if first_failed == self.size:
            return
        if first_failed == self.rank and failed is not None:
            print_error(failed, after_others=True)
        self.largest(0)  # wait until it is reported
        raise ReportedError from failed

    def iterate_together(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield `items`; an error of the iterator is raised in all processes (`share_errors`)."""
        while True:
            item: list[Item] = []
            with self.share_errors():
                item += itertools.islice(items, 1)
            if not item:
                return
            yield item[0]


@contextlib.contextmanager
def peer_loss_as_training_error() -> Iterator[None]:
    """Turn torch's errors about a lost process into one line."""
    try:
        yield
    except RuntimeError as error:
        message = str(error).lower()
        if not isinstance(error, distributed.DistError) and "gloo" not in message and "nccl" not in message:
            raise
        raise TrainingError(
            "another process of this run was lost: see its last output, then start again with --resume"
        ) from error


def local_device(device: torch.device) -> torch.device:
    """Return the device of this process: with several GPUs, the one of its local rank.

    Raises
    ------
    ConfigError
        If there are fewer GPUs than processes.
    """
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    rank, gpus = group_number("LOCAL_RANK", 0), torch.cuda.device_count()
    if rank >= gpus:
        raise ConfigError(
            f"more processes than GPUs: this one is number {rank + 1} of its machine, which has {gpus}. "
            f"Give torchrun --nproc-per-node {gpus}"
        )
    device = torch.device("cuda", rank)
    torch.cuda.set_device(device)
    return device


@contextlib.contextmanager
def join_group() -> Iterator[Group]:
    """Join the processes that `torchrun` started; without it, yield a group of one, unknown to torch.

    Raises
    ------
    ConfigError
        If the environment holds something else than a launcher's numbers.
    TrainingError
        If the other processes cannot be reached.
    """
    if not is_in_group():
        yield Group()
        return
    for name in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"):
        group_number(name, 0)
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"WORLD_SIZE is set, but the other processes cannot be reached ({error}): start with torchrun"
        ) from error
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size(), is_joined=True)
    except ReportedError:
        raise  # in all processes
    except Exception as error:
        if torch.cuda.is_available():
            _leave_at_once(error)
        raise
    finally:
        distributed.destroy_process_group()


def _leave_at_once(error: Exception) -> NoReturn:
    """End this process, which alone has failed: leaving NCCL's group would wait for work that never ends.

    The launcher notices, and ends the others.
    """
    if isinstance(error, MasError):
        print_error(error, after_others=True)
    else:
        traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(1)


def choose_device(name: str) -> torch.device:
    """Return the device of a name, one of ``"auto"``, ``"cpu"``, ``"cuda"`` and ``"mps"``.

    Raises
    ------
    ConfigError
        If there is no such device here.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, is_present in present.items() if is_present)
    if name not in present:
        raise ConfigError(f"no device {name!r}: choose one of auto, {', '.join(present)}")
    if not present[name]:
        found = ", ".join(kind for kind, is_present in present.items() if is_present)
        raise ConfigError(
            f"--device {name} requested, but torch {torch.__version__} finds none here (it finds {found}): "
            "install a build of torch for it (pytorch.org), or give --device auto"
        )
    return torch.device(name)
