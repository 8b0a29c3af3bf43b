"""Several processes that train one network: each on a part of every batch, started by `torchrun`.

Every process draws the same order and the same first weights; gradients are averaged by torch's
`DistributedDataParallel`. What one process decides alone (to stop, to fail) is told to the others between
steps, so that none waits for ever for one that is gone.
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
from mas_labels.system.process import print_error

Item = TypeVar("Item")


class ReportedError(TrainingError):
    """One process failed and has said why; the message is empty, the cause is the error in that process."""


@dataclass(frozen=True)
class Group:
    """The processes of a run, seen from one of them; alone, everything here is free of cost."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def largest(self, value: int) -> int:
        """The largest value of all processes."""
        if self.size == 1:
            return value
        with peer_loss_as_training_error():
            values = torch.tensor([value])
            distributed.all_reduce(values, distributed.ReduceOp.MAX)
            return int(values.item())

    def sum(self, values: Tensor) -> Tensor:
        """The sum of the values of all processes."""
        if self.size == 1:
            return values
        with peer_loss_as_training_error():
            values = values.clone()
            distributed.all_reduce(values)
            return values

    def gather(self, item: Item) -> list[Item]:
        """What each process gives, by rank."""
        if self.size == 1:
            return [item]
        with peer_loss_as_training_error():
            items: list[Item | None] = [None] * self.size
            distributed.all_gather_object(items, item)
            return items  # type: ignore[return-value]

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, ready to have its gradients averaged over the processes."""
        return model if self.size == 1 else DistributedDataParallel(model)

    @contextlib.contextmanager
    def averaging(self, network: nn.Module, is_last: bool) -> Iterator[None]:
        """Average the gradients of a backward pass, if it is a step's last, and of those before it."""
        if self.size == 1:
            yield
            return
        assert isinstance(network, DistributedDataParallel)
        with peer_loss_as_training_error(), contextlib.nullcontext() if is_last else network.no_sync():
            yield

    @contextlib.contextmanager
    def failing_together(self) -> Iterator[None]:
        """End in all processes what fails in one: the first of those that failed says why.

        It does so before any process leaves: a launcher ends all as soon as it sees that one has ended, and
        the line would be lost. Alone, a process raises its error as it is.

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
        if self.size == 1 and failed is not None:
            raise failed
        teller = self.size - self.largest(0 if failed is None else self.size - self.rank)
        if teller == self.size:
            return
        if teller == self.rank and failed is not None:
            print_error(failed, after_others=True)
        self.largest(0)  # wait until it is told
        raise ReportedError from failed

    def fail_together(self, items: Iterator[Item]) -> Iterator[Item]:
        """Yield `items`; an error while one is made ends all processes."""
        while True:
            item: list[Item] = []
            with self.failing_together():
                item += itertools.islice(items, 1)
            if not item:
                return
            yield item[0]


@contextlib.contextmanager
def peer_loss_as_training_error() -> Iterator[None]:
    """Say in one line that another process is gone, whatever torch says of it."""
    try:
        yield
    except RuntimeError as error:
        words = str(error).lower()
        if not isinstance(error, distributed.DistError) and "gloo" not in words and "nccl" not in words:
            raise
        raise TrainingError(
            "another process of this run was lost: see what it said last, then start again with --resume"
        ) from error


def local_device(device: torch.device) -> torch.device:
    """The device of this process: on a machine with several GPUs that of its local rank.

    Raises
    ------
    ConfigError
        If there is no GPU for it.
    """
    if device.type != "cuda" or "LOCAL_RANK" not in os.environ:
        return device
    rank, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
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
    """Join the processes `torchrun` started; without it, be alone.

    Raises
    ------
    TrainingError
        If the others are not to be found.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Group()
        return
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"WORLD_SIZE is set, but the other processes are not found ({error}): start with torchrun"
        ) from error
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size())
    except ReportedError:
        raise  # all processes are on their way here
    except Exception as error:
        if torch.cuda.is_available():
            _leave_at_once(error)
        raise
    finally:
        distributed.destroy_process_group()


def _leave_at_once(error: Exception) -> NoReturn:
    """End this process, which failed alone: leaving NCCL's group would wait for work that never ends.

    The launcher sees that it has ended, and ends the others.
    """
    if isinstance(error, MasError):
        print_error(error, after_others=True)
    else:
        traceback.print_exception(error)
    sys.stderr.flush()
    os._exit(1)


def choose_device(name: str) -> torch.device:
    """Turn ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"`` into a device that is there.

    Raises
    ------
    ConfigError
        If the device asked for is absent.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, there in present.items() if there)
    if name not in present:
        raise ConfigError(f"no device {name!r}: take one of auto, {', '.join(present)}")
    if not present[name]:
        found = ", ".join(kind for kind, there in present.items() if there)
        raise ConfigError(
            f"--device {name} asked for, but torch {torch.__version__} finds none here (it finds {found}): "
            "install a build of torch for it (pytorch.org), or give --device auto"
        )
    return torch.device(name)
