"""The paper's experiments in full, tables 1 to 6, for a machine with one GPU; and their rehearsal.

A data set whose place is not given is left out, with its columns. The rehearsal is the same plan with tiny
networks: every step is really carried out, on whatever few videos the places hold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from mas_train.codings import DENSE_CODINGS
from mas_train.evaluation.published import TABLES
from mas_train.recipe import SCRATCH, TARGETS
from mas_train.reproduce.plan import Step, label_step

UCF101, HMDB51, KINETICS = "ucf101", "hmdb51", "kinetics400"
PLACES: Final = {UCF101: "$UCF101", HMDB51: "$HMDB51", KINETICS: "$KINETICS400"}
"""Place of each data set with classes and splits."""
FRAMES_ONLY: Final = ("--frames-only",)
OVERLAPPING: Final = (*FRAMES_ONLY, "--clip-stride", "8")
"""Options for the clips of ASLAN and YUPENN, which overlap by half."""


@dataclass(frozen=True)
class Scale:
    """Options by which the full experiments and their rehearsal differ.

    Attributes
    ----------
    label, train, finetune
        Options added to each ``mas-labels make``, ``mas-train`` and ``mas-finetune``.
    scratch
        Options added to fine-tuning from random weights.
    compute
        Options added to all commands that use a network.
    """

    label: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    finetune: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    compute: tuple[str, ...] = ()


FULL_SCALE: Final = Scale(label=("--no-store-boundaries",))
REHEARSAL_SCALE: Final = Scale(
    label=("--flow", "dis", "--view-stride", "29", "--no-store-boundaries", "--workers", "1"),
    train=("--width", "0.0625", "--fc-width", "16", "--batch-size", "2", "--max-steps", "2", "--no-curves"),
    finetune=("--fc-width", "16", "--batch-size", "2", "--epochs", "1"),
    scratch=("--width", "0.0625"),
    compute=("--device", "cpu", "--workers", "0", "--threads", "1"),
)


def ucf101_plan(places: Collection[str], scale: Scale = FULL_SCALE, coding: str = "") -> list[Step]:
    """Return the steps of all the paper's experiments except pre-training on Kinetics.

    Parameters
    ----------
    places
        The given places: ``$UCF101`` (required), ``$HMDB51``, ``$ASLAN`` with ``$VIEW2``, ``$YUPENN``.
    scale
        `FULL_SCALE` or `REHEARSAL_SCALE`.
    coding
        One of `mas_train.codings.CODINGS` for another network with all targets, a further row; empty: none.
    """
    further = [_coded(coding)] if coding else []
    pretrained = [*dict.fromkeys(row_targets(UCF101)), *further]
    scale = _storing_boundaries(scale, coding)
    steps = [_labels(UCF101, "train1", scale), _labels(UCF101, "test1", scale, FRAMES_ONLY)]
    steps += _other_labels(places, scale)
    steps += [_pretrain(UCF101, targets, "train1", scale) for targets in pretrained]
    steps.append(_finetune_split1(UCF101, SCRATCH, scale))
    steps += [_finetune_split1(UCF101, source, scale, with_baseline=True) for source in pretrained]
    if "$HMDB51" in places:
        steps.append(_finetune_split1(HMDB51, SCRATCH, scale))
        sources = ("appearance", "motion", "joint", *further)
        steps += [_finetune_split1(HMDB51, source, scale, with_baseline=True) for source in sources]
    steps.append(_retrieval(scale))
    weights = {"random": SCRATCH, "supervised": "finetuned/ucf101-scratch", "joint": "runs/joint"}
    weights["joint-tuned"] = "finetuned/ucf101-joint"
    return [*steps, *_similarity_and_scenes(weights, places, scale)]


def kinetics_plan(places: Collection[str], scale: Scale = FULL_SCALE, coding: str = "") -> list[Step]:
    """Return the steps of pre-training on Kinetics-400, and of all tests of this network (table 4, last row).

    Parameters
    ----------
    places
        The given places: ``$KINETICS400`` and ``$UCF101`` (required); the others as in `ucf101_plan`.
    scale, coding
        As in `ucf101_plan`.
    """
    pretrained = ["joint", *([_coded(coding)] if coding else [])]
    scale = _storing_boundaries(scale, coding)
    steps = [_labels(KINETICS, "train", scale)]
    steps += [_labels(UCF101, part, scale, FRAMES_ONLY) for part in ("train1", "test1")]
    steps += _other_labels(places, scale)
    steps += [_pretrain(KINETICS, targets, "train", scale) for targets in pretrained]
    for dataset in (UCF101, *([HMDB51] if "$HMDB51" in places else [])):
        steps += [_finetune_split1(dataset, source, scale) for source in pretrained]
    steps.append(_retrieval(scale))
    return [*steps, *_similarity_and_scenes({"joint": "runs/joint"}, places, scale)]


def with_seeds(steps: Sequence[Step], seeds: int) -> list[Step]:
    """Return a plan with each of its networks trained and measured for several seeds, seed 0 first.

    Labels are made once. Random weights that are measured without training are those of seed 0 alone.
    """
    trained = [
        step
        for step in steps
        if step.command[0] != "mas-labels" and not (step.command[0] == "mas-eval" and SCRATCH in step.command)
    ]
    names = [step.name for step in trained]
    return [*steps, *(_with_seed(step, seed, names) for seed in range(1, seeds) for step in trained)]


def _with_seed(step: Step, seed: int, trained: Collection[str]) -> Step:
    """Return the step of a network for another seed, in folders of its own."""

    def rename(path: str) -> str:
        return re.sub(r"^((runs|finetuned|results)/[^/]+)", rf"\1-seed{seed}", path)

    options = () if step.command[0] == "mas-eval" else ("--seed", str(seed))
    return replace(
        step,
        name=f"{step.name}-seed{seed}",
        command=(*map(rename, step.command), *options),
        after=tuple(f"{name}-seed{seed}" if name in trained else name for name in step.after),
        resumes_from=step.resumes_from and rename(step.resumes_from),
    )


def row_targets(preset: str) -> list[str]:
    """Return the targets of the published tables' rows of networks pre-trained with a preset, in order."""
    keys = [row.ours.split("/") for table in TABLES.values() for row in table.rows if row.ours]
    return [key[2] for key in keys if len(key) == 3 and key[1] == preset and key[2] in TARGETS]


