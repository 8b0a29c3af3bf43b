"""The experiment for two CPU cores: it tests pre-training on the statistics of motion and appearance.

`results/small/protocol.md` says what is compared, in which order, and what counts as shown, before any
of its networks is tested on splits 2 and 3. `mas_train.reproduce.pilots` makes the choices, on split 1.

Notes
-----
Departures from the paper, to save time: a quarter of the channels, fully connected layers of 256; every
second frame and means of 2 x 2 pixels; batch norm and the initialisation of He et al.; targets of mean 0 and
deviation 1; a cosine schedule from ten times the rate, weight decay, half the batch, 3 epochs; every third
clip of a video.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from mas_labels.errors import ConfigError
from mas_train.reproduce.footage import OTHERS, VIDEO_FOLDER, Footage, Part
from mas_train.reproduce.plan import Step, label_step

CPU: Final = ("--device", "cpu", "--workers", "0", "--threads", "1")
LEARNING: Final = ("--target-scale", "standard", "--lr", "0.01")


@dataclass(frozen=True)
class Pretraining:
    """One row of the tables: a way of pre-training a network."""

    title: str
    options: tuple[str, ...]


BEST: Final = Pretraining(
    "joint, dense magnitudes", (*LEARNING, "--targets", "joint", "--coding", "magnitudes")
)
BEST_OPTIMISER: Final = ("--optimizer", "adamw", "--lr", "0.0003")
"""Coding of the targets, and optimiser of fine-tuning, that the pilots chose by the rule of the protocol."""
ROWS: Final[Mapping[str, Pretraining]] = {
    "random": Pretraining("random", ("--target-scale", "standard", "--epochs", "0")),
    "motion": Pretraining("motion", (*LEARNING, "--targets", "motion")),
    "appearance": Pretraining("appearance", (*LEARNING, "--targets", "appearance")),
    "joint": Pretraining("joint", (*LEARNING, "--targets", "joint")),
    "best": BEST,
    "shuffled": Pretraining(
        "joint, labels of other clips", (*LEARNING, "--targets", "joint", "--shuffle-labels")
    ),
    "pace": Pretraining("playback pace", (*LEARNING, "--targets", "pace")),
}
"""`random` has no epochs: weights stay random, batch norm learns its statistics (`training.untrained`)."""
PIXELS: Final = "pixels"
"""The control without a network."""


@dataclass(frozen=True)
class Tuning:
    """A way of fine-tuning.

    Attributes
    ----------
    title
        Its column in the tables.
    options
        Options of ``mas-finetune``.
    """

    title: str
    options: tuple[str, ...]


TODAY: Final = ("--preset", "strong", "--batch-size", "16", "--fc-width", "256")
FEW: Final = ("--labels", "10%", "--epochs", "30", "--warmup-epochs", "3")
TUNINGS: Final[Mapping[str, Tuning]] = {
    "few": Tuning("fine-tuned, 10 % of labels", (*TODAY, *BEST_OPTIMISER, *FEW)),
    "few-paper": Tuning("fine-tuned the paper's way, 10 %", ("--fc-width", "256", "--labels", "10%")),
    "all": Tuning(
        "fine-tuned, all labels", (*TODAY, *BEST_OPTIMISER, "--epochs", "3", "--warmup-epochs", "1")
    ),
}
"""The most important first. The paper's way with all labels would take as long as the rest together."""


@dataclass(frozen=True)
class Split:
    """A split: its name, and the part that is tested; all others are for training."""

    name: str
    test: str


PILOT_SPLIT: Final = Split("1", "test1")
"""The split on which choices are made."""


