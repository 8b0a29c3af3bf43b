"""What the command lines of fine-tuning and evaluation share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mas_train.cli import repeat_option

if TYPE_CHECKING:
    import torch

Function = TypeVar("Function", bound=Callable[..., Any])


class PathsCommand(click.Command):
    """Lets a shell's glob follow each option that takes many values: ``--shards a b``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat such options before each of their values."""
        for option in self.params:
            if isinstance(option, click.Option) and option.multiple:
                args = repeat_option(option.opts[0], args)
        return super().parse_args(ctx, args)


def shards_option(name: str, help_text: str, required: bool = True) -> Callable[[Function], Function]:
    """Make an option for shards; `name` such as ``"--shards"``."""
    return click.option(name, multiple=True, required=required, metavar="PATH...", help=help_text)


def out_option(default: str) -> Callable[[Function], Function]:
    """Make the option for the folder of results."""
    kind = click.Path(path_type=Path, file_okay=False)
    return click.option("--out", type=kind, default=Path(default), help="Folder of what is written.")


scratch_run_option = click.option(
    "--scratch-run",
    help="A run with --init scratch and otherwise the same options, whose accuracy stands beside.",
)


def compute_options(function: Function) -> Function:
    """Add the options that say where and how work is done, and decide nothing."""
    options = (
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            default="auto",
            help="Where to work.",
        ),
        click.option(
            "--workers",
            type=click.IntRange(0),
            default=2,
            help="Processes that read clips; 0: none of their own.",
        ),
        click.option(
            "--threads", type=click.IntRange(1), help="CPU threads of torch.  [default: torch's choice]"
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def choose_compute(device: str, threads: int | None) -> torch.device:
    """Set torch's threads, and on a CPU how memory is kept; return the device.

    Raises
    ------
    ConfigError
        If the device asked for is absent.
    """
    import torch

    from mas_train.memory import keep_pages
    from mas_train.run_options import choose_device

    if threads is not None:
        torch.set_num_threads(threads)
    where = choose_device(device)
    if where.type == "cpu":
        keep_pages()
    return where


def command_line(name: str) -> str:
    """Return the command as it was typed, for results; it can be pasted into a shell."""
    return shlex.join([name, *sys.argv[1:]])
