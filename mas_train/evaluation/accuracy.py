"""Action recognition: video-level accuracy of a fine-tuned model (paper, sections 4.2 and 4.3).

Class scores of each video (the mean over its clips), top-1 and top-5 accuracy, the confusion matrix, and the
accuracy of the same network trained from random weights as the baseline.
"""

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
from mas_train.evaluation.protocol import Evaluation, Measured, dataset_and_split, has_class, make_result
from mas_train.evaluation.results import Result
from mas_train.inference.predict import require_trained_geometry
from mas_train.model.similarity import require_finite_outputs
from mas_train.recipe import with_defaults
from mas_train.runtime.figures import make_figure, save_figure
from mas_train.weights.backbone_weights import Weights, describe_unfinished, load_classifier, load_weights

TOP_K = 5
"""Number of highest scores of which one must be that of the true class, for top-5 accuracy."""
CLASSES_FILE: Final = "classes.csv"
MAY_DIFFER: Final = ("preset", "seed", "initialisation", "pixel_mean")
"""Entries of a recipe in which the baseline, a run from scratch, may differ from the evaluated run."""


def score_videos(evaluation: Evaluation, weights: Weights, shards: ShardSet) -> VideoFeatures:
    """Compute the class scores of each video: the mean over its clips of the softmax probabilities.

    Raises
    ------
    ConfigError
        If the model's fully connected layers take other numbers of features than the clips have.
    """
    model = load_classifier(weights)
    require_trained_geometry(weights, shards.geometry, shards.paths[0].parent)
    match = match_classes(weights.content["classes"], shards)
    mean = weights.pixel_mean
    scores = extract(model, model.probabilities, "scores", mean, shards, evaluation.extraction)
    return scores.in_classes(match)


@dataclass(frozen=True)
class Accuracy:
    """Video-level accuracy of a model on a test set.

    Attributes
    ----------
    right
        Whether the class of each video has the highest score, ``"top-1"``, or one of the five highest,
        ``"top-5"``: (V + F,) bool each, the failed ones last.
    per_class
        (C,) float64: share of each class's videos that were recognised; NaN for a class without videos.
    confusion
        (C, C + 1) int64: number of videos by true and by predicted class; the last column counts failed ones.
    videos, failed
        Number of videos in all, and of failed ones among them.
    """

    right: Mapping[str, NDArray[np.bool_]]
    per_class: NDArray[np.float64]
    confusion: NDArray[np.int64]
    videos: int
    failed: int


def video_accuracy(
    scores: NDArray[np.floating], truth: NDArray[np.integer], failed_truth: NDArray[np.integer]
) -> Accuracy:
    """Compute accuracy from the class scores of videos.

    Parameters
    ----------
    scores
        (V, C), the mean over each video's clips.
    truth
        (V,), true class of each video.
    failed_truth
        (F,), true class of each video that has no clip, -1 if it is unknown. Failed videos count as wrong.

    Raises
    ------
    InputError
        If a shape is wrong, a score is not finite, a class is out of range, or there is no video at all.

    Notes
    -----
    Of classes with equal scores the one with the lower number ranks higher.
    """
    scores, truth, failed_truth = np.asarray(scores), np.asarray(truth), np.asarray(failed_truth, np.int64)
    _check_scores(scores, truth, failed_truth)
    n_classes, failed = scores.shape[1], np.zeros(len(failed_truth), bool)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP_K]
    confusion = np.zeros((n_classes, n_classes + 1), np.int64)
    np.add.at(confusion, (truth, best[:, 0]), 1)
    np.add.at(confusion, (failed_truth[failed_truth >= 0], n_classes), 1)
    class_sizes = confusion.sum(axis=1)
    per_class = np.full(n_classes, np.nan)
    np.divide(confusion.diagonal(), class_sizes, out=per_class, where=class_sizes > 0)
    return Accuracy(
        right={
            "top-1": np.concatenate([best[:, 0] == truth, failed]),
            f"top-{TOP_K}": np.concatenate([(best == truth[:, None]).any(axis=1), failed]),
        },
        per_class=per_class,
        confusion=confusion,
        videos=len(truth) + len(failed_truth),
        failed=len(failed_truth),
    )


