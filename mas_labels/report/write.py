"""Writes the page about a set of shards, a training run, or both: one HTML file that opens offline."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from mas_labels.errors import ConfigError, reason_of
from mas_labels.names import printable
from mas_labels.report import shard_sections
from mas_labels.report.page import page
from mas_labels.report.run_sections import run_sections
from mas_labels.report.stability import stability_section
from mas_labels.report.summary import summarise
from mas_labels.shards.shard_set import ShardSet
from mas_labels.system.figures import new_figure
from mas_labels.system.files import atomic_path


def write_report(
    shards: ShardSet | None, out_path: Path, run_dir: Path | None = None, results: Sequence[Path] = ()
) -> None:
    """Write the page.

    Parameters
    ----------
    shards
        The shards, as `mas_labels.open_shards` gives them; None for a page about a run alone.
    out_path
        The HTML file; replaced if it exists.
    run_dir
        Folder of a training run: its curves, R^2 of each label, and the results of `mas-eval` in it.
    results
        More folders with results and pictures of `mas-eval`.

    Raises
    ------
    ConfigError
        If neither shards nor a run are given, or the page cannot be written.
    DatasetError
        If `run_dir` has no metrics, or a result is corrupt.
    MissingDependencyError
        If matplotlib is not installed.
    ShardError
        If a shard is corrupt.
    """
    if shards is None and run_dir is None:
        raise ConfigError("nothing to report: name shards, or a training run (--run), or both")
    run = run_sections(Path(run_dir), results) if run_dir is not None else []
    out_path = Path(out_path)
    try:
        with atomic_path(out_path) as hidden:
            hidden.touch()  # fails before any work if the path cannot be written
            hidden.write_text(_page_text(shards, run, run_dir), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write the page {out_path}: {reason_of(error)}. Choose a writable path"
        ) from error


def _page_text(shards: ShardSet | None, run: list[str], run_dir: Path | None) -> str:
    """Return the whole page."""
    if shards is None:
        title = f"Training run {printable(Path(run_dir or '').resolve().name)}"
        return page(title, [f"<h1>{html.escape(title)}</h1>", *run])
    new_figure((1, 1))  # fails before any work if matplotlib is missing
    summary, title = summarise(shards), shard_sections.page_title(shards)
    return page(
        title,
        [
            shard_sections.overview_section(title, shards, summary),
            *run,
            shard_sections.failures_section(summary),
            shard_sections.motion_section(shards, summary),
            shard_sections.labels_section(shards, summary),
            stability_section(summary.stability),
            shard_sections.cuts_section(shards, summary),
            shard_sections.dark_bars_section(shards, summary),
            shard_sections.clips_section(shards, summary),
            shard_sections.classes_section(summary),
            shard_sections.storage_section(shards, summary),
            shard_sections.configuration_section(shards, summary),
        ],
    )
