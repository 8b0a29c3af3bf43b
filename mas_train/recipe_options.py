"""Options of `mas-train` that change the recipe, and those that say what to measure on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mas_train.presets import BACKBONES, DECAYED, INITIALISATIONS, PRECISIONS, SCHEDULES, SHUFFLES
from mas_train.targets import ORIENTATION_CODES, TARGET_SCALES, TARGETS


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
"""Each fills the field of `mas_train.presets.Recipe` of its name."""

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


def add_options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Decorate a command with options, in the order given."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