@dataclass(frozen=True)
class Experiment:
    """Everything that decides the plan.

    Attributes
    ----------
    footage
        The videos.
    splits
        The splits that are evaluated; held-out scores are those of the first.
    pilot_split
        The split of the pilots.
    seeds
        One network is trained per seed, split and row.
    rows
        Keys of `ROWS`.
    finetuned
        Rows that are fine-tuned.
    epochs
        Number of epochs of pre-training.
    network, labels
        Options of ``mas-train`` and ``mas-labels make`` for all rows.
    tunings
        Ways of fine-tuning.
    few_labels
        Options of fine-tuning with few labels, without the optimiser.
    weizmann
        True to test frozen features on the Weizmann actions, too.
    """

    footage: Footage = field(default_factory=Footage)
    splits: tuple[Split, ...] = (Split("2", "test2"), Split("3", "test3"))
    pilot_split: Split = PILOT_SPLIT
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    rows: tuple[str, ...] = tuple(ROWS)
    finetuned: tuple[str, ...] = ("random", "best")
    epochs: int = 3
    network: tuple[str, ...] = (
        *("--backbone", "c3d-bn", "--width", "0.25", "--fc-width", "256"),
        *("--input-stride", "2", "--init", "he"),
        *("--batch-size", "16", "--weight-decay", "0.0005", "--schedule", "cosine"),
    )
    labels: tuple[str, ...] = ("--clip-stride", "48", "--frames", "raw", "--store-boundaries")
    tunings: Mapping[str, Tuning] = field(default_factory=lambda: TUNINGS)
    few_labels: tuple[str, ...] = (*TODAY, *FEW)
    weizmann: bool = True

    @property
    def networks(self) -> list[tuple[Split, str, int]]:
        """Split, row and seed of every network."""
        return [(split, row, seed) for seed in self.seeds for split in self.splits for row in self.rows]


SHORT: Final = (
    *("--preset", "strong", "--epochs", "1", "--warmup-epochs", "0"),
    *("--batch-size", "4", "--fc-width", "16"),
)
REHEARSAL_EXPERIMENT: Final = Experiment(
    footage=Footage(
        manifest="folder",
        classes=("grow", "move_left", "shrink", "turn_left"),
        parts=(Part("test1", range(1), "all"), Part("rest", range(1, 4), "all")),
        max_others=2,
    ),
    splits=(Split("1", "test1"),),
    seeds=(0,),
    rows=("random", "best"),
    finetuned=("best",),
    epochs=1,
    network=(
        *("--backbone", "c3d-bn", "--width", "0.0625", "--fc-width", "16"),
        *("--input-stride", "2", "--init", "he", "--batch-size", "8", "--schedule", "cosine"),
    ),
    labels=("--flow", "dis", "--view-stride", "29", "--store-boundaries"),
    tunings={"all": Tuning(TUNINGS["all"].title, SHORT)},
    few_labels=SHORT,
    weizmann=False,
)
"""A tiny version of the experiment: the videos of `mas-labels demo`, two networks, a few steps."""


def small_plan(experiment: Experiment) -> list[Step]:
    """Return the steps, the most important first: labels, networks with frozen measures, fine-tuning."""
    steps = label_steps(experiment)
    for split in experiment.splits:
        steps += _frozen_measures(experiment, split, PIXELS, ())
    for split, row, seed in experiment.networks:
        options = (*experiment.network, *ROWS[row].options)
        steps += network_steps(experiment, split, network_name(split, row, seed), options, seed)
    for tuning in experiment.tunings:
        for split, row, seed in experiment.networks:
            if row in experiment.finetuned:
                steps.append(finetune_step(experiment, split, network_name(split, row, seed), tuning, seed))
    return steps


def network_name(split: Split, row: str, seed: int) -> str:
    """Return the name of a network, which is that of its run's folder and of its results' folders."""
    return f"split{split.name}-{row}-seed{seed}"


def label_steps(experiment: Experiment) -> list[Step]:
    """Return the steps that make the shards of all parts; each video is labelled once for all splits."""
    footage = experiment.footage
    parts = [(part.name, part.split) for part in footage.parts] + [(OTHERS, "all")]
    options = (*experiment.labels, "--follow-links", "--workers", "1")
    steps = [
        label_step(footage.manifest, split, f"{VIDEO_FOLDER}/{name}", f"labels/{name}", *options)
        for name, split in parts
    ]
    if experiment.weizmann:
        frames = ("--frames-only", "--frames", "raw", "--workers", "1")
        steps.append(label_step("weizmann", "all", "$WEIZMANN", "labels/weizmann", *frames))
    return steps