def _check_scores(
    scores: NDArray[np.floating], truth: NDArray[np.integer], failed_truth: NDArray[np.integer]
) -> None:
    """Refuse scores and classes that do not fit together."""
    if scores.ndim != 2 or truth.shape != scores.shape[:1] or failed_truth.ndim != 1:
        raise InputError(
            f"expected scores (V, C), truth (V,) and failed (F,), found {scores.shape}, {truth.shape} and "
            f"{failed_truth.shape}"
        )
    if not len(truth) + len(failed_truth):
        raise InputError("expected one or more videos, found none")
    require_finite_outputs("scores", scores)
    known = np.concatenate([truth, failed_truth[failed_truth != -1]])
    if known.size and not 0 <= known.min() <= known.max() < scores.shape[1]:
        raise InputError(
            f"expected classes 0 to {scores.shape[1] - 1}, found {known.min()} to {known.max()}: "
            "was the model trained on other classes?"
        )


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix, each row as shares of its class, as a PNG file.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    confusion
        (C, C + 1) int64, as in `Accuracy`.
    classes
        Names of the C classes.
    """
    side = max(4.0, 0.16 * len(classes) + 2.5)
    figure = make_figure((side, side))
    axes = figure.add_subplot()
    shares = confusion / np.maximum(1, confusion.sum(axis=1, keepdims=True))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="recognised as", ylabel="class")
    axes.set_yticks(range(len(classes)), list(classes), fontsize=7, parse_math=False)
    names = [*classes, "(failed)"]
    axes.set_xticks(range(len(names)), names, fontsize=7, rotation=90, parse_math=False)
    figure.colorbar(image, ax=axes, label="share of the class's videos", shrink=0.7)
    save_figure(figure, path)


def _write_classes(accuracy: Accuracy, classes: Sequence[str], path: Path) -> None:
    """Write one row per class: videos, recognised ones, and the class most often predicted instead."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("class", "videos", "recognised", "accuracy", "mostly_taken_for"))
    names = [*classes, "(failed)"]
    for number, (name, row) in enumerate(zip(classes, accuracy.confusion, strict=True)):
        mistakes = np.where(np.arange(len(row)) == number, 0, row)
        mostly = names[int(mistakes.argmax())] if mistakes.any() else ""
        share = accuracy.per_class[number]
        writer.writerow((name, row.sum(), row[number], "" if np.isnan(share) else f"{share:.4f}", mostly))
    try:
        write_text(path, text.getvalue())
    except OSError as error:
        raise ConfigError(f"cannot write {path} ({reason_of(error)}): give another --out") from error


def evaluate_accuracy(
    evaluation: Evaluation,
    shards: ShardSet,
    scratch_run: str | None = None,
    leaks: Sequence[str] | None = None,
) -> Result:
    """Measure video-level accuracy of a fine-tuned model; draws `confusion.png` and writes `classes.csv`.

    Parameters
    ----------
    evaluation
        The model, and where to write.
    shards
        The test videos.
    scratch_run
        Folder or checkpoint of the baseline: the same network fine-tuned from random weights.
    leaks
        Sentences about leaks between training and test; None derives them from the names of videos and
        groups that the model keeps.

    Raises
    ------
    CheckpointError
        If a checkpoint cannot be read, or has no classes.
    ConfigError
        If the baseline was trained with other options or shards.
    DatasetError
        If the shards have no clips, or no class that the model knows.
    """
    weights = evaluation.weights
    scratch = None if scratch_run is None else load_scratch_run(scratch_run, weights.content)
    dataset_and_split(shards)  # refuses mixed shards before any work
    scores = score_videos(evaluation, weights, shards)
    accuracy = _measure_scores(scores)
    random = {} if scratch is None else _measure_scores(score_videos(evaluation, scratch, shards)).right
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
    measured = Measured(accuracy.right), Measured(random)
    return make_result(evaluation, "accuracy", shards, scores, *measured, details)


def _measure_scores(scores: VideoFeatures) -> Accuracy:
    known = has_class(scores)
    return video_accuracy(scores.values[known], scores.classes[known], scores.failed_classes)


def _known_leaks(weights: Weights, shards: ShardSet) -> list[str]:
    """Compare the test videos with the training videos whose names, or their digests, the model keeps."""
    content = weights.content
    if "training_videos" not in content:
        return [f"leaks are not known: {weights.source} does not say which videos it was trained on"]
    names = VideoNames(frozenset(content["training_videos"]), frozenset(content["training_groups"]))
    return shared_names(names, VideoNames.of(shards.videos))


def load_scratch_run(source: str, expected: Mapping[str, Any]) -> Weights:
    """Load the baseline: a run of `mas-finetune --init scratch` that is otherwise like the evaluated one.

    Parameters
    ----------
    source
        Its folder or checkpoint.
    expected
        Training options of the evaluated run: its checkpoint's content, or `FinetuneJob.origin`.

    Raises
    ------
    CheckpointError
        If it cannot be read.
    ConfigError
        If it did not begin from random weights, is not finished, or was trained with other options or shards.
    """
    weights = load_weights(source)
    if weights.kind != "supervised":
        raise ConfigError(
            f"--scratch-run {source} did not begin from random weights: make it with --init scratch"
        )
    if describe_unfinished(weights):
        raise ConfigError(
            f"--scratch-run {source}: expected a finished run, found {weights.content['epoch']} of "
            f"{weights.recipe['epochs']} epochs, whose accuracy would flatter this one: mas-finetune --resume"
        )
    found, recipe = weights.content, with_defaults(expected["recipe"])
    entries = ("frozen", "label_fraction", "content_hashes")
    differing = [name for name in entries if found.get(name) != expected.get(name)]
    differing += [
        name
        for name, value in with_defaults(found["recipe"]).items()
        if name not in MAY_DIFFER and value != recipe.get(name)
    ]
    if differing:
        raise ConfigError(
            f"--scratch-run {source} was trained otherwise ({', '.join(differing)}), so its accuracy is no "
            "baseline: fine-tune from scratch with the same options and shards"
        )
    return weights
