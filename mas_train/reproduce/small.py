"""The experiment for two CPU cores, the paper's table 3 in small: does predicting statistics teach features.

Notes
-----
Departures from the paper, for the sake of time: a quarter of the channels, fully connected layers of 256;
every second frame and means of 2 x 2 pixels; batch norm and the initialisation of He et al.; targets of mean
0 and deviation 1, orientations as sine and cosine; a cosine schedule from ten times the rate, weight decay,
half the batch, 5 epochs; every second clip of a video. The recipe was chosen on split 1; split 2 confirms or
does not. What each of these choices does is measured by `mas_train.reproduce.pilots`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from mas_train.reproduce.plan import Step, label_step

CPU: Final = ("--device", "cpu", "--workers", "0", "--threads", "1")
STANDARD: Final = ("--target-scale", "standard", "--orientation", "sin-cos", "--lr", "0.01")


@dataclass(frozen=True)
class Condition:
    """One row of the tables: how a network is pre-trained."""

    title: str
    options: tuple[str, ...]
    epochs: int | None = None
    """None for those of the experiment."""


CONDITIONS: Final[Mapping[str, Condition]] = {
    "random": Condition(
        "random initialisation",
        ("--target-scale", "standard", "--orientation", "sin-cos", "--lr", "1e-12"),
        epochs=1,
    ),
    "motion": Condition("motion", (*STANDARD, "--targets", "motion")),
    "appearance": Condition("appearance", (*STANDARD, "--targets", "appearance")),
    "joint": Condition("joint", (*STANDARD, "--targets", "joint")),
    "shuffled": Condition(
        "joint, labels of other clips", (*STANDARD, "--targets", "joint", "--shuffle-labels")
    ),
    "raw": Condition(
        "joint, raw targets (the paper's)",
        ("--target-scale", "raw", "--orientation", "number", "--lr", "0.001", "--clip-grad-norm", "10"),
    ),
}
"""`random` takes one epoch at a rate of nothing: weights stay, batch norm gets statistics of real clips."""
PIXELS: Final = "pixels"
"""The control that asks no network."""


@dataclass(frozen=True)
class Split:
    """Which videos a network is trained and tested on, and which conditions are compared there."""

    name: str
    train: str
    test: str
    conditions: tuple[str, ...]
    finetuned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """All that decides the plan."""

    manifest: str = "ucf101"
    splits: tuple[Split, ...] = (
        Split("1", "train1", "test1", tuple(CONDITIONS), ("random", "joint", "motion", "appearance")),
        Split("2", "train2", "test2", ("random", "joint")),
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 5
    network: tuple[str, ...] = (
        *(
            "--backbone",
            "c3d-bn",
            "--width",
            "0.25",
            "--fc-width",
            "256",
            "--input-stride",
            "2",
            "--init",
            "he",
        ),
        *("--batch-size", "16", "--weight-decay", "0.0005", "--schedule", "cosine"),
    )
    labels: tuple[str, ...] = ("--clip-stride", "32", "--frames", "raw", "--no-store-boundaries")
    finetune: tuple[str, ...] = (
        *(
            "--fc-width",
            "256",
            "--batch-size",
            "16",
            "--lr",
            "0.01",
            "--schedule",
            "cosine",
            "--dropout",
            "0.5",
        ),
    )
    shares: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"all": ("--epochs", "3"), "few": ("--labels", "10%", "--epochs", "8")}
    )
    """Shares of the labels that networks are fine-tuned with."""
    weizmann: bool = True
    has_lists: bool = False
    """Whether ``$SPLITS`` is given."""

    @property
    def rows(self) -> list[tuple[Split, str, int]]:
        """Split, condition and seed of every network."""
        return [(s, c, seed) for s in self.splits for seed in self.seeds for c in s.conditions]


def make_plan(experiment: Experiment) -> list[Step]:
    """Return the steps, what matters most first: labels, networks with their frozen measures, fine-tuning."""
    steps = label_steps(experiment)
    for split in experiment.splits:
        steps += _measures(experiment, split, PIXELS, ())
    blocks: list[tuple[int, list[Step]]] = []
    for split, condition, seed in experiment.rows:
        place = 2 if condition == "raw" else 0
        blocks.append((place, _network(experiment, split, condition, seed)))
        if condition in split.finetuned:
            place = 1 if condition in ("random", "joint") else 3
            tuned = [_finetune(experiment, split, condition, seed, share) for share in experiment.shares]
            blocks.append((place, tuned))
    for _, block in sorted(blocks, key=lambda placed: placed[0]):
        steps += block
    return steps


def network_name(split: Split, condition: str, seed: int) -> str:
    """Name of a network, of its run's folder and of its results' folders."""
    return f"split{split.name}-{condition}-seed{seed}"


def _shards(experiment: Experiment, split: str) -> str:
    return f"labels/{experiment.manifest}-{split}"


def label_steps(experiment: Experiment) -> list[Step]:
    """Make the shards of all splits."""
    lists = "$SPLITS" if experiment.has_lists else None
    steps = []
    for number, split in enumerate(experiment.splits):
        for part in (split.train, split.test):
            bare = ("--frames-only",) if number and part == split.test else ()
            out = _shards(experiment, part)
            options = (*experiment.labels, *bare, "--workers", "1")
            steps.append(label_step(experiment.manifest, part, "$ROOT", out, *options, splits=lists))
    if experiment.weizmann:
        options = ("--frames-only", "--frames", "raw", "--workers", "1")
        steps.append(label_step("weizmann", "all", "$WEIZMANN", "labels/weizmann", *options))
    return steps


def _network(experiment: Experiment, split: Split, condition: str, seed: int) -> list[Step]:
    """Pre-train a condition's network, and measure its frozen features."""
    chosen = CONDITIONS[condition]
    words = (*experiment.network, *chosen.options, "--epochs", str(chosen.epochs or experiment.epochs))
    return network_steps(experiment, split, network_name(split, condition, seed), words, seed)


