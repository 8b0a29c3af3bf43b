"""The command line of `mas-eval`: it parses options and calls the library."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.system.command_line import (
    PATH,
    SETTINGS,
    PathsCommand,
    add_options,
    field_option,
    run_command,
    version_option,
)
from mas_train.cli.config_option import refuse_unused
from mas_train.cli.options import (
    choose_compute,
    command_line,
    compute_options,
    out_option,
    pixel_mean_option,
    scratch_run_option,
    shards_option,
)
from mas_train.evaluation.linear import ProbeOptions, require_sklearn
from mas_train.inference.options import FEATURE_KINDS

if TYPE_CHECKING:
    from mas_train.evaluation.protocol import Evaluation


@click.group(context_settings=SETTINGS)
@version_option
def command() -> None:
    """Evaluate networks by the protocols of the paper's section 4.

    Commands that measure write <protocol>.json and pictures into --out, and print their results next to the
    published ones. Features are computed once and cached in the folder "features" next to --out, for all
    commands that write there. Exit status: 0 success, 1 an error, 2 wrong usage.
    """


checkpoint_option = add_options(
    click.option(
        "--checkpoint",
        required=True,
        help="A run's folder, a weights folder, a checkpoint, or 'scratch' for random weights.",
    ),
    pixel_mean_option,
)
baseline_option = click.option(
    "--baseline/--no-baseline", default=True, help="Evaluate the network before its first step as well."
)
svm_option = click.option(
    "--svm-c",
    type=click.FloatRange(0, min_open=True),
    help="Weight of errors against the margin in the SVM.  [default: chosen in folds of the training part]",
)
probe_option = partial(field_option, ProbeOptions)


def features_option(default: str) -> Any:
    """Make the option of the kind of features."""
    text = (
        "Features: the last convolution pooled as the fully connected layers see it, its mean over all "
        "positions, or, as a control, averaged pixels."
    )
    return click.option("--features", "kind", type=click.Choice(FEATURE_KINDS), default=default, help=text)


def _prepare(
    checkpoint: str,
    out: Path,
    device: str,
    workers: int | None,
    threads: int | None,
    kind: str,
    baseline: bool,
    pixel_mean: tuple[float, float, float] | None = None,
    needs_sklearn: bool = False,
) -> Evaluation:
    """Load the weights to evaluate and create the folder of results."""
    from mas_train.evaluation.protocol import make_evaluation

    where = choose_compute(device, threads)
    if needs_sklearn:  # a missing torch has been told by now
        require_sklearn()
    typed = command_line("mas-eval")
    return make_evaluation(checkpoint, out, where, workers, typed, kind, baseline, pixel_mean)


@command.command(cls=PathsCommand)
@checkpoint_option
@shards_option("--shards", "Test shards; frames without labels are enough.")
@scratch_run_option
@out_option("results/accuracy")
@compute_options
def accuracy(
    checkpoint: str, shards: tuple[str, ...], scratch_run: str | None, out: Path, **compute: Any
) -> None:
    """Video-level accuracy of a fine-tuned model: top-1, top-5, per class, confusion matrix."""
    evaluation = _prepare(checkpoint, out, kind="pooled", baseline=False, **compute)
    from mas_labels.shards import open_shards
    from mas_train.evaluation.accuracy import evaluate_accuracy
    from mas_train.evaluation.results import save_and_show

    click.echo(save_and_show(evaluate_accuracy(evaluation, open_shards(list(shards)), scratch_run), out))


@command.command(cls=PathsCommand)
@checkpoint_option
@shards_option("--shards", "Test shards: their videos are the queries.")
@shards_option("--gallery", "Training shards: their videos are retrieved.")
@features_option("mean")
@baseline_option
@out_option("results/retrieval")
@compute_options
def retrieval(
    checkpoint: str, shards: tuple[str, ...], gallery: tuple[str, ...], out: Path, **compute: Any
) -> None:
    """Nearest-neighbour retrieval: share of queries with their class among the k nearest videos."""
    evaluation = _prepare(checkpoint, out, **compute)
    from mas_labels.shards import open_shards
    from mas_train.evaluation.results import save_and_show
    from mas_train.evaluation.retrieval import evaluate_retrieval

    train, test = open_shards(list(gallery)), open_shards(list(shards))
    click.echo(save_and_show(evaluate_retrieval(evaluation, train, test), out))


@command.command(cls=PathsCommand)
@checkpoint_option
@shards_option("--shards", "Test shards.")
@shards_option("--train", "Training shards; without them: leave-one-group-out on the test shards.", False)
@features_option("pooled")
@probe_option("few")
@probe_option("draws")
@probe_option("c", unset="chosen in folds of the training part")
@baseline_option
@out_option("results/probe")
@compute_options
def probe(
    checkpoint: str,
    shards: tuple[str, ...],
    train: tuple[str, ...],
    few: float,
    draws: int,
    c: float | None,
    out: Path,
    **compute: Any,
) -> None:
    """Linear classifier on frozen features, with all and few labels; or leave-one-group-out."""
    options = ProbeOptions(few, draws, c)
    refuse_unused(train, ("few", "draws"), "without --train")
    evaluation = _prepare(checkpoint, out, needs_sklearn=True, **compute)
    from mas_labels.shards import open_shards
    from mas_train.evaluation.probe import evaluate_groups, evaluate_probe
    from mas_train.evaluation.results import save_and_show

    test = open_shards(list(shards))
    if train:
        result = evaluate_probe(evaluation, open_shards(list(train)), test, options)
    else:
        result = evaluate_groups(evaluation, test, c)
    click.echo(save_and_show(result, out))


@command.command(cls=PathsCommand)
@checkpoint_option
@shards_option("--shards", "Shards of ASLAN, made with --frames-only --clip-stride 8.")
@click.option("--view2", type=PATH, help="View2.mat: the ten folds that results are reported on.")
@click.option(
    "--view1", nargs=2, type=PATH, help="train_pairs.mat and test_pairs.mat instead, for development."
)
@features_option("pooled")
@svm_option
@baseline_option
@out_option("results/aslan")
@compute_options
def aslan(
    checkpoint: str,
    shards: tuple[str, ...],
    view2: Path | None,
    view1: tuple[Path, Path] | None,
    svm_c: float | None,
    out: Path,
    **compute: Any,
) -> None:
    """Action similarity on ASLAN: 12 (dis)similarities, linear SVM, accuracy, AUC, ROC curve."""
    if (view1 is None) == (view2 is None):
        raise click.UsageError(
            "expected pairs: give either --view2 View2.mat or --view1 train_pairs.mat test_pairs.mat"
        )
    if compute["kind"] == "pixels":
        raise click.UsageError(
            "--features pixels: similarities need numbers of 0 or more: take pooled or mean"
        )
    evaluation = _prepare(checkpoint, out, **compute)
    from mas_labels.shards import open_shards
    from mas_train.evaluation.aslan import evaluate_aslan
    from mas_train.evaluation.aslan_pairs import read_view1, read_view2
    from mas_train.evaluation.results import save_and_show

    view, pairs = (2, read_view2(view2)) if view2 is not None else (1, read_view1(*(view1 or ())))
    click.echo(save_and_show(evaluate_aslan(evaluation, open_shards(list(shards)), pairs, view, svm_c), out))


@command.command(cls=PathsCommand)
@checkpoint_option
@shards_option("--shards", "Shards of YUPENN, made with --frames-only --clip-stride 8.")
@features_option("pooled")
@svm_option
@baseline_option
@out_option("results/yupenn")
@compute_options
def yupenn(checkpoint: str, shards: tuple[str, ...], svm_c: float | None, out: Path, **compute: Any) -> None:
    """Dynamic scene recognition on YUPENN: linear SVM, leave-one-video-out."""
    evaluation = _prepare(checkpoint, out, needs_sklearn=True, **compute)
    from mas_labels.shards import open_shards
    from mas_train.evaluation.results import save_and_show
    from mas_train.evaluation.yupenn import evaluate_yupenn

    click.echo(save_and_show(evaluate_yupenn(evaluation, open_shards(list(shards)), svm_c), out))


@command.command(cls=PathsCommand)
@checkpoint_option
@shards_option("--shards", "Shards with Mu and Mv; without them the pictures of Mu and Mv stay empty.")
@click.option(
    "--clip", "clips", type=int, multiple=True, help="Number of a clip; many may follow.  [default: 0]"
)
@click.option("--out", type=PATH, default=Path("attention.png"), help="PNG file to write.")
@compute_options
def attention(
    checkpoint: str,
    shards: tuple[str, ...],
    clips: tuple[int, ...],
    out: Path,
    device: str,
    workers: int | None,
    threads: int | None,
    pixel_mean: tuple[float, float, float] | None,
) -> None:
    """Draw where the last convolution is active, next to the motion boundaries (figure 6)."""
    from mas_labels.shards import open_shards
    from mas_train.evaluation.attention import save_attention
    from mas_train.weights.backbone_weights import load_weights

    where = choose_compute(device, threads)
    weights = load_weights(checkpoint, pixel_mean=pixel_mean)
    save_attention(weights, open_shards(list(shards)), clips or (0,), where, out)
    click.echo(f"wrote {out}")


@command.command(cls=PathsCommand)
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    required=True,
    help="The run's folder.",
)
@shards_option("--shards", "Labelled shards, such as those the run was trained on.")
@shards_option("--queries", "Test shards: the nearest videos in --shards are drawn for each.", False)
@click.option("--clips", type=click.IntRange(1), default=4, help="Number of clips to draw attention maps of.")
@compute_options
def look(run: Path, shards: tuple[str, ...], queries: tuple[str, ...], clips: int, **compute: Any) -> None:
    """Draw the pictures of a run's page into its folder: attention, a map of features, neighbours."""
    evaluation = _prepare(str(run), run, kind="mean", baseline=False, **compute)
    from mas_labels.shards import open_shards
    from mas_train.evaluation.run_pictures import draw_run_pictures

    searching = open_shards(list(queries)) if queries else None
    for path in draw_run_pictures(evaluation, open_shards(list(shards)), searching, clips):
        click.echo(f"wrote {path}")
    click.echo(f"now: mas-labels report --run {shlex.quote(str(run))} --out run.html")


@command.command()
@click.argument("folders", nargs=-1, required=True, type=PATH)
def table(folders: tuple[Path, ...]) -> None:
    """Print the results in FOLDERS as the paper's tables 1 to 6, next to the published ones."""
    from mas_train.evaluation.results import read_results
    from mas_train.evaluation.tables import show_tables

    click.echo(show_tables(read_results(folders)))


def main(args: list[str] | None = None) -> None:
    """Run `mas-eval` and exit with its status."""
    run_command(command, "mas-eval", args, "finished features are kept")


if __name__ == "__main__":
    main()
