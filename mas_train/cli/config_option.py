"""The option --config: options of a command from a file, unless its line gives them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mas_labels.errors import ConfigError
from mas_labels.system.command_line import PATH, Function
from mas_labels.system.options import option_fields
from mas_labels.system.process import group_number
from mas_train.recipe import Recipe
from mas_train.training.config_file import ConfigFile, read_config_file

ACTIONS = ("config", "resume", "print_config", "version", "help")
"""Options that act, rather than decide a run: no file states them."""


def config_option(command: str) -> Callable[[Function], Function]:
    """Make the option of a command; it is read first, and `given_config` finds it."""

    def read(context: click.Context, option: click.Parameter, path: Path | None) -> None:
        if path is None:
            return
        names, shard_names = option_names(context.command)
        file = context.obj = read_config_file(path, command, names, shard_names)
        values = file.values()
        if "where" in values:  # on the line, it may be given several times
            values["where"] = [values["where"]]
        _require_valid(context, path, values)
        context.default_map = values

    return click.option(
        "--config",
        type=PATH,
        metavar="FILE",
        is_eager=True,
        expose_value=False,
        callback=read,
        help="File of options: the config.yaml of a run, for the same run again, or one like it; options on "
        "the line win.",
    )


def _require_valid(context: click.Context, path: Path, values: dict[str, Any]) -> None:
    """Raise `ConfigError`, which names the file, if an option does not take its value there."""
    for option in context.command.params:
        if option.name in values:
            try:
                option.type_cast_value(context, values[option.name])
            except click.BadParameter as error:
                reason = error.message.rstrip(".")
                raise ConfigError(f"{path}: {option.name}: {reason}: correct it") from error


def option_names(command: click.Command) -> tuple[list[str], list[str]]:
    """Return the names of a command's options that are not of the recipe: without shards, and with them."""
    not_stated = {*ACTIONS, *option_fields(Recipe)}
    options = [option for option in command.params if isinstance(option, click.Option)]
    takes_shards = {option.name: option.multiple for option in options if option.name not in not_stated}
    plain, shards = (
        [str(name) for name, many in takes_shards.items() if many is kind] for kind in (False, True)
    )
    return plain, shards


def given_options(context: click.Context) -> dict[str, Any]:
    """Return the values of a command's options that are neither of the recipe nor shards, to record them."""
    return {name: context.params[name] for name in option_names(context.command)[0]}


def is_typed(context: click.Context, name: str) -> bool:
    """Return whether the line gives an option, rather than a file or its default."""
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def refuse_unused(is_used: object, names: Sequence[str], when: str) -> None:
    """Raise `click.UsageError` if the line gives options that do nothing, unless they are used.

    Parameters
    ----------
    is_used
        True, or not empty, if they act.
    names
        Names of the options.
    when
        Words for the case in which they do nothing, such as ``"without --probe-shards"``.
    """
    context = click.get_current_context()
    for option in context.command.params:
        if not is_used and option.name in names and is_typed(context, option.name):
            raise click.UsageError(f"{option.opts[0]}: it does nothing {when}: leave it out")


def stated_recipe(context: click.Context) -> dict[str, Any]:
    """Return the entries of the recipe that the file states and no option of the command takes.

    Raises
    ------
    click.UsageError
        If the line gives a preset, and the file another.
    """
    file = given_config(context)
    if file is None:
        return {}
    preset = file.recipe.get("preset") or context.params["preset"]
    if preset != context.params["preset"]:
        raise click.UsageError(
            f"--preset {context.params['preset']}: {file.path} states entries of the preset {preset}: "
            "leave --preset out, or give the options that differ"
        )
    return file.recipe_without([str(option.name) for option in context.command.params])


def given_config(context: click.Context) -> ConfigFile | None:
    """Return the file that --config names, if it is given."""
    return context.obj


def report_config(context: click.Context) -> None:
    """Print in one line what was taken from the file and what the line overrides; check recorded shards.

    Raises
    ------
    ConfigError
        If a shard differs from the one that the file's run read.
    """
    file = given_config(context)
    if file is None:
        return
    stated = file.values()
    typed = [option for option in context.command.params if is_typed(context, str(option.name))]
    described = [_describe(option, stated, context) for option in typed if option.name in stated]
    overridden = [text for text in described if text]
    parts = [f"{file.path}: {len(stated) - len(overridden)} entries taken"]
    parts += [f"the line has {', '.join(overridden)}"] if overridden else []
    if (processes := file.processes) != (here := group_number("WORLD_SIZE", 1)):
        parts.append(f"its run had {processes} processes, this has {here}: weights will differ")
    if "out" in stated and not is_typed(context, "out"):
        parts.append(f"--out is the file's, {stated['out']}")
    plain, with_shards = option_names(context.command)
    names = plain if file.options else [*plain, *with_shards]
    known = {**file.options, **file.shards}
    absent = [name for name in names if name not in known and not is_typed(context, name)]
    if file.is_of_run and absent:  # an earlier version wrote it
        parts.append(f"it does not state {', '.join(absent)}: the defaults")
    if os.environ.get("RANK", "0") == "0":  # of several processes, the first one reports
        click.echo("; ".join(parts))
    file.require_same_shards(name for name in file.shards if not is_typed(context, name))


def _describe(option: click.Parameter, stated: dict[str, Any], context: click.Context) -> str:
    """Return an option of the line, its value there, and the file's; nothing if these are the same."""
    value, before = context.params[str(option.name)], stated[str(option.name)]
    if isinstance(value, tuple):  # of paths
        return option.opts[0]
    if str(value) == str(before if isinstance(value, Path) else option.type(before, option, context)):
        return ""
    if isinstance(value, bool):
        return option.opts[0] if value else option.secondary_opts[0]
    return f"{option.opts[0]} {repr('') if value is None else value} (not {before})"
