"""Linear probe: a linear classifier on frozen features of videos.

Fitted on the training videos, with all labels and with few, or on all groups of videos but the tested one.

Notes
-----
The classifier is a logistic regression with an L2 penalty (scikit-learn's, lbfgs). Each feature is first
standardised over the training videos to mean 0 and deviation 1, and divided by the square root of the number
of features, so that one penalty suits vectors of any scale and length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError
from mas_labels.shards import ShardSet
from mas_train.data.class_match import match_classes
from mas_train.data.few_labels import choose_videos
from mas_train.data.leakage import find_shard_leaks
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.options import ProbeOptions
from mas_train.evaluation.protocol import (
    Evaluation,
    dataset_and_split,
    has_class,
    make_result,
    recognition_rate,
)
from mas_train.evaluation.results import Result
from mas_train.evaluation.svm import require_sklearn
from mas_train.weights.backbone_weights import Weights

MAX_ITERATIONS = 2000


def classify(
    train: NDArray[np.floating],
    classes: NDArray[np.integer],
    test: NDArray[np.floating],
    c: float = ProbeOptions.c,
) -> NDArray[np.int64]:
    """Fit the classifier on training videos, predict the classes of test videos.

    Parameters
    ----------
    train, test
        (V, D) and (W, D) features, one row per video.
    classes
        (V,), the classes of `train`.
    c
        Weight of errors against the penalty.

    Returns
    -------
    (W,) int64: the predicted classes.

    Raises
    ------
    InputError
        If a shape is wrong, a feature is not finite, or there is only one class.
    MissingDependencyError
        If scikit-learn is not installed.
    """
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1]:
        raise InputError(f"expected features (V, D) and (W, D), found {train.shape} and {test.shape}")
    if classes.shape != train.shape[:1] or len(np.unique(classes)) < 2:
        raise InputError(f"expected {len(train)} classes, at least two different ones, found {classes.shape}")
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise InputError("expected finite features, found others: the model has diverged")
    require_sklearn()
    from sklearn.linear_model import LogisticRegression

    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(train.shape[1])
    machine = LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit((train - mean) / scale, classes)
    return machine.predict((test - mean) / scale).astype(np.int64)


def leave_group_out(
    features: NDArray[np.floating], classes: NDArray[np.integer], groups: NDArray, c: float = ProbeOptions.c
) -> NDArray[np.int64]:
    """Predict the classes of each group's videos by a classifier fitted on all other groups.

    Parameters
    ----------
    features, classes
        As in `classify`.
    groups
        (V,), the group of each video, such as the person that is seen.

    Returns
    -------
    (V,) int64: the predicted classes.

    Raises
    ------
    InputError
        If there is only one group, or as in `classify`.
    """
    names = np.unique(groups)
    if groups.shape != features.shape[:1] or len(names) < 2:
        raise InputError(
            f"expected groups (V,), two or more different ones, found {groups.shape}, {len(names)} of them"
        )
    predicted = np.empty(len(classes), np.int64)
    for name in names:
        tested = groups == name
        predicted[tested] = classify(features[~tested], classes[~tested], features[tested], c)
    return predicted


def evaluate_probe(evaluation: Evaluation, train: ShardSet, test: ShardSet, options: ProbeOptions) -> Result:
    """Measure a linear classifier on frozen features, fitted with all labels and with a share of them.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    train, test
        The training and the test videos.
    options
        The share of labels, and the weight of errors.

    Raises
    ------
    DatasetError
        If there are no clips or classes, or the two have no class in common.
    """
    match = match_classes(train.classes, test)
    dataset_and_split(test)  # refuses mixed shards before any work
    evaluation.require_same_length(train, test)
    leaks = find_shard_leaks(train, test)

    def features_of(weights: Weights) -> tuple[VideoFeatures, VideoFeatures]:
        return evaluation.features(weights, train), evaluation.features(weights, test).in_classes(match)

    train_features, test_features = features_of(evaluation.weights)
    figures = _measure_split(train_features, test_features, options)
    random = evaluation.random_figures(lambda weights: _measure_split(*features_of(weights), options))
    details = {
        "features": evaluation.feature_kind,
        "c": options.c,
        "few": options.few,
        "draws": options.draws,
        "train_clips": len(train),
        "leaks": leaks,
        "left_out": match.left_out,
        "incomplete": [str(folder) for folder in train.incomplete],
    }
    return make_result(evaluation, "probe", test, test_features, figures, random, details)


def _measure_split(train: VideoFeatures, test: VideoFeatures, options: ProbeOptions) -> dict[str, float]:
    """Return accuracy on the test videos with all labels, and the mean over draws of a share of them."""
    in_test, in_train = has_class(test), has_class(train)
    truth = test.classes[in_test]

    def accuracy(chosen: NDArray[np.bool_]) -> float:
        predicted = classify(train.values[chosen], train.classes[chosen], test.values[in_test], options.c)
        return recognition_rate(predicted, truth, test)

    few = [accuracy(choose_videos(train.classes, options.few, seed)) for seed in range(options.draws)]
    return {"accuracy": accuracy(in_train), f"accuracy, {options.few:.0%} of labels": float(np.mean(few))}


def evaluate_groups(evaluation: Evaluation, shards: ShardSet, c: float) -> Result:
    """Measure a linear classifier on frozen features, fitted on all groups of videos but the tested one.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    shards
        Videos with classes and groups, such as the persons that are seen.
    c
        Weight of errors against the penalty.

    Raises
    ------
    DatasetError
        If the videos have no classes, or no groups.
    """
    dataset_and_split(shards)  # refuses mixed shards before any work
    if any(video.group is None for video in shards.videos):
        raise DatasetError(
            f"expected groups of videos in {shards.paths[0].parent}, found a video without one: give --train "
            "the training shards, or label with a manifest that names groups"
        )

    def measure(features: VideoFeatures) -> dict[str, float]:
        known = has_class(features)
        groups = np.array(features.groups)[known]
        predicted = leave_group_out(features.values[known], features.classes[known], groups, c)
        return {"accuracy": recognition_rate(predicted, features.classes[known], features)}

    features = evaluation.features(evaluation.weights, shards)
    figures = measure(features)
    random = evaluation.random_figures(lambda weights: measure(evaluation.features(weights, shards)))
    details = {"features": evaluation.feature_kind, "c": c}
    return make_result(evaluation, "groups", shards, features, figures, random, details)
