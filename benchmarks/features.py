"""Measures features of videos in one command against shards of frames first, then the features of `mas-eval`.

    python benchmarks/features.py --videos DIR --weights RUN [--rounds 3] [--workers 2] [--out DIR]

prints a table and writes it to ``OUT/features.md``: seconds and clips per second of `mas-embed`, and of
`mas-labels make --frames-only --frames raw` followed by what `mas-eval` does with the shards, in alternating
rounds on a CPU; the share of time that `mas-embed` waits for decoding; and whether the features are equal.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch
from common import machine, table_parser, write_table

from mas_labels.cli.main import main as make_labels
from mas_labels.shards import open_shards
from mas_train.evaluation.features import Extraction, VideoFeatures, extract
from mas_train.inference.embed import EmbedResult, embed
from mas_train.inference.layers import backbone_features
from mas_train.inference.open_source import open_source
from mas_train.inference.options import EmbedOptions, SourceOptions
from mas_train.weights.backbone_weights import Weights, load_weights

CPU = torch.device("cpu")
LAYER = "pooled"
ROWS = {"embed": "`mas-embed`", "shards": "`mas-labels make --frames-only --frames raw`, then `mas-eval`"}


def embed_videos(weights: Weights, videos: Path, out: Path, workers: int) -> EmbedResult:
    """Do the work of `mas-embed`."""
    source = open_source([videos], SourceOptions(), weights.geometry)
    return embed(weights, source, EmbedOptions(layer=LAYER, per="video"), out, CPU, workers, 32)


def through_shards(weights: Weights, videos: Path, out: Path, workers: int) -> VideoFeatures:
    """Make shards of raw frames, and compute what `mas-eval` does of them."""
    options = ["--frames-only", "--frames", "raw", "--workers", str(workers), "--manifest", "folder"]
    arguments = ["make", *options, "--root", str(videos), "--out", str(out)]
    click.Command.main(make_labels, arguments, standalone_mode=False)  # its own `main` would end the program
    output = backbone_features(weights.backbone, LAYER)
    extraction = Extraction(CPU, workers)
    return extract(weights.backbone, output, LAYER, weights.pixel_mean, open_shards(out), extraction)


def main() -> None:
    """Measure both in turn, and write the table."""
    parser = table_parser(__doc__)
    parser.add_argument("--videos", type=Path, required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    weights = load_weights(args.weights)
    seconds: dict[str, list[float]] = {"embed": [], "shards": []}
    waiting = []
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            result = embed_videos(weights, args.videos, Path(folder, "f.npz"), args.workers)
            seconds["embed"].append(time.perf_counter() - began)
            waiting.append(result.waiting)
            began = time.perf_counter()
            expected = through_shards(weights, args.videos, Path(folder, "shards"), args.workers)
            seconds["shards"].append(time.perf_counter() - began)
            found = np.load(Path(folder, "f.npz"))
            rows = [int(np.flatnonzero(found["video"] == path)[0]) for path in expected.paths]
            equal = np.array_equal(found["feature"][rows], expected.values)
    lines = [
        "# Features of videos with and without shards",
        "",
        f"{len(rows)} videos, {expected.clips} clips, {args.rounds} rounds in turns, {args.workers} workers, "
        f"{args.threads} thread of torch; {machine()}, torch {torch.__version__}.",
        "",
        "| | seconds, median | clips/s |",
        "|---|---|---|",
    ]
    for name, text in ROWS.items():
        median = statistics.median(seconds[name])
        lines.append(f"| {text} | {median:.1f} | {expected.clips / median:.1f} |")
    ratios = [second / first for first, second in zip(*seconds.values(), strict=True)]
    lines += [
        "",
        f"The second takes {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times "
        f"as long. `mas-embed` waits for decoding {statistics.median(waiting):.0%} of its time. The features "
        f"are {'equal to the last bit' if equal else 'NOT EQUAL'}.",
    ]
    write_table(args.out / "features.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
