"""The command line of `mas-train`: it parses; the library does."""

from __future__ import annotations

import atexit
import json
import os
import signal
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NoReturn

import click

from mas_labels.errors import MasError, MissingDependencyError, explain_import_error, unavailable
from mas_labels.system import begin_process
from mas_train.presets import PRESETS, Recipe, make_recipe
from mas_train.recipe_options import (
    INCOMPLETE_OPTION,
    MEASURING_OPTIONS,
    ORDER_OPTIONS,
    RECIPE_OPTIONS,
    SPEED_OPTIONS,
    add_options,
)
from mas_train.stopping import EXIT_SIGNAL, Stopped, signals_raise
from mas_train.telling import tell

EXIT_ERROR = 1


class ManyPathsCommand(click.Command):
    """Lets a shell's glob follow: ``--shards a b`` is read as ``--shards a --shards b``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its paths."""
        for option in ("--shards", "--val-shards"):
            args = repeat_option(option, args)
        return super().parse_args(ctx, args)


def repeat_option(option: str, args: list[str]) -> list[str]:
    """Put `option` before each value that follows its first one, up to the next option.

    Raises
    ------
    click.UsageError
        If no value follows it.
    """
    repeated: list[str] = []
    inside = False
    for arg, following in zip(args, [*args[1:], "-"], strict=False):
        if arg == option and following.startswith("-"):
            raise click.UsageError(f"Option '{option}' needs one path or more, such as {option} labels/*.h5")
        if arg.startswith("-"):
            inside = arg == option or arg.startswith(f"{option}=")
        elif inside and repeated[-1] != option:
            repeated.append(option)
        repeated.append(arg)
    return repeated


@click.command(
    cls=ManyPathsCommand, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.option(
    "--shards",
    multiple=True,
    metavar="PATH...",
    help="Shards, folders of shards, or quoted patterns; many paths may follow.",
)
@INCOMPLETE_OPTION
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/pretrain"),
    help="The run's folder.",
)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="ucf101", help="The paper's recipe.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@click.option("--max-steps", type=click.IntRange(1), help="Steps in all.  [default: the recipe's epochs]")
@click.option("--epochs", type=click.IntRange(1), help="Passes over all clips.  [default: the preset's]")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Clips a step, over all processes.  [default: the preset's]"
)
@click.option("--lr", "learning_rate", type=float, help="First learning rate.  [default: the preset's]")
@click.option("--clip-grad-norm", type=float, help="Largest gradient norm, 0 for no limit.  [default: 0]")
@click.option("--dropout", type=float, help="Of the fully connected layers.  [default: 0]")
@click.option("--width", type=float, help="Multiplies the backbone's channels.  [default: 1, the paper's]")
@click.option("--fc-width", type=click.IntRange(1), help="Of the fully connected layers.  [default: 2048]")
@click.option("--seed", type=click.IntRange(0), help="Of everything drawn at random.  [default: 0]")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where to train."
)
@click.option(
    "--workers", type=click.IntRange(0), default=2, help="Processes that read clips; 0: none of their own."
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads of torch.  [default: torch's choice]")
@click.option(
    "--checkpoint-steps", type=click.IntRange(1), default=250, help="Steps between two checkpoints."
)
@click.option(
    "--log-steps", type=click.IntRange(1), default=10, help="Steps between two rows of metrics.csv."
)
@add_options(*RECIPE_OPTIONS, *MEASURING_OPTIONS, *ORDER_OPTIONS, *SPEED_OPTIONS)
@click.option("--print-config", is_flag=True, help="Print the recipe as JSON and exit.")
@click.version_option(package_name="mas-video")
def command(preset: str, print_config: bool, **values: Any) -> int:
    """Pre-train a network on SHARDS by predicting the statistics of motion and appearance.

    Writes config.yaml, metrics.csv, heldout.csv, curves.png and checkpoints into --out. Exit status: 0 done,
    1 an error, 2 wrong usage; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM, after a checkpoint. SIGUSR1
    saves a checkpoint, and the run goes on.
    """
    of_recipe = {field.name for field in fields(Recipe)}
    recipe = make_recipe(preset, **{name: value for name, value in values.items() if name in of_recipe})
    if print_config:
        click.echo(json.dumps(asdict(recipe), indent=2))
        return 0
    if not values["shards"]:
        raise click.UsageError("Missing option '--shards': name the shards, such as --shards labels/*.h5")
    from mas_train.pretrain import pretrain
    from mas_train.run_options import RunOptions

    options = RunOptions(**{name: value for name, value in values.items() if name not in of_recipe})
    result = pretrain(recipe, options, say=click.echo)
    return 0 if result.signal_number is None else EXIT_SIGNAL + result.signal_number


def main(args: list[str] | None = None) -> None:
    """Run `mas-train` and exit with its status."""
    run_command(command, "mas-train", args, "--resume goes on from the last checkpoint, if there is one")


def run_command(command: click.Command, name: str, args: list[str] | None, after_interrupt: str) -> NoReturn:
    """Run a command and exit with its status; errors of the library become one line."""
    begin_process()
    try:
        with signals_raise():
            status = command.main(args=args, prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except MasError as error:
        tell(error)
        status = EXIT_ERROR
    except ImportError as error:
        tell(_explain_import_error(error))
        status = EXIT_ERROR
    except (OSError, MemoryError) as error:
        tell(unavailable(None, error))
        status = EXIT_ERROR
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"interrupted; {after_interrupt}", err=True)
        status = EXIT_SIGNAL + signal.SIGINT
    except Stopped as stop:
        click.echo(f"stopped by {stop}; {after_interrupt}", err=True)
        status = EXIT_SIGNAL + stop.number
    _leave(status)


def _leave(status: int) -> NoReturn:
    """Exit with a status; one process of several does so without taking the interpreter down.

    Threads of torch.distributed outlive its groups, and one that asks for Python while that goes down aborts
    the process, whose work is done, with SIGABRT.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status or 0)
    sys.exit(status)


def _explain_import_error(error: ImportError) -> MissingDependencyError:
    """Say what to install."""
    if (error.name or "").partition(".")[0] == "torch":
        found = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not load ({error})"
        return MissingDependencyError(f'training needs torch, which {found}: pip install "mas-video[train]"')
    return explain_import_error(error)


if __name__ == "__main__":
    main()
