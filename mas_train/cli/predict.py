"""The command line of `mas-predict`: it parses options and calls the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mas_labels.errors import ConfigError, reason_of
from mas_labels.system.command_line import (
    EXIT_FAILURES,
    PATH,
    SETTINGS,
    run_command,
    take_fields,
    version_option,
)
from mas_labels.system.files import write_text
from mas_train.cli.options import (
    choose_compute,
    compute_options,
    network_options,
    require_picture,
    require_writable,
    source_options,
)
from mas_train.inference.options import SourceOptions

if TYPE_CHECKING:
    from mas_train.inference.predict import VideoScores
    from mas_train.inference.prediction_table import Row

FORMATS: Final = ("table", "json")


@click.command(context_settings=SETTINGS)
@network_options
@click.option("--top", type=click.IntRange(1), default=5, help="Number of classes to show.")
@click.option("--clips", "with_clips", is_flag=True, help="Show the scores of each clip, too, with its time.")
@click.option(
    "--format",
    "output",
    type=click.Choice(FORMATS),
    help="Form of the predictions.  [default: json for --out *.json, else table]",
)
@click.option("--out", type=PATH, help="File to write.  [default: standard output]")
@click.option(
    "--plot", type=PATH, help="PNG file to draw: scores over seconds, of up to 8 videos and 5 classes."
)
@source_options
@compute_options
@version_option
def command(
    paths: tuple[Path, ...],
    weights: str,
    pixel_mean: tuple[float, float, float] | None,
    batch_size: int,
    top: int,
    with_clips: bool,
    output: str | None,
    out: Path | None,
    plot: Path | None,
    device: str,
    workers: int | None,
    threads: int | None,
    **values: Any,
) -> int:
    """Name the classes of PATHS: videos, folders of videos, lists of videos (.txt, .csv), or shards.

    The network is one of mas-finetune. The scores of a video are the mean over its clips, as in mas-eval
    accuracy. Videos that cannot be used are shown with the reason. Exit status: 0 success, 1 an error,
    2 wrong usage, 3 some videos failed.
    """
    options = SourceOptions(**take_fields(SourceOptions, values))
    if out is not None:
        require_writable(out)
    if plot is not None:
        require_picture(plot)
    compute = choose_compute(device, threads)
    from mas_train.inference.open_source import open_source
    from mas_train.inference.predict import require_trained_geometry, score_source
    from mas_train.weights.backbone_weights import describe_unfinished, load_classifier, load_weights

    network = load_weights(weights, pixel_mean=pixel_mean)
    model = load_classifier(network)
    source = open_source(paths, options, network.geometry)
    require_trained_geometry(network, source.geometry, " ".join(map(str, paths)))
    for note in (*source.notes, *describe_unfinished(network)):
        click.echo(note, err=True)
    scores = score_source(network, model, source, batch_size, workers, compute)
    classes = list(network.content["classes"])
    rows, drawn = _collect(scores, classes, top, with_clips, source.videos if plot is not None else ())
    output = output or ("json" if out is not None and out.suffix == ".json" else "table")
    _write(rows, weights, classes, output, out)
    if plot is not None:
        _draw(drawn, sum(row["clips"] > 0 for row in rows), classes, top, plot)
    return EXIT_FAILURES if source.failures else 0


def _collect(
    scores: Iterable[VideoScores],
    classes: Sequence[str],
    top: int,
    with_clips: bool,
    drawn_from: Sequence[str],
) -> tuple[list[Row], list[VideoScores]]:
    """Return the predictions as rows, and the scores of a few evenly spread videos, which are drawn."""
    from mas_labels.shards import spread_evenly
    from mas_train.inference.prediction_table import describe_video
    from mas_train.inference.score_plot import MAX_PANELS

    places = spread_evenly(len(drawn_from), MAX_PANELS).tolist() if drawn_from else []
    chosen = {drawn_from[place] for place in places}
    rows: list[Row] = []
    drawn: list[VideoScores] = []
    for video in scores:
        rows.append(describe_video(video, classes, top, with_clips))
        if video.video in chosen and video.clips:
            drawn.append(video)
    return rows, drawn


def _write(rows: Sequence[Row], weights: str, classes: Sequence[str], output: str, out: Path | None) -> None:
    """Write the predictions to a file, or to standard output."""
    from mas_train.inference.prediction_table import predictions_as_json, predictions_as_table

    is_json = output == "json"
    text = predictions_as_json(weights, classes, rows) if is_json else predictions_as_table(rows)
    if out is None:
        click.echo(text)
        return
    try:
        write_text(out, text + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write {out} ({reason_of(error)}): give another --out") from error
    click.echo(f"wrote {out}")


def _draw(drawn: Sequence[VideoScores], videos: int, classes: Sequence[str], top: int, plot: Path) -> None:
    """Draw scores over seconds; say how many of the videos with clips are drawn if not all are."""
    from mas_train.inference.score_plot import draw_scores

    if not drawn:
        click.echo(f"{plot} is not drawn: none of the videos chosen for it has a clip", err=True)
        return
    draw_scores(drawn, classes, top, plot)
    limit = f": {len(drawn)} of {videos} videos, evenly spread" if videos > len(drawn) else ""
    click.echo(f"wrote {plot}{limit}", err=True)


def main(args: list[str] | None = None) -> None:
    """Run `mas-predict` and exit with its status."""
    run_command(command, "mas-predict", args, "nothing was written")


if __name__ == "__main__":
    main()
