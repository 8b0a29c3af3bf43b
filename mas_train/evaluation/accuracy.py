"""Action recognition: video-level accuracy (paper, sections 4.2 and 4.3)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import ConfigError, InputError, reason_of
from mas_labels.shards import ShardSet
from mas_labels.system.files import write_text
from mas_train.data.class_match import match_classes
from mas_train.data.leakage import VideoNames, shared_names
from mas_train.evaluation.features import VideoFeatures, extract
from mas_train.evaluation.figures import draw_confusion
from mas_train.evaluation.protocol import Evaluation, finish, make_result, shards_of, with_classes
from mas_train.evaluation.results import Result
from mas_train.training.finetune_state import load_classifier
from mas_train.weights.load import Weights, load_weights

TOP = 5
"""Classes that the lenient accuracy looks at."""


@dataclass(frozen=True)
class Accuracy:
    """How well videos were recognised.

    Attributes
    ----------
    top1, top5
        Share of all videos, failed ones included, whose class has the highest score, or is among the five.
    per_class
        Share of each class's videos that were recognised; NaN for a class without videos.
    confusion
        (C, C + 1) int64: videos by true class and by class recognised; the last column counts failed ones.
    videos, failed
        Videos in all, and how many of them failed.
    """

    top1: float
    top5: float
    per_class: NDArray[np.float64]
    confusion: NDArray[np.int64]
    videos: int
    failed: int


def video_accuracy(
    scores: NDArray[np.floating], truth: NDArray[np.integer], failed_truth: NDArray[np.integer]
) -> Accuracy:
    """Measure accuracy from the scores of videos.

    Parameters
    ----------
    scores
        (V, C), the mean of the clips' class scores of each video.
    truth
        (V,), true class of each video.
    failed_truth
        (F,), true class of each video that gave no clip, -1 if it is not known. They are counted wrong.

    Returns
    -------
    Accuracy

    Raises
    ------
    InputError
        A shape is wrong, a score is not finite, a class is out of range, or there is no video at all.

    Notes
    -----
    Of classes with equal scores the one with the lower number is taken.
    """
    scores, truth, failed_truth = np.asarray(scores), np.asarray(truth), np.asarray(failed_truth, np.int64)
    _check(scores, truth, failed_truth)
    classes = scores.shape[1]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    confusion = np.zeros((classes, classes + 1), np.int64)
    np.add.at(confusion, (truth, best[:, 0]), 1)
    np.add.at(confusion, (failed_truth[failed_truth >= 0], classes), 1)
    videos = len(truth) + len(failed_truth)
    of_class = confusion.sum(axis=1)
    per_class = np.full(classes, np.nan)
    np.divide(confusion.diagonal(), of_class, out=per_class, where=of_class > 0)
    return Accuracy(
        top1=float((best[:, 0] == truth).sum() / videos),
        top5=float((best == truth[:, None]).any(axis=1).sum() / videos),
        per_class=per_class,
        confusion=confusion,
        videos=videos,
        failed=len(failed_truth),
    )


def _check(
    scores: NDArray[np.floating], truth: NDArray[np.integer], failed_truth: NDArray[np.integer]
) -> None:
    if scores.ndim != 2 or truth.shape != scores.shape[:1] or failed_truth.ndim != 1:
        raise InputError(
            f"expected scores (V, C), truth (V,) and failed (F,), found {scores.shape}, {truth.shape} and "
            f"{failed_truth.shape}"
        )
    if not len(truth) + len(failed_truth):
        raise InputError("expected a video or more, found none")
    if not np.isfinite(scores).all():
        raise InputError("expected finite scores, found others: the model has diverged")
    known = np.concatenate([truth, failed_truth[failed_truth != -1]])
    if known.size and not 0 <= known.min() <= known.max() < scores.shape[1]:
        raise InputError(
            f"expected classes 0 to {scores.shape[1] - 1}, found {known.min()} to {known.max()}: "
            "was the model trained on other classes?"
        )


def measure_accuracy(
    evaluation: Evaluation, test: ShardSet, scratch_run: str | None, leaks: Sequence[str] | None = None
) -> str:
    """Test a fine-tuned model, beside one from scratch if that is named; return the result as text.

    Raises
    ------
    CheckpointError
        If one of the two cannot be read, or has no classes.
    ConfigError
        If the two were trained otherwise than from other first weights.
    DatasetError
        If the shards have no clips, or no class that the model knows.
    """
    scratch = None if scratch_run is None else load_scratch_run(scratch_run, evaluation.weights.content)
    return finish(evaluate_accuracy(evaluation, test, scratch, leaks), evaluation.out)


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