def _coded(coding: str) -> str:
    """Return the name of the network with all targets in a coding."""
    return f"joint-{coding}"


def _storing_boundaries(scale: Scale, coding: str) -> Scale:
    """Return a scale whose shards hold Mu and Mv, if a coding is computed from them."""
    if coding not in DENSE_CODINGS:
        return scale
    return replace(scale, label=tuple(word for word in scale.label if word != "--no-store-boundaries"))


def _labels(dataset: str, split: str, scale: Scale, options: tuple[str, ...] = ()) -> Step:
    """Return the step that makes the shards of one split."""
    out = f"labels/{dataset}-{split}"
    return label_step(dataset, split, PLACES[dataset], out, *scale.label, *options)


def _other_labels(places: Collection[str], scale: Scale) -> list[Step]:
    """Return the steps that make shards of the data sets for fine-tuning and testing only."""
    steps = []
    if "$HMDB51" in places:
        steps += [_labels(HMDB51, part, scale, FRAMES_ONLY) for part in ("train1", "test1")]
    for place, name in (("$ASLAN", "aslan"), ("$YUPENN", "yupenn")):
        if place in places:
            steps.append(label_step(name, "all", place, f"labels/{name}", *scale.label, *OVERLAPPING))
    return steps


def _pretrain(dataset: str, targets: str, split: str, scale: Scale) -> Step:
    """Return the step that pre-trains a network with some targets, by the data set's preset."""
    shards, out = f"labels/{dataset}-{split}", f"runs/{targets}"
    options: tuple[str, ...] = ("--targets", targets)
    if targets not in TARGETS:
        options = (
            "--targets",
            "joint",
            "--coding",
            targets.removeprefix("joint-"),
            "--target-scale",
            "standard",
        )
    command = (
        *("mas-train", "--preset", dataset, "--shards", shards, "--out", out, *options),
        *(*scale.train, *scale.compute),
    )
    return Step(f"pretrain-{targets}", command, (f"label-{dataset}-{split}",), f"{out}/checkpoints/*.pt")


def _finetune_split1(dataset: str, source: str, scale: Scale, with_baseline: bool = False) -> Step:
    """Return the step that fine-tunes for a data set's split 1: tables 1 to 4."""
    train, test, out = f"{dataset}-train1", f"{dataset}-test1", f"finetuned/{dataset}-{source}"
    init = SCRATCH if source == SCRATCH else f"runs/{source}"
    baseline = ("--scratch-run", f"finetuned/{dataset}-{SCRATCH}") if with_baseline else ()
    scratch = scale.scratch if source == SCRATCH else ()
    command = (
        *("mas-finetune", "--init", init, "--shards", f"labels/{train}", "--test-shards", f"labels/{test}"),
        *("--out", out, *baseline, *scale.finetune, *scratch, *scale.compute),
    )
    after = [f"label-{train}", f"label-{test}", *([] if source == SCRATCH else [f"pretrain-{source}"])]
    after += [f"finetune-{dataset}-{SCRATCH}"] if with_baseline else []
    return Step(f"finetune-{dataset}-{source}", command, tuple(after), f"{out}/finetuned.pt")


def _evaluate(protocol: str, weights: str, scale: Scale, shards: str, *options: str) -> Step:
    """Return the step that measures the weights of a run, or random ones, by one protocol."""
    name = f"{protocol}-{weights.replace('/', '-')}"
    command = (
        *("mas-eval", protocol, "--checkpoint", weights, "--shards", f"labels/{shards}"),
        *("--out", f"results/{name}", *options, "--no-baseline", *scale.compute),
    )
    kinds = {"runs": "pretrain", "finetuned": "finetune"}
    folder, _, network = weights.partition("/")
    after = (f"label-{shards}", *((f"{kinds[folder]}-{network}",) if network else ()))
    return Step(name, command, after)


def _retrieval(scale: Scale) -> Step:
    """Return the step of nearest-neighbour retrieval, as in the journal version."""
    return _evaluate("retrieval", "runs/joint", scale, "ucf101-test1", "--gallery", "labels/ucf101-train1")


def _similarity_and_scenes(weights: dict[str, str], places: Collection[str], scale: Scale) -> list[Step]:
    """Return the steps of tables 5 and 6."""
    steps = []
    if {"$ASLAN", "$VIEW2"} <= set(places):
        steps += [
            _evaluate("aslan", source, scale, "aslan", "--view2", "$VIEW2") for source in weights.values()
        ]
    if "$YUPENN" in places:
        unsupervised = [weights[name] for name in ("random", "joint") if name in weights]
        steps += [_evaluate("yupenn", source, scale, "yupenn") for source in unsupervised]
    return steps
