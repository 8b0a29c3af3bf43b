"""The commands of `mas-labels` that read finished shards: `verify` and `failures`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mas_labels.cli.common import follow_links_option, json_option, shards_argument, video_timeout_option
from mas_labels.system.command_line import EXIT_UNAVAILABLE, EXIT_UNSOUND, field_option
from mas_labels.verify.options import Checks

if TYPE_CHECKING:
    from mas_labels.verify.run import ShardReport


VERDICTS = {True: "ok ", False: "BAD", None: "CANNOT READ"}
"""Word for each value of `mas_labels.verify.run.ShardReport.is_sound`."""
EXIT_STATUS = {True: 0, False: EXIT_UNSOUND, None: EXIT_UNAVAILABLE}
checks_option = partial(field_option, Checks)


@click.command()
@shards_argument
@checks_option("deep")
@checks_option("recompute")
@checks_option("root")
@checks_option("flow_from")
@follow_links_option
@checks_option("seed")
@video_timeout_option
@click.option("--workers", type=click.IntRange(1), default=1, help="Number of processes.")
@json_option
def verify(shards: tuple[Path, ...], workers: int, as_json: bool, **values: Any) -> int:
    """Check that every bit of SHARDS (files or folders) is as it was written.

    Always: the digest of the whole file, the structure, all checksums and the content hash. Exit status: 0
    all are sound, 1 nothing could be checked, 2 wrong usage, 5 at least one is not sound, 6
    no problem was found, but some could not be read now ("CANNOT READ": no permission, an I/O error, a
    missing video).
    """
    checks = Checks(**values)
    if checks.recompute and checks.root is None:
        raise click.UsageError("--recompute needs --root, the folder of the videos")
    from mas_labels.plan.completeness import find_incomplete
    from mas_labels.shards.opening import find_shards
    from mas_labels.verify.run import verify_shards

    paths = find_shards(shards)
    reports = []
    for report in verify_shards(paths, checks, workers):
        reports.append(report)
        if not as_json:
            click.echo(f"{VERDICTS[report.is_sound]} {report.path}: {report.clips} clips")
            for problem in (*report.problems, *filter(None, [report.unavailable])):
                click.echo(f"    {problem}")
    sound = [report for report in reports if report.is_sound]
    recomputed = sum(report.recomputed for report in reports)
    incomplete = [str(folder) for folder in find_incomplete(paths)]
    if as_json:
        content = {
            "sound": _overall(reports),
            "incomplete": incomplete,
            "shards": [report.as_dict() for report in reports],
        }
        click.echo(json.dumps(content, indent=2))
    else:
        for text in incomplete:
            click.echo(f"warning: {text}")
        click.echo(f"{len(sound)} of {len(reports)} shards are sound; {recomputed} clips labelled again")
    return EXIT_STATUS[_overall(reports)]


def _overall(reports: Sequence[ShardReport]) -> bool | None:
    """Return False if one is not sound, else None if one could not be read, else True."""
    verdicts = [report.is_sound for report in reports]
    return False if False in verdicts else None if None in verdicts else True


@click.command()
@shards_argument
@json_option
def failures(shards: tuple[Path, ...], as_json: bool) -> None:
    """List the videos that failed while SHARDS (files or folders) were made, with the reasons."""
    from mas_labels.shards.opening import find_shards
    from mas_labels.shards.reader import Shard
    from mas_labels.shards.tables import read_failures

    rows: list[dict[str, str]] = []
    for path in find_shards(shards):
        with Shard(path) as shard:
            rows += [{**failure._asdict(), "shard": str(path)} for failure in read_failures(shard)]
    counts = Counter(f"{row['stage']}/{row['code']}" for row in rows)
    if as_json:
        click.echo(json.dumps({"counts": counts, "failures": rows}, indent=2))
        return
    for row in rows:
        click.echo(f"{row['video']!r}: {row['stage']}/{row['code']}: {row['message']} [{row['shard']}]")
    for reason, count in counts.most_common():
        click.echo(f"{count:6d} {reason}")
    click.echo(f"{len(rows):6d} videos failed")