def train_parts(experiment: Experiment, split: Split) -> tuple[str, ...]:
    """Return the folders of shards with the training videos of a split."""
    return tuple(f"labels/{part.name}" for part in experiment.footage.parts if part.name != split.test)


def network_steps(
    experiment: Experiment, split: Split, name: str, options: tuple[str, ...], seed: int
) -> list[Step]:
    """Return the steps that pre-train one network with some options, and measure its frozen features."""
    out, test = f"runs/{name}", f"labels/{split.test}"
    val = ("--val-shards", test, "--val-steps", "1000000")  # at the end only
    is_held_out = split in (experiment.splits[0], experiment.pilot_split)
    length = () if "--epochs" in options else ("--epochs", str(experiment.epochs))
    shards = (*train_parts(experiment, split), f"labels/{OTHERS}")
    command = (
        *("mas-train", "--shards", *shards, "--out", out, *options),
        *(*length, "--seed", str(seed), *(val if is_held_out else ()), "--no-curves", *CPU),
    )
    train = Step(f"pretrain-{name}", command, _after_labels(experiment), f"{out}/checkpoints/*.pt")
    return [train, *_frozen_measures(experiment, split, name, (train.name,))]


def _after_labels(experiment: Experiment) -> tuple[str, ...]:
    """Return the steps that label the parts."""
    return (*(f"label-{part.name}" for part in experiment.footage.parts), f"label-{OTHERS}")


def _frozen_measures(experiment: Experiment, split: Split, name: str, after: tuple[str, ...]) -> list[Step]:
    """Return the steps that measure frozen features of one network, or averaged pixels."""
    if name == PIXELS:
        name, source, kind = f"split{split.name}-{PIXELS}", "scratch", PIXELS
    else:
        source, kind = f"runs/{name}", "pooled"
    common = ("--checkpoint", source, "--features", kind, "--no-baseline", *CPU)
    train, test = train_parts(experiment, split), f"labels/{split.test}"
    after = (*after, *_after_labels(experiment))
    out = ("--out", f"results/{name}")
    retrieval = Step(
        f"retrieval-{name}",
        ("mas-eval", "retrieval", "--gallery", *train, "--shards", test, *out, *common),
        after,
    )
    probe = Step(
        f"probe-{name}",
        ("mas-eval", "probe", "--train", *train, "--shards", test, *out, *common),
        (*after, retrieval.name),  # which caches the features
    )
    transfer = Step(
        f"weizmann-{name}",
        ("mas-eval", "probe", "--shards", "labels/weizmann", "--out", f"results/weizmann-{name}", *common),
        (*after, "label-weizmann"),
    )
    return [retrieval, probe, *([transfer] if experiment.weizmann else [])]


def finetune_step(experiment: Experiment, split: Split, name: str, tuning: str, seed: int) -> Step:
    """Return the step that fine-tunes a network in one way, and tests it."""
    out = f"finetuned/{tuning}-{name}"
    command = (
        *("mas-finetune", "--init", f"runs/{name}", "--shards", *train_parts(experiment, split)),
        *("--test-shards", f"labels/{split.test}", "--out", out, *experiment.tunings[tuning].options),
        *("--seed", str(seed), *CPU),
    )
    return Step(f"finetune-{tuning}-{name}", command, (f"pretrain-{name}",), f"{out}/finetuned.pt")


def refuse_earlier(work: Path) -> None:
    """Raise `ConfigError` if a work folder is that of the earlier experiment, with labels split by split."""
    if (work / "done" / "label-ucf101-train1.json").exists():
        raise ConfigError(f"{work} holds an earlier version of this experiment: give another --work")
