"""Action recognition, end to end: a fine-tuned model and shards to a result (paper, sections 4.2 and 4.3)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from mas_labels.errors import ConfigError, reason_of
from mas_labels.shard import ShardSet
from mas_labels.system import write_text
from mas_train.class_match import match_classes
from mas_train.classifier import load_classifier
from mas_train.evaluation.accuracy import Accuracy, video_accuracy
from mas_train.evaluation.features import VideoFeatures, extract
from mas_train.evaluation.figures import draw_confusion
from mas_train.evaluation.results import Result
from mas_train.evaluation.run import Evaluation, make_result, shards_of, with_classes
from mas_train.leaks import VideoNames, shared_names
from mas_train.weights import Weights, load_weights

CLASSES_FILE: Final = "classes.csv"
MAY_DIFFER: Final = ("preset", "seed", "initialisation", "pixel_mean")
"""Entries of a recipe in which a run from scratch may differ from the run that it stands beside."""


def evaluate_accuracy(
    evaluation: Evaluation,
    shards: ShardSet,
    scratch: Weights | None = None,
    leaks: Sequence[str] | None = None,
) -> Result:
    """Video-level accuracy of a fine-tuned model; draws `confusion.png` and writes `classes.csv`.

    Parameters
    ----------
    evaluation
        The model, and where to write.
    shards
        The test videos.
    scratch
        The same network fine-tuned from random weights, whose accuracy stands beside; see `load_scratch_run`.
    leaks
        What the test shares with the training, if that is known better than by the names of videos and
        groups that the model keeps.

    Raises
    ------
    CheckpointError
        If the checkpoint has no classes.
    DatasetError
        If the shards have no clips, or no class that the model knows.

    Notes
    -----
    Clips' scores are softmax probabilities; a video's are their mean.
    """
    weights = evaluation.weights
    shards_of(shards)  # refuses before the work
    found, accuracy = _measure(evaluation, weights, shards)
    random = {} if scratch is None else _figures(_measure(evaluation, scratch, shards)[1])
    classes = [*weights.content["classes"]]
    draw_confusion(accuracy.confusion, classes, evaluation.out / "confusion.png")
    _write_classes(accuracy, classes, evaluation.out / CLASSES_FILE)
    details = {
        "classes": classes,
        "per_class": [None if np.isnan(value) else float(value) for value in accuracy.per_class],
        "confusion": accuracy.confusion.tolist(),
        "leaks": list(_known_leaks(weights, shards) if leaks is None else leaks),
        "left_out": match_classes(classes, shards).left_out,
        "scratch_run": None if scratch is None else scratch.source,
    }
    return make_result(evaluation, "accuracy", shards, found, _figures(accuracy), random, details)


def _measure(evaluation: Evaluation, weights: Weights, shards: ShardSet) -> tuple[VideoFeatures, Accuracy]:
    model = load_classifier(weights)
    match = match_classes(weights.content["classes"], shards)
    found = extract(model, model.probabilities, "scores", weights.pixel_mean, shards, evaluation.how)
    found = found.in_classes(match)
    known = with_classes(found)
    return found, video_accuracy(found.values[known], found.classes[known], found.failed_classes)


def _figures(accuracy: Accuracy) -> dict[str, float]:
    return {"top-1": accuracy.top1, "top-5": accuracy.top5}


def _known_leaks(weights: Weights, shards: ShardSet) -> list[str]:
    """Compare the test videos with those whose names the model keeps."""
    content = weights.content
    learnt = VideoNames(frozenset(content["training_videos"]), frozenset(content["training_groups"]))
    return shared_names(learnt, VideoNames.of(shards.videos))


def load_scratch_run(source: str, ours: Mapping[str, Any]) -> Weights:
    """Load a run of `mas-finetune --init scratch`, to be measured beside another.

    Parameters
    ----------
    source
        Its folder or checkpoint.
    ours
        What the other one was made from: its checkpoint's content, or `FinetuneJob.origin`.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    ConfigError
        If it did not begin from random weights, or was trained otherwise than the other.
    """
    weights = load_weights(source)
    if weights.kind != "supervised":
        raise ConfigError(
            f"--scratch-run {source} did not begin from random weights: make it with --init scratch"
        )
    theirs = weights.content
    differing = [
        name for name in ("frozen", "label_fraction", "content_hashes") if theirs[name] != ours[name]
    ]
    recipes = theirs["recipe"], ours["recipe"]
    differing += [name for name in recipes[0] if name not in MAY_DIFFER and _differ(*recipes, name)]
    if differing:
        raise ConfigError(
            f"--scratch-run {source} was trained otherwise ({', '.join(differing)}), so its accuracy is no "
            "baseline: fine-tune from scratch with the same options and shards"
        )
    return weights


def _differ(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> bool:
    return name in other and one[name] != other[name]


def _write_classes(accuracy: Accuracy, classes: Sequence[str], path: Path) -> None:
    """Write a row a class: videos, how many were recognised, and for what most of the others were taken."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("class", "videos", "recognised", "accuracy", "mostly_taken_for"))
    names = [*classes, "(failed)"]
    for number, (name, row) in enumerate(zip(classes, accuracy.confusion, strict=True)):
        others = np.where(np.arange(len(row)) == number, 0, row)
        taken_for = names[int(others.argmax())] if others.any() else ""
        share = accuracy.per_class[number]
        writer.writerow((name, row.sum(), row[number], "" if np.isnan(share) else f"{share:.4f}", taken_for))
    try:
        write_text(path, text.getvalue())
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): give another --out") from error
