"""Compares clips/s of `mas_train.ViewDataset` in a DataLoader of torch with those of mas-train's own loader.

    python benchmarks/view_dataset.py --shards DIR [--workers 2] [--rounds 5] [--out benchmarks]

prints a table and writes it to ``OUT/view_dataset.md``. Each round reads all clips once with every loader,
one loader after the other, so that other work on the machine slows all of them; workers start before.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from common import table_parser, write_table
from torch.utils.data import DataLoader

from mas_labels.shards import ShardSet, open_shards
from mas_labels.system.linux import processor_name
from mas_train import ViewDataset, make_recipe
from mas_train.data.clips import ClipDataset, RunOrder
from mas_train.data.loader import load_batches

ROWS = {
    "mas-train's loader: whole clips, uint8": "mas-train",
    "`ViewDataset(shards, pixel_mean=None)`: views, uint8": "uint8",
    "`ViewDataset(shards)`: views, float32": "float32",
}


def endless(dataset: ViewDataset, workers: int, batch_size: int) -> Iterator[object]:
    """Yield batches of a DataLoader, epoch after epoch."""
    loader = DataLoader(
        dataset, batch_size, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )
    while True:
        yield from loader


def start_loaders(
    shards: ShardSet, workers: int, batch_size: int, rounds: int
) -> dict[str, Iterator[object]]:
    recipe = make_recipe("ucf101", batch_size=batch_size, epochs=rounds + 1)
    order = RunOrder(shards.lengths, recipe)
    return {
        "mas-train": load_batches(ClipDataset(shards), order, workers, torch.device("cpu")),
        "uint8": endless(ViewDataset(shards, pixel_mean=None), workers, batch_size),
        "float32": endless(ViewDataset(shards), workers, batch_size),
    }


def main() -> None:
    parser = table_parser(__doc__)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shards = open_shards(options.shards)
    loaders = start_loaders(shards, options.workers, options.batch_size, options.rounds)
    steps = -(-len(shards) // options.batch_size)
    rates: dict[str, list[float]] = {name: [] for name in loaders}
    for number in range(options.rounds + 1):
        for name, batches in loaders.items():
            began = time.perf_counter()
            for _ in range(steps):
                next(batches)
            if number:  # in the first round workers start, and files come into the system's cache
                rates[name].append(len(shards) / (time.perf_counter() - began))
    lines = [
        "# Reading views in one's own loop",
        "",
        f"{options.workers} workers, batches of {options.batch_size}, {len(shards)} clips with "
        f"{shards.config['frames']} frames, {options.rounds} rounds; {processor_name()}, load average "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, torch {torch.__version__}.",
        "",
        "| loader | clips/s, median | share of mas-train's, median and range over rounds |",
        "|---|---|---|",
    ]
    for text, name in ROWS.items():
        shares = [own / theirs for own, theirs in zip(rates[name], rates["mas-train"], strict=True)]
        spread = f"{statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
        lines.append(f"| {text} | {statistics.median(rates[name]):.0f} | {spread} |")
    write_table(options.out / "view_dataset.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
