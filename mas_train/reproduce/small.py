"""The experiment for two CPU cores: the paper's table 3 in small.

Notes
-----
Departures from the paper, to save time: a quarter of the channels, fully connected layers of 256; every
second frame and means of 2 x 2 pixels; batch norm and the initialisation of He et al.; targets of mean 0 and
deviation 1, orientations as sine and cosine; a cosine schedule from ten times the rate, weight decay, half
the batch, 5 epochs; every second clip of a video. The recipe was chosen on split 1; split 2 confirms it or
does not. `mas_train.reproduce.pilots` measures the effect of each of these choices.
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
    """One row of the tables: a way of pre-training a network."""

    title: str
    options: tuple[str, ...]
    epochs: int | None = None
    """Number of epochs; None for that of the experiment."""


CONDITIONS: Final[Mapping[str, Condition]] = {
    "random": Condition(
        "random initialisation", ("--target-scale", "standard", "--orientation", "sin-cos"), epochs=0
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
"""`random` has no epochs: weights stay random, batch norm learns its statistics (`training.untrained`)."""
PIXELS: Final = "pixels"
"""The control without a network."""


@dataclass(frozen=True)
class Split:
    """A train and a test split, the conditions compared on it, and those among them that are fine-tuned."""

    name: str
    train: str
    test: str
    conditions: tuple[str, ...]
    finetuned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the plan.

    Attributes
    ----------
    manifest
        Name of the data set's manifest.
    splits
        The splits; held-out scores and the tables of labels are those of the first.
    seeds
        One network is trained per seed, split and condition.
    epochs
        Number of epochs of pre-training.
    network, labels, finetune
        Options of ``mas-train``, ``mas-labels make`` and ``mas-finetune`` for all conditions.
    shares
        Further options of ``mas-finetune``, by the name of the share of the labels.
    weizmann
        True to test frozen features on the Weizmann actions, too.
    has_lists
        True if the place ``$SPLITS`` is given.
    """

    manifest: str = "ucf101"
    splits: tuple[Split, ...] = (
        Split("1", "train1", "test1", tuple(CONDITIONS), ("random", "joint", "motion", "appearance")),
        Split("2", "train2", "test2", ("random", "joint")),
    )
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 5
    network: tuple[str, ...] = (
        *("--backbone", "c3d-bn", "--width", "0.25", "--fc-width", "256"),
        *("--input-stride", "2", "--init", "he"),
        *("--batch-size", "16", "--weight-decay", "0.0005", "--schedule", "cosine"),
    )
    labels: tuple[str, ...] = ("--clip-stride", "32", "--frames", "raw", "--no-store-boundaries")
    finetune: tuple[str, ...] = (
        *("--fc-width", "256", "--batch-size", "16"),
        *("--lr", "0.01", "--schedule", "cosine", "--dropout", "0.5"),
    )
    shares: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"all": ("--epochs", "3"), "few": ("--labels", "10%", "--epochs", "8")}
    )
    weizmann: bool = True
    has_lists: bool = False

    @property
    def networks(self) -> list[tuple[Split, str, int]]:
        """Split, condition and seed of every network."""
        return [(s, c, seed) for s in self.splits for seed in self.seeds for c in s.conditions]


REHEARSAL_EXPERIMENT: Final = Experiment(
    manifest="demo",
    splits=(Split("1", "train", "test", ("joint",), ("joint",)),),
    seeds=(0,),
    epochs=1,
    network=(
        *("--backbone", "c3d-bn", "--width", "0.0625", "--fc-width", "16"),
        *("--input-stride", "2", "--init", "he", "--batch-size", "8", "--schedule", "cosine"),
    ),
    labels=("--flow", "dis", "--view-stride", "29", "--no-store-boundaries"),
    finetune=("--fc-width", "16", "--batch-size", "8"),
    shares={"few": ("--labels", "25%", "--epochs", "1")},
    weizmann=False,
)
"""A tiny version of the experiment: the videos of `mas-labels demo`, one network, a few steps."""


