"""What the command lines of fine-tuning and evaluation share."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.system.command_line import Function
from mas_train.recipe import (
    BACKBONES,
    DECAYED,
    INITIALISATIONS,
    ORIENTATION_CODES,
    PRECISIONS,
    SCHEDULES,
    SHUFFLES,
    TARGET_SCALES,
    TARGETS,
)

if TYPE_CHECKING:
    import torch


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

    from mas_train.runtime.performance import keep_pages
    from mas_train.runtime.processes import choose_device

    if threads is not None:
        torch.set_num_threads(threads)
    where = choose_device(device)
    if where.type == "cpu":
        keep_pages()
    return where


def command_line(name: str) -> str:
    """Return the command as it was typed, for results; it can be pasted into a shell."""
    return shlex.join([name, *sys.argv[1:]])


class Share(click.ParamType):
    """A share as a number, ``0.05``, or in percent, ``5%``."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Turn the text into a number."""
        text = str(value)
        try:
            return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{text!r} is no share: give one such as 5% or 0.05", param, ctx)


INCOMPLETE_OPTION = click.option(
    "--incomplete", is_flag=True, help="Go on although shards of a folder's plan are missing."
)

SCHEDULE_OPTION = click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    help="How the rate falls over the epochs: in the paper's steps, or along a cosine.  [default: steps]",
)

RECIPE_OPTIONS = (
    click.option("--backbone", type=click.Choice(BACKBONES), help="Network to train.  [default: c3d]"),
    click.option(
        "--input-stride",
        type=click.IntRange(1, 2),
        help="2: a C3D sees every 2nd frame and means of 2 x 2 pixels, for small machines.  [default: 1]",
    ),
    click.option("--targets", type=click.Choice(list(TARGETS)), help="Labels to train.  [default: joint]"),
    click.option(
        "--target-scale",
        type=click.Choice(TARGET_SCALES),
        help="Labels as they are, or of mean 0 and deviation 1.  [default: raw]",
    ),
    click.option(
        "--orientation",
        type=click.Choice(ORIENTATION_CODES),
        help="How a direction is predicted.  [default: number]",
    ),
    click.option(
        "--shuffle-labels",
        is_flag=True,
        default=None,
        help="Give each clip another's labels: a control, which should teach nothing.",
    ),
    click.option("--motion-weight", type=float, help="Of the motion loss.  [default: 1]"),
    click.option("--appearance-weight", type=float, help="Of the appearance loss.  [default: the preset's]"),
    click.option(
        "--init",
        "initialisation",
        type=click.Choice(INITIALISATIONS),
        help="How first weights are drawn.  [default: authors]",
    ),
    click.option("--momentum", type=float, help="Of SGD; the paper states none.  [default: 0.9]"),
    click.option("--weight-decay", type=float, help="Of SGD.  [default: the preset's]"),
    click.option(
        "--weight-decay-on", type=click.Choice(DECAYED), help="What decays.  [default: the preset's]"
    ),
    click.option("--bias-rate", type=float, help="Times the rate, for biases.  [default: the preset's]"),
    SCHEDULE_OPTION,
)
"""Each fills the field of `mas_train.recipe.Recipe` of its name."""

MEASURING_OPTIONS = (
    click.option("--holdout", type=Share(), help="Share of the videos to measure on instead, such as 5%."),
    click.option(
        "--val-shards", multiple=True, metavar="PATH...", help="Shards to measure on; many paths may follow."
    ),
    click.option("--val-steps", type=click.IntRange(1), default=500, help="Steps between two measurements."),
    click.option("--val-clips", type=click.IntRange(1), default=1024, help="Most clips to measure on."),
    click.option("--curves/--no-curves", default=True, help="Draw the learning curves at the end."),
    click.option("--tensorboard", is_flag=True, help="Write TensorBoard events as well."),
)


ORDER_OPTIONS = (
    click.option(
        "--shuffle",
        type=click.Choice(SHUFFLES),
        help="Draw from all clips, or from a window of shards (network disks).  [default: full]",
    ),
    click.option("--shuffle-window", type=click.IntRange(1), help="Shards of a window.  [default: 16]"),
    click.option(
        "--accumulate",
        type=click.IntRange(1),
        default=1,
        help="Parts that a batch is taken in, to save memory.",
    ),
)
"""In which order clips come, and how many at a time."""

SPEED_OPTIONS = (
    click.option("--precision", type=click.Choice(PRECISIONS), help="Of the network.  [default: float32]"),
    click.option(
        "--memory-format",
        type=click.Choice(["auto", "channels_last_3d", "contiguous"]),
        help="Of activations; auto measures.  [default: channels_last_3d on a CPU, auto elsewhere]",
    ),
    click.option("--compile", is_flag=True, help="Have torch compile the network."),
    click.option("--fused", is_flag=True, help="Take steps in one pass over the weights."),
)
"""How steps are computed, in pre-training and in fine-tuning."""
