"""The command line of `mas-train`: it parses; the library does."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click

from mas_labels.system.command_line import SETTINGS, PathsCommand, add_options, run_command, version_option
from mas_labels.system.signals import EXIT_SIGNAL
from mas_train.cli.options import (
    INCOMPLETE_OPTION,
    MEASURING_OPTIONS,
    ORDER_OPTIONS,
    RECIPE_OPTIONS,
    SPEED_OPTIONS,
)
from mas_train.recipe import PRESETS, Recipe, make_recipe


@click.command(cls=PathsCommand, context_settings=SETTINGS)
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
@version_option
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
    from mas_train.training.options import TrainingOptions
    from mas_train.training.pretrain import pretrain

    options = TrainingOptions(**{name: value for name, value in values.items() if name not in of_recipe})
    result = pretrain(recipe, options, say=click.echo)
    return 0 if result.signal_number is None else EXIT_SIGNAL + result.signal_number


def main(args: list[str] | None = None) -> None:
    """Run `mas-train` and exit with its status."""
    run_command(command, "mas-train", args, "--resume goes on from the last checkpoint, if there is one")


if __name__ == "__main__":
    main()