def small_plan(experiment: Experiment) -> list[Step]:
    """Return the steps, the most important first: labels, networks with frozen measures, fine-tuning."""
    steps = label_steps(experiment)
    for split in experiment.splits:
        steps += _frozen_measures(experiment, split, PIXELS, ())
    blocks: list[tuple[int, list[Step]]] = []
    for split, condition, seed in experiment.networks:
        priority = 2 if condition == "raw" else 0
        blocks.append((priority, _condition_steps(experiment, split, condition, seed)))
        if condition in split.finetuned:
            priority = 1 if condition in ("random", "joint") else 3
            tuned = [
                _finetune_network(experiment, split, condition, seed, share) for share in experiment.shares
            ]
            blocks.append((priority, tuned))
    for _, block in sorted(blocks, key=lambda prioritised: prioritised[0]):
        steps += block
    return steps


def network_name(split: Split, condition: str, seed: int) -> str:
    """Return the name of a network, which is that of its run's folder and of its results' folders."""
    return f"split{split.name}-{condition}-seed{seed}"


def label_steps(experiment: Experiment) -> list[Step]:
    """Return the steps that make the shards of all splits."""
    lists = "$SPLITS" if experiment.has_lists else None
    steps = []
    for number, split in enumerate(experiment.splits):
        for part in (split.train, split.test):
            frames_only = ("--frames-only",) if number and part == split.test else ()
            out = _shards(experiment, part)
            options = (*experiment.labels, *frames_only, "--workers", "1")
            steps.append(label_step(experiment.manifest, part, "$ROOT", out, *options, splits=lists))
    if experiment.weizmann:
        options = ("--frames-only", "--frames", "raw", "--workers", "1")
        steps.append(label_step("weizmann", "all", "$WEIZMANN", "labels/weizmann", *options))
    return steps


def _shards(experiment: Experiment, split: str) -> str:
    return f"labels/{experiment.manifest}-{split}"


def _condition_steps(experiment: Experiment, split: Split, condition: str, seed: int) -> list[Step]:
    """Return the steps that pre-train a condition's network, and measure its frozen features."""
    chosen = CONDITIONS[condition]
    options = (
        *experiment.network,
        *chosen.options,
        "--epochs",
        str(experiment.epochs if chosen.epochs is None else chosen.epochs),
    )
    return network_steps(experiment, split, network_name(split, condition, seed), options, seed)


def network_steps(
    experiment: Experiment, split: Split, name: str, options: tuple[str, ...], seed: int
) -> list[Step]:
    """Return the steps that pre-train one network with some options, and measure its frozen features."""
    out = f"runs/{name}"
    val = ("--val-shards", _shards(experiment, split.test), "--val-steps", "1000000")  # at the end only
    command = (
        *("mas-train", "--shards", _shards(experiment, split.train), "--out", out, *options),
        *("--seed", str(seed), *(val if split is experiment.splits[0] else ()), "--no-curves", *CPU),
    )
    after = [f"label-{experiment.manifest}-{part}" for part in (split.train, split.test)]
    train = Step(f"pretrain-{name}", command, tuple(after), f"{out}/checkpoints/*.pt")
    return [train, *_frozen_measures(experiment, split, name, (train.name,))]


def _frozen_measures(experiment: Experiment, split: Split, name: str, after: tuple[str, ...]) -> list[Step]:
    """Return the steps that measure frozen features of one network, or averaged pixels."""
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
        (*after, retrieval.name),  # which caches the features
    )
    transfer = Step(
        f"weizmann-{name}",
        ("mas-eval", "probe", "--shards", "labels/weizmann", "--out", f"results/weizmann-{name}", *common),
        (*after, "label-weizmann"),
    )
    return [retrieval, probe, *([transfer] if experiment.weizmann else [])]


def _finetune_network(experiment: Experiment, split: Split, condition: str, seed: int, share: str) -> Step:
    """Return the step that fine-tunes a network with a share of the labels, and tests it."""
    name = network_name(split, condition, seed)
    out = f"finetuned/{share}-{name}"
    command = (
        *("mas-finetune", "--init", f"runs/{name}", "--shards", _shards(experiment, split.train)),
        *("--test-shards", _shards(experiment, split.test), "--out", out, *experiment.finetune),
        *(*experiment.shares[share], "--seed", str(seed), *CPU),
    )
    return Step(f"finetune-{share}-{name}", command, (f"pretrain-{name}",), f"{out}/finetuned.pt")
