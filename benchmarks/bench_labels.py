"""Measures the time and bytes of each stage of labelling, and labelling with OpenCV's TV-L1 for comparison.

    python benchmarks/bench_labels.py --videos DIR [--count 6] [--opencv-count 1] [--out benchmarks]

prints the tables and writes them to ``OUT/labels.md``: of the default configuration (50 views per clip, JPEG
frames, Mu and Mv). Run it on an idle machine. `bench_workers.py` measures `mas-labels make` on more videos.
"""

from __future__ import annotations

from pathlib import Path

import stages
from common import choose_videos, machine, table_parser, write_table
from process_watch import Run, make

from mas_labels.labels.views import view_table


def opencv_text(ours: Run, opencv: Run) -> str:
    """Compare the same command with our flow and with OpenCV's."""
    return (
        f"`mas-labels make` on {ours.clips} clips, start-up included: {ours.seconds:.1f} s; with OpenCV's "
        f"TV-L1 (`--flow tvl1-opencv`): {opencv.seconds:.1f} s, {ours.rate / opencv.rate:.1f} times as long."
    )


def stage_table(times: stages.StageTimes) -> str:
    """Format the time per clip of each stage."""
    total = sum(times.milliseconds(stage) for stage in stages.STAGES)
    lines = ["| stage | ms per clip | share |", "|---|---|---|"]
    for stage in stages.STAGES:
        spent = times.milliseconds(stage)
        lines.append(f"| {stage} | {spent:.1f} | {100 * spent / total:.1f} % |")
    other = total - times.milliseconds(stages.FLOW) - times.milliseconds(stages.LABELS)
    lines += [
        f"| all | {total:.1f} | 100 % |",
        f"| all but flow and labels | {other:.1f} | {100 * other / total:.1f} % |",
    ]
    return "\n".join(lines)


def bytes_table(times: stages.StageTimes) -> str:
    """Format the bytes per clip of each part of a shard."""
    lines = ["| part | kB per clip |", "|---|---|"]
    lines += [f"| {part} | {size / 1e3:.1f} |" for part, size in times.bytes.items()]
    return "\n".join(lines)


def dense_text(times: stages.StageTimes) -> str:
    """Format the cost of other tables of views and of the other convention."""
    views, few = len(view_table(1)), len(view_table(8))
    return "\n".join(
        [
            "| labels | ms per clip | kB per clip |",
            "|---|---|---|",
            f"| {few} views (`--view-stride 8`, the default) | {times.milliseconds(stages.LABELS):.1f} "
            f"| {times.bytes['labels'] / 1e3:.1f} |",
            f"| {views} views (`--view-stride 1`): every crop and its mirror image "
            f"| {times.milliseconds(stages.DENSE):.1f} | {times.dense_label_bytes / 1e3:.1f} |",
            f"| {few} views, `--convention authors` | {times.milliseconds(stages.AUTHORS):.1f} | as above |",
        ]
    )


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, required=True, help="folder of videos, searched recursively")
    parser.add_argument("--count", type=int, default=6, help="number of videos, spread evenly")
    parser.add_argument("--opencv-count", type=int, default=1, help="number labelled with OpenCV's flow, too")
    options = parser.parse_args()
    videos = choose_videos(options.videos, options.count)
    times = stages.measure(videos)
    few = choose_videos(options.videos, options.opencv_count)
    text = "\n\n".join(
        [
            f"{len(videos)} videos of `{options.videos.name}`, {times.clips} clips; {machine()}.",
            f"`python benchmarks/bench_labels.py --videos {options.videos.name} --count {options.count} "
            f"--opencv-count {options.opencv_count}`",
            f"## Time of each stage\n\n{stage_table(times)}",
            "One process; each stage is timed separately. [Videos to finished shards](workers.md).",
            f"## With OpenCV's TV-L1\n\n{opencv_text(make(few), make(few, flow='tvl1-opencv'))}",
            f"## Bytes of each part\n\n{bytes_table(times)}",
            f"## Views\n\n{dense_text(times)}\n",
        ]
    )
    write_table(options.out / "labels.md", text)


if __name__ == "__main__":
    main()
