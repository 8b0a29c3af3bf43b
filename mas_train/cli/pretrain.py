"""The command line of `mas-train`: it parses options and calls the library."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from mas_labels.system.command_line import (
    SETTINGS,
    PathsCommand,
    add_options,
    run_command,
    take_fields,
    version_option,
)
from mas_labels.system.signals import EXIT_SIGNAL
from mas_train.cli.config_option import config_option, refuse_unused, report_config, stated_recipe
from mas_train.cli.options import (
    compute_options,
    preset_option,
    recipe_option,
    speed_options,
    training_option,
    where_option,
)
from mas_train.recipe import PRESETS, Recipe, make_recipe
from mas_train.training.config_file import PRETRAIN_COMMAND
from mas_train.training.options import TrainingOptions

optimisation_options = add_options(
    recipe_option("epochs"),
    recipe_option("batch_size"),
    recipe_option("learning_rate", "--lr"),
    recipe_option("schedule"),
    recipe_option("warmup_epochs"),
    recipe_option("optimizer"),
    recipe_option("momentum"),
    recipe_option("weight_decay"),
    recipe_option("weight_decay_on"),
    recipe_option("bias_rate"),
    recipe_option("clip_grad_norm"),
    recipe_option("seed"),
)
network_options = add_options(
    recipe_option("backbone"),
    recipe_option("width"),
    recipe_option("input_stride"),
    recipe_option("input_frames"),
    recipe_option("fc_width"),
    recipe_option("dropout"),
    recipe_option("initialisation", "--init"),
)
target_options = add_options(
    recipe_option("targets"),
    recipe_option("target_scale"),
    recipe_option("coding", "--coding", "--orientation"),
    recipe_option("motion_weight"),
    recipe_option("appearance_weight"),
    recipe_option("shuffle_labels"),
)
measuring_options = add_options(
    recipe_option("holdout"),
    training_option("val_shards"),
    training_option("val_steps"),
    training_option("val_clips"),
    training_option("probe_shards"),
    training_option("probe_clips"),
    training_option("best_by"),
    training_option("log_steps"),
    training_option("curves"),
    training_option("tensorboard"),
)
order_options = add_options(
    recipe_option("shuffle"), recipe_option("shuffle_window"), training_option("accumulate")
)


@click.command(cls=PathsCommand, context_settings=SETTINGS)
@config_option(PRETRAIN_COMMAND)
@training_option("shards", required=False)
@training_option("incomplete")
@where_option
@training_option("out", default=Path("runs/pretrain"))
@training_option("resume")
@preset_option(PRESETS)
@training_option("max_steps", unset="the recipe's epochs")
@training_option("checkpoint_steps")
@optimisation_options
@network_options
@target_options
@order_options
@measuring_options
@compute_options
@speed_options
@click.option("--print-config", is_flag=True, help="Print the recipe as JSON and exit.")
@version_option
@click.pass_context
def command(context: click.Context, preset: str, print_config: bool, **values: Any) -> int:
    """Pre-train a network on SHARDS by predicting the statistics of motion and appearance.

    Writes config.yaml, metrics.csv, heldout.csv, curves.png and checkpoints into --out. Exit status:
    0 success, 1 an error, 2 wrong usage; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM, after a
    checkpoint. SIGUSR1 saves a checkpoint and continues.
    """
    recipe = make_recipe(preset, **stated_recipe(context), **take_fields(Recipe, values))
    if print_config:
        click.echo(json.dumps(asdict(recipe), indent=2))
        return 0
    if not values["shards"]:
        raise click.UsageError("Missing option '--shards': name the shards, such as --shards labels/*.h5")
    options = TrainingOptions(**take_fields(TrainingOptions, values))
    has_heldout = recipe.holdout or options.val_shards
    refuse_unused(has_heldout, ("val_steps", "val_clips"), "without --holdout or --val-shards")
    refuse_unused(options.probe_shards, ("probe_clips",), "without --probe-shards")
    refuse_unused(recipe.shuffle == "window", ("shuffle_window",), "without --shuffle window")
    report_config(context)
    from mas_train.training.pretrain import pretrain

    result = pretrain(recipe, options, say=click.echo)
    return 0 if result.signal_number is None else EXIT_SIGNAL + result.signal_number


def main(args: list[str] | None = None) -> None:
    """Run `mas-train` and exit with its status."""
    run_command(command, "mas-train", args, "--resume continues from the last checkpoint, if there is one")


if __name__ == "__main__":
    main()
