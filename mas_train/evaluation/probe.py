"""Linear probe: a linear classifier on frozen features of videos.

Fitted on the training videos, with all labels and with few, or on all groups of videos but the tested one.

Notes
-----
The classifier is a logistic regression with an L2 penalty (scikit-learn's, lbfgs). Each feature is first
standardised over the training videos to mean 0 and deviation 1, and divided by the square root of the number
of features, so that a penalty means the same for vectors of any scale and length. How C is chosen:
`mas_train.evaluation.linear`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError
from mas_labels.shards import ShardSet
from mas_train.data.class_match import match_classes
from mas_train.data.few_labels import choose_videos
from mas_train.data.leakage import find_shard_leaks
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.linear import ChoiceOfC, ProbeOptions, require_sklearn, scale_rows
from mas_train.evaluation.protocol import (
    Evaluation,
    Measured,
    dataset_and_split,
    group_names,
    has_class,
    make_result,
    right_videos,
    tested_groups,
)
from mas_train.evaluation.results import Result
from mas_train.model.similarity import require_finite_outputs
from mas_train.weights.backbone_weights import Weights

MAX_ITERATIONS = 2000


def classify(
    train: NDArray[np.floating],
    classes: NDArray[np.integer],
    test: NDArray[np.floating],
    choice: ChoiceOfC | None = None,
    groups: Sequence[str] | NDArray | None = None,
) -> NDArray[np.int64]:
    """Fit the classifier on training videos, predict the classes of test videos.

    Parameters
    ----------
    train, test
        (V, D) and (W, D) features, one row per video.
    classes
        (V,), the classes of `train`.
    choice
        Chooses C among the training videos; None for a new one.
    groups
        (V,), groups of training videos that are not divided while C is chosen; None for each video alone.

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
    require_finite_outputs("features", train, test)
    require_sklearn()
    from sklearn.linear_model import LogisticRegression

    def fit(rows: NDArray[np.float64], truth: NDArray[np.integer], c: float) -> LogisticRegression:
        return LogisticRegression(C=c, max_iter=MAX_ITERATIONS).fit(rows, truth)

    scaled, tested = scale_rows(train, test, each_feature=True)
    c = (choice or ChoiceOfC()).choose(
        lambda fitted, rest, c: fit(scaled[fitted], classes[fitted], c).predict(scaled[rest]), classes, groups
    )
    return fit(scaled, classes, c).predict(tested).astype(np.int64)


def leave_group_out(
    features: NDArray[np.floating],
    classes: NDArray[np.integer],
    groups: NDArray,
    choice: ChoiceOfC | None = None,
) -> NDArray[np.int64]:
    """Predict the classes of each group's videos by a classifier fitted on all other groups.

    Parameters
    ----------
    features, classes, choice
        As in `classify`; C is chosen among the other groups alone.
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
    predicted, choice = np.empty(len(classes), np.int64), choice or ChoiceOfC()
    for name in names:
        tested = groups == name
        rest = features[~tested], classes[~tested], features[tested]
        predicted[tested] = classify(*rest, choice, groups[~tested])
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
    details: dict[str, Any] = {
        "features": evaluation.feature_kind,
        "c": {},
        "few": options.few,
        "draws": options.draws,
        "train_clips": len(train),
        "leaks": find_shard_leaks(train, test),
        "left_out": match.left_out,
        "incomplete": [str(folder) for folder in train.incomplete],
    }

    def measure(weights: Weights, tested: VideoFeatures) -> Measured:
        right, facts = _measure_split(evaluation.features(weights, train), tested, options)
        details["c"] |= {f"{weights.kind}, {name}": fact for name, fact in facts.items()}
        return Measured(right)

    def test_features(weights: Weights) -> VideoFeatures:
        return evaluation.features(weights, test).in_classes(match)

    features = test_features(evaluation.weights)
    measured = measure(evaluation.weights, features)
    random = evaluation.random_baseline(lambda w: measure(w, test_features(w)), train)
    return make_result(evaluation, "probe", test, features, measured, random, details)


def _measure_split(
    train: VideoFeatures, test: VideoFeatures, options: ProbeOptions
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, Any]]:
    """Return the test videos recognised with all labels, and with each draw of a share; and facts about C."""
    in_test, groups = has_class(test), np.array(group_names(train))

    def recognised(chosen: NDArray[np.bool_], choice: ChoiceOfC) -> NDArray[np.bool_]:
        fitted = train.values[chosen], train.classes[chosen], test.values[in_test]
        return right_videos(classify(*fitted, choice, groups[chosen]), test.classes[in_test], test)

    names = "accuracy", f"accuracy, {100 * options.few:g}% of labels"
    choices = {name: ChoiceOfC(options.c) for name in names}
    draws = [choose_videos(train.classes, options.few, seed) for seed in range(options.draws)]
    right = {
        names[0]: recognised(has_class(train), choices[names[0]]),
        names[1]: np.stack([recognised(chosen, choices[names[1]]) for chosen in draws]),
    }
    return right, {name: choice.facts for name, choice in choices.items()}


def evaluate_groups(evaluation: Evaluation, shards: ShardSet, c: float | None = None) -> Result:
    """Measure a linear classifier on frozen features, fitted on all groups of videos but the tested one.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    shards
        Videos with classes and groups, such as the persons that are seen.
    c
        Weight of errors against the penalty; None to choose it.

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

    details: dict[str, Any] = {"features": evaluation.feature_kind, "c": {}}

    def measure(weights: Weights, features: VideoFeatures) -> Measured:
        known, choice = has_class(features), ChoiceOfC(c)
        groups = np.array(features.groups)[known]
        predicted = leave_group_out(features.values[known], features.classes[known], groups, choice)
        details["c"][weights.kind] = choice.facts
        return Measured({"accuracy": right_videos(predicted, features.classes[known], features)})

    features = evaluation.features(evaluation.weights, shards)
    measured = measure(evaluation.weights, features)
    random = evaluation.random_baseline(lambda w: measure(w, evaluation.features(w, shards)), shards)
    groups = tested_groups(features, crosses_classes=True)
    return make_result(evaluation, "groups", shards, features, measured, random, details, groups)
