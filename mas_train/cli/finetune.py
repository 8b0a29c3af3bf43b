"""The command line of `mas-finetune`: it parses options and calls the library."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.errors import ConfigError
from mas_labels.system.command_line import (
    SETTINGS,
    PathsCommand,
    field_option,
    run_command,
    take_fields,
    version_option,
)
from mas_labels.system.signals import EXIT_SIGNAL
from mas_train.cli.config_option import (
    config_option,
    given_config,
    given_options,
    is_typed,
    refuse_unused,
    report_config,
    stated_recipe,
)
from mas_train.cli.options import (
    choose_compute,
    command_line,
    compute_options,
    out_option,
    pixel_mean_option,
    preset_option,
    recipe_option,
    scratch_run_option,
    shards_option,
    speed_options,
    training_option,
    where_option,
)
from mas_train.networks import NETWORK_FIELDS
from mas_train.recipe import SCRATCH, Recipe, make_recipe
from mas_train.training.config_file import FINETUNE_COMMAND
from mas_train.training.options import FINETUNE_PRESETS, FinetuneOptions

if TYPE_CHECKING:
    from mas_labels.shards import ShardSet
    from mas_train.weights.backbone_weights import Weights

finetune_option = partial(field_option, FinetuneOptions)
tuning_option = partial(recipe_option, presets=FINETUNE_PRESETS)


@click.command(cls=PathsCommand, context_settings=SETTINGS)
@config_option(FINETUNE_COMMAND)
@training_option("shards")
@shards_option("--test-shards", "Test shards: the model is tested on them at the end.", required=False)
@training_option("incomplete")
@where_option
@scratch_run_option
@out_option("runs/finetune")
@finetune_option("init", required=True)
@pixel_mean_option
@preset_option(
    FINETUNE_PRESETS, help="Recipe to start from: the paper's, its authors' code's, or one of today."
)
@finetune_option("frozen", "--freeze")
@finetune_option("label_fraction", "--labels")
@tuning_option("epochs")
@tuning_option("batch_size")
@tuning_option("learning_rate", "--lr")
@tuning_option("schedule")
@tuning_option("warmup_epochs")
@tuning_option("optimizer")
@tuning_option("weight_decay")
@tuning_option("dropout")
@tuning_option("label_smoothing")
@tuning_option("colour_jitter")
@tuning_option("fc_width")
@recipe_option("width", help="Multiplier of the backbone's channels, with --init scratch.")
@recipe_option("backbone", help="Network to train, with --init scratch.")
@recipe_option("input_stride", help="1 or 2, as in mas-train, with --init scratch.")
@recipe_option("input_frames", help="Frames or their differences, with --init scratch.")
@field_option(Recipe, "seed")
@training_option("resume")
@compute_options
@speed_options
@version_option
@click.pass_context
def command(
    context: click.Context,
    shards: tuple[str, ...],
    test_shards: tuple[str, ...],
    incomplete: bool,
    scratch_run: str | None,
    out: Path,
    preset: str,
    device: str,
    workers: int | None,
    threads: int | None,
    resume: bool,
    **values: Any,
) -> int:
    """Fine-tune a network on SHARDS for action recognition, then test it.

    The convolutions come from --init; the three fully connected layers are new. Writes config.yaml,
    finetuned.pt and metrics.csv into --out; with --test-shards also accuracy.json, classes.csv and
    confusion.png. Exit status: 0 success, 1 an error, 2 wrong usage; 129, 130, 143 stopped by SIGHUP, SIGINT,
    SIGTERM (--resume continues).
    """
    options, changes = FinetuneOptions(**take_fields(FinetuneOptions, values)), take_fields(Recipe, values)
    refuse_unused(not options.frozen, ("dropout", "fc_width"), "with --freeze, which trains one linear layer")
    changes = {**stated_recipe(context), **changes}
    if options.init != SCRATCH:
        file = given_config(context)
        # not input_stride, which the file on an earlier version's model card states
        refused = {"width", "backbone", "input_frames"}
        by_hand = set() if file is None or file.is_of_run else file.recipe.keys() & refused
        if by_hand or any(is_typed(context, name) for name in NETWORK_FIELDS):
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in NETWORK_FIELDS)
            raise ConfigError(f"{flags} are for --init scratch: leave them out, the checkpoint has its own")
        changes = {name: value for name, value in changes.items() if name not in NETWORK_FIELDS}
    if is_typed(context, "init") and not is_typed(context, "pixel_mean"):
        changes.pop("pixel_mean", None)  # a file's is that of its own --init
    from mas_train.evaluation.accuracy import evaluate_accuracy, load_scratch_run
    from mas_train.evaluation.protocol import make_evaluation
    from mas_train.evaluation.results import save_and_show
    from mas_train.training.finetune import finetune
    from mas_train.training.finetune_state import FinetuneJob

    report_config(context)
    where = choose_compute(device, threads)
    train, test, leaks = open_data(shards, test_shards, incomplete, changes.get("where", ""))
    weights, recipe = load_start(options.init, preset, changes)
    require_same_start(context, weights)
    speed = (values["memory_format"], values["compile"], values["fused"])
    job = FinetuneJob(
        *(recipe, options, train, out, where, workers, dict(weights.pretraining), *speed),
        *(test, given_options(context)),
    )
    if scratch_run is not None:
        if test is None:
            raise ConfigError("--scratch-run is compared in the test: give --test-shards, too")
        load_scratch_run(scratch_run, job.origin)  # refuses before any work
    _, signal_number = finetune(job, weights, resume, click.echo)
    if signal_number is not None:
        return EXIT_SIGNAL + signal_number
    if test is not None:
        typed = command_line("mas-finetune")
        evaluation = make_evaluation(str(out), out, where, workers, typed, "pooled", False)
        click.echo(save_and_show(evaluate_accuracy(evaluation, test, scratch_run, leaks), out))
    return 0


def open_data(
    shards: tuple[str, ...], test_shards: tuple[str, ...], incomplete: bool, where: str
) -> tuple[ShardSet, ShardSet | None, list[str]]:
    """Open training shards, of which filters choose clips, and test shards; print warnings about them.

    The last of what it returns are sentences about leaks between the two.
    """
    from mas_train.data.class_match import match_classes
    from mas_train.data.few_labels import classes_to_learn
    from mas_train.data.leakage import find_shard_leaks
    from mas_train.data.training_shards import choose_clips, incomplete_warnings, open_training_shards

    train, lines = choose_clips(open_training_shards(shards, incomplete), where)
    for line in lines:
        click.echo(line)
    if unclassed := sum(video.class_index < 0 for video in train.videos):
        click.echo(f"{unclassed} training videos without a class are left out")
    test = open_training_shards(test_shards, incomplete) if test_shards else None
    for warning in incomplete_warnings([train] if test is None else [train, test]):
        click.echo(warning, err=True)
    leaks: list[str] = []
    if test is not None:
        leaks = find_shard_leaks(train, test)
        match = match_classes(classes_to_learn(train, where), test)
        for warning in (*match.warnings(), *leaks):
            click.echo(f"warning: {warning}", err=True)
    return train, test, leaks


def load_start(init: str, preset: str, changes: dict[str, Any]) -> tuple[Weights, Recipe]:
    """Load the weights to start from; return them, and the recipe with the entries of their backbone."""
    from mas_train.weights.backbone_weights import (
        backbone_entries,
        describe_unfinished,
        known_recipe,
        load_weights,
    )

    mean = changes.pop("pixel_mean", None)
    random_network = {name: changes.pop(name) for name in NETWORK_FIELDS if name in changes}
    weights = load_weights(init, seed=changes["seed"], pixel_mean=mean, **random_network)
    for note in describe_unfinished(weights):
        click.echo(note, err=True)
    schedule = make_recipe(preset, FINETUNE_PRESETS, **changes)
    return weights, known_recipe({**vars(schedule), **backbone_entries(weights.recipe)})


def require_same_start(context: click.Context, weights: Weights) -> None:
    """Raise `ConfigError` if the weights of the file's --init are not those that its run started from."""
    from mas_train.weights.backbone_weights import weights_digest

    file = given_config(context)
    if file is None or any(is_typed(context, name) for name in ("init", "seed", *NETWORK_FIELDS)):
        return
    expected = file.facts.get("initial_weights")
    if expected is not None and weights_digest(weights.backbone) != expected:
        raise ConfigError(
            f"the weights of {weights.source} are not those that the run of {file.path} started from: "
            "restore them, or give --init to take others"
        )


def main(args: list[str] | None = None) -> None:
    """Run `mas-finetune` and exit with its status."""
    run_command(command, "mas-finetune", args, "--resume continues after the last whole epoch")


if __name__ == "__main__":
    main()
