"""The command line of `mas-finetune`: it parses; the library does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mas_labels.errors import ConfigError
from mas_labels.system.command_line import SETTINGS, PathsCommand, add_options, run_command, version_option
from mas_labels.system.signals import EXIT_SIGNAL
from mas_train.cli.options import (
    INCOMPLETE_OPTION,
    SCHEDULE_OPTION,
    SPEED_OPTIONS,
    Share,
    choose_compute,
    command_line,
    compute_options,
    out_option,
    scratch_run_option,
    shards_option,
)
from mas_train.recipe import BACKBONES, PRESETS

DROPOUT = 0.5
"""Of the fully connected layers: C3D's."""


@click.command(cls=PathsCommand, context_settings=SETTINGS)
@shards_option("--shards", "Training shards, folders of shards, or quoted patterns; many paths may follow.")
@shards_option("--test-shards", "Test shards: with them the model is tested at the end.", required=False)
@INCOMPLETE_OPTION
@scratch_run_option
@out_option("runs/finetune")
@click.option(
    "--init", required=True, help="Run or checkpoint whose convolutions are kept, or 'scratch' for none."
)
@click.option("--preset", type=click.Choice(list(PRESETS)), default="ucf101", help="Whose schedule is taken.")
@click.option("--freeze", "frozen", is_flag=True, help="Train one linear layer only: a linear probe.")
@click.option(
    "--labels", "label_fraction", type=Share(), default="100%", help="Share of each class's videos to use."
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over all clips.  [default: the preset's]")
@click.option("--batch-size", type=click.IntRange(1), help="Clips a step.  [default: the preset's]")
@click.option("--lr", "learning_rate", type=float, default=0.001, help="First learning rate.")
@SCHEDULE_OPTION
@click.option("--dropout", type=float, default=DROPOUT, help="Of the fully connected layers.")
@click.option("--fc-width", type=click.IntRange(1), help="Of the fully connected layers.  [default: 2048]")
@click.option("--width", type=float, help="Of a backbone from scratch.  [default: 1, the paper's]")
@click.option("--backbone", type=click.Choice(BACKBONES), help="From scratch.  [default: c3d, the paper's]")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of everything drawn at random.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out after its last whole epoch.")
@compute_options
@add_options(*SPEED_OPTIONS)
@version_option
def command(
    shards: tuple[str, ...],
    test_shards: tuple[str, ...],
    incomplete: bool,
    scratch_run: str | None,
    out: Path,
    init: str,
    preset: str,
    frozen: bool,
    label_fraction: float,
    width: float | None,
    backbone: str | None,
    resume: bool,
    device: str,
    workers: int,
    threads: int | None,
    memory_format: str | None,
    compile: bool,
    fused: bool,
    **changes: Any,
) -> int:
    """Fine-tune a network on SHARDS for action recognition, then test it.

    The convolutions come from --init, three fully connected layers are fresh. Writes finetuned.pt and
    metrics.csv into --out; with --test-shards accuracy.json, classes.csv and confusion.png. Exit status:
    0 done, 1 an error, 2 wrong usage; 129, 130, 143 stopped by SIGHUP, SIGINT, SIGTERM; --resume goes on.
    """
    from mas_train.data.class_match import match_classes
    from mas_train.data.leakage import find_shard_leaks
    from mas_train.data.training_shards import incomplete_warnings, open_training_shards
    from mas_train.evaluation.accuracy import evaluate_accuracy, load_scratch_run
    from mas_train.evaluation.protocol import make_evaluation
    from mas_train.evaluation.results import save_and_show
    from mas_train.recipe import make_recipe
    from mas_train.training.finetune import finetune
    from mas_train.training.finetune_state import FinetuneJob, FinetuneOptions
    from mas_train.weights.backbone_weights import SCRATCH, backbone_entries, known_recipe, load_weights

    if (width is not None or backbone is not None) and init != SCRATCH:
        raise ConfigError(
            "--width and --backbone are for --init scratch: leave them out, the checkpoint has its own"
        )
    where = choose_compute(device, threads)
    train = open_training_shards(shards, incomplete)
    test = open_training_shards(test_shards, incomplete) if test_shards else None
    for warning in incomplete_warnings([train] if test is None else [train, test]):
        click.echo(warning, err=True)
    leaks: list[str] = []
    if test is not None:
        leaks = find_shard_leaks(train, test)
        for warning in (*match_classes(train.classes, test).warnings(), *leaks):
            click.echo(f"warning: {warning}", err=True)
    weights = load_weights(init, width or 1.0, changes["seed"], backbone or "c3d")
    schedule = make_recipe(preset, **changes)
    recipe = known_recipe({**vars(schedule), **backbone_entries(weights.recipe)})
    options = FinetuneOptions(init, frozen, label_fraction)
    speed = (memory_format, compile, fused)
    job = FinetuneJob(recipe, options, train, out, where, workers, dict(weights.pretraining), *speed)
    if scratch_run is not None:
        if test is None:
            raise ConfigError("--scratch-run is for the test: give --test-shards, too")
        load_scratch_run(scratch_run, job.origin)  # refuses before the work
    _, signal_number = finetune(job, weights, resume, click.echo)
    if signal_number is not None:
        return EXIT_SIGNAL + signal_number
    if test is not None:
        words = command_line("mas-finetune")
        evaluation = make_evaluation(str(out), out, where, workers, words, "pooled", False)
        click.echo(save_and_show(evaluate_accuracy(evaluation, test, scratch_run, leaks), out))
    return 0


def main(args: list[str] | None = None) -> None:
    """Run `mas-finetune` and exit with its status."""
    run_command(command, "mas-finetune", args, "--resume goes on after the last whole epoch")


if __name__ == "__main__":
    main()