def network_steps(
    experiment: Experiment, split: Split, name: str, words: tuple[str, ...], seed: int
) -> list[Step]:
    """Pre-train one network with the options `words`, and measure its frozen features."""
    out = f"runs/{name}"
    val = ("--val-shards", _shards(experiment, split.test), "--val-steps", "1000000")  # at the end only
    command = (
        *("mas-train", "--shards", _shards(experiment, split.train), "--out", out, *words),
        *("--seed", str(seed), *(val if split is experiment.splits[0] else ()), "--no-curves", *CPU),
    )
    after = [f"label-{experiment.manifest}-{part}" for part in (split.train, split.test)]
    train = Step(f"pretrain-{name}", command, tuple(after), f"{out}/checkpoints/*.pt")
    return [train, *_measures(experiment, split, name, (train.name,))]


def _measures(experiment: Experiment, split: Split, name: str, after: tuple[str, ...]) -> list[Step]:
    """Frozen measures of one network, or of averaged pixels."""
    if name == PIXELS:
        name, source, kind = f"split{split.name}-{PIXELS}", "scratch", PIXELS
    else:
        source, kind = f"runs/{name}", "pooled"
    common = ("--checkpoint", source, "--features", kind, "--no-baseline", *CPU)
    train, test = (_shards(experiment, part) for part in (split.train, split.test))
    after += tuple(f"label-{experiment.manifest}-{part}" for part in (split.train, split.test))
    out = ("--out", f"results/{name}")
    retrieval = Step(
        f"retrieval-{name}",
        ("mas-eval", "retrieval", "--gallery", train, "--shards", test, *out, *common),
        after,
    )
    probe = Step(
        f"probe-{name}",
        ("mas-eval", "probe", "--train", train, "--shards", test, *out, *common),
        (*after, retrieval.name),  # which keeps the features
    )
    transfer = Step(
        f"weizmann-{name}",
        ("mas-eval", "probe", "--shards", "labels/weizmann", "--out", f"results/weizmann-{name}", *common),
        (*after, "label-weizmann"),
    )
    return [retrieval, probe, *([transfer] if experiment.weizmann else [])]


def _finetune(experiment: Experiment, split: Split, condition: str, seed: int, share: str) -> Step:
    """Fine-tune a network with a share of the labels, and test it."""
    name = network_name(split, condition, seed)
    out = f"finetuned/{share}-{name}"
    command = (
        *("mas-finetune", "--init", f"runs/{name}", "--shards", _shards(experiment, split.train)),
        *("--test-shards", _shards(experiment, split.test), "--out", out, *experiment.finetune),
        *(*experiment.shares[share], "--seed", str(seed), *CPU),
    )
    return Step(f"finetune-{share}-{name}", command, (f"pretrain-{name}",), f"{out}/finetuned.pt")


REHEARSAL: Final = Experiment(
    manifest="demo",
    splits=(Split("1", "train", "test", ("joint",), ("joint",)),),
    seeds=(0,),
    epochs=1,
    network=(
        *(
            "--backbone",
            "c3d-bn",
            "--width",
            "0.0625",
            "--fc-width",
            "16",
            "--input-stride",
            "2",
            "--init",
            "he",
        ),
        *("--batch-size", "8", "--schedule", "cosine"),
    ),
    labels=("--flow", "dis", "--view-stride", "29", "--no-store-boundaries"),
    finetune=("--fc-width", "16", "--batch-size", "8"),
    shares={"few": ("--labels", "25%", "--epochs", "1")},
    weizmann=False,
)
"""The same in small: the videos of `mas-labels demo`, one network, some steps."""
