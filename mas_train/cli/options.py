"""Options that several commands of the trainer share, made from the dataclasses that hold them."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mas_labels.errors import ConfigError, reason_of
from mas_labels.system.command_line import FOLDER, PATH, Function, add_options, field_option, show_value
from mas_labels.system.options import option_fields
from mas_labels.system.process import group_number
from mas_train.inference.options import SourceOptions
from mas_train.recipe import PRESETS, Recipe
from mas_train.training.options import TrainingOptions

if TYPE_CHECKING:
    import torch

AUTO: Final = "auto"
MAX_WORKERS_PER_CORE: Final = 16
"""Most workers that may be asked for: each takes some 100 MB."""
training_option = partial(field_option, TrainingOptions)


def preset_option(presets: Mapping[str, Recipe], **changes: Any) -> Callable[[Function], Function]:
    """Make the option of the preset, one of `presets`."""
    return field_option(Recipe, "preset", type=click.Choice(list(presets)), default="ucf101", **changes)


def recipe_option(
    name: str, *flags: str, presets: Mapping[str, Recipe] = PRESETS, **changes: Any
) -> Callable[[Function], Function]:
    """Make the option of a field of `Recipe`; without it the field keeps the preset's value."""
    field = option_fields(Recipe)[name]
    if field.kind is bool:  # a flag shows no default
        return field_option(Recipe, name, *flags, default=None, **changes)
    values = {getattr(preset, name) for preset in presets.values()}
    unset = show_value(field, values.pop()) if len(values) == 1 else "the preset's"
    return field_option(Recipe, name, *flags, unset=unset, **changes)


def _join_filters(context: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> str | None:
    """Return the filters of all times that the option is given as one text; None without any."""
    from mas_labels.shards import parse_filters

    text = ",".join(filter(None, texts))
    try:
        parse_filters(text)
    except ConfigError as error:
        raise click.BadParameter(str(error), context, option) from error
    return text or None


where_option = field_option(
    Recipe, "where", multiple=True, metavar="FILTERS", callback=_join_filters, unset="all clips"
)
"""Filters of clips, such as ``min_motion=0.02,cut=false``; given twice, they are joined to one text."""


class Workers(click.ParamType):
    """A number of workers, or ``auto``, which is None."""

    name = "auto|number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return the number; refuse one that would take more processes than the machine can bear."""
        if value == AUTO:
            return None
        number: int = click.IntRange(0).convert(value, param, ctx)
        if number > MAX_WORKERS_PER_CORE:
            from mas_train.data.auto_workers import usable_cores

            most = MAX_WORKERS_PER_CORE * usable_cores()
            if number > most:
                self.fail(
                    f"{number}: expected at most {most}, {MAX_WORKERS_PER_CORE} for each core here; give "
                    f"fewer, or {AUTO}",
                    param,
                    ctx,
                )
        return number


compute_options = add_options(
    training_option("device"),
    training_option("workers", type=Workers(), default=AUTO),
    training_option("threads", unset="torch's choice"),
)
"""Device, workers that read, and threads of torch: options that change results by rounding alone."""

speed_options = add_options(
    recipe_option("precision"),
    training_option("memory_format", unset="channels_last_3d on a CPU, auto elsewhere"),
    training_option("compile"),
    training_option("fused"),
)
"""Precision and speed of steps, in pre-training and in fine-tuning."""

scratch_run_option = click.option(
    "--scratch-run",
    help="A run with --init scratch and otherwise the same options, to show its accuracy next to this one's.",
)

pixel_mean_option = click.option(
    "--pixel-mean",
    type=click.FloatRange(0, 255),
    nargs=3,
    metavar="R G B",
    help="Mean to subtract from R, G and B of 0 to 255.  [default: that of the weights]",
)
"""Passed to `mas_train.weights.backbone_weights.load_weights`."""

source_option = partial(field_option, SourceOptions)
network_options = add_options(
    click.argument("paths", nargs=-1, type=PATH),
    click.option("--weights", required=True, help="A run's folder, a weights folder, or a checkpoint."),
)
"""Videos or shards to run a network over, and the network."""
source_options = add_options(
    source_option("manifest", type=PATH, unset="none"),
    source_option("root", type=PATH, unset="each folder, or the folder of each file"),
    source_option("split"),
    source_option("splits_dir", "--splits", type=PATH, unset="they are searched for"),
    source_option("follow_links"),
    source_option("clip_stride_frames", "--clip-stride"),
    source_option("fps", unset="each video's own frames"),
    source_option("video_timeout_seconds", "--video-timeout"),
    click.option("--batch-size", type=click.IntRange(1), default=32, help="Clips computed together."),
    pixel_mean_option,
)
"""The clips to take of the videos, and their input to the network."""


def shards_option(name: str, help_text: str, required: bool = True) -> Callable[[Function], Function]:
    """Make an option for shards; `name` such as ``"--shards"``."""
    return click.option(name, multiple=True, required=required, metavar="PATH...", help=help_text)


def out_option(default: str) -> Callable[[Function], Function]:
    """Make the option for the folder of results."""
    return click.option("--out", type=FOLDER, default=Path(default), help="Folder to write to.")


def choose_compute(device: str, threads: int | None) -> torch.device:
    """Set torch's threads, and on a CPU how memory is kept; return the device.

    Raises
    ------
    ConfigError
        If the requested device is absent, or a launcher has started several of a command that works alone.
    """
    if (processes := group_number("WORLD_SIZE", 1)) > 1:
        raise ConfigError(
            f"expected one process, found WORLD_SIZE={processes} in the environment: of these commands "
            "mas-train alone divides its work between processes; start this one without torchrun"
        )
    import torch

    from mas_train.runtime.performance import keep_pages
    from mas_train.runtime.processes import choose_device

    if threads is not None:
        torch.set_num_threads(threads)
    where = choose_device(device)
    if where.type == "cpu":
        keep_pages()
    return where


def require_writable(path: Path) -> None:
    """Check, before the work whose result goes there, that a file can be written.

    Raises
    ------
    ConfigError
        If it is a folder, or nothing can be written beside it.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): choose another path") from error


def require_picture(path: Path) -> None:
    """Check, before the work that it shows, that a picture can be drawn and written.

    Raises
    ------
    ConfigError
        As `require_writable`; or if its name is not that of a PNG file.
    MissingDependencyError
        If matplotlib is not installed.
    """
    from mas_train.runtime.figures import make_figure

    if path.suffix.lower() != ".png":
        raise ConfigError(f"{path}: expected a file that ends in .png, the format of pictures: rename it")
    require_writable(path)
    make_figure((1, 1))


def command_line(name: str) -> str:
    """Return the command as it was typed, for results; it can be pasted into a shell."""
    return shlex.join([name, *sys.argv[1:]])
