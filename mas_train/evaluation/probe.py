"""A linear classifier on frozen features of videos: with all labels, with few, or leaving a group out.

Notes
-----
The classifier is a logistic regression with an L2 penalty (scikit-learn's, lbfgs). Each feature is first
brought to mean 0 and deviation 1 over the training videos, and divided by the square root of their number, so
that one penalty serves vectors of any scale and length.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError
from mas_labels.shards import ShardSet
from mas_train.data.class_match import match_classes
from mas_train.data.few_labels import choose_videos
from mas_train.data.leakage import find_leaks
from mas_train.evaluation.protocol import Evaluation, make_result, require_sklearn, shards_of, with_classes
from mas_train.evaluation.results import Result
from mas_train.weights.load import Weights

C = 10.0
"""Weight of errors against the penalty, for features so scaled."""
ITERATIONS = 2000


def classify(
    train: NDArray[np.floating],
    classes: NDArray[np.integer],
    test: NDArray[np.floating],
    c: float = C,
) -> NDArray[np.int64]:
    """Fit on some videos, recognise others.

    Parameters
    ----------
    train, test
        (V, D) and (W, D), a row a video.
    classes
        (V,), the classes of `train`.
    c
        Weight of errors.

    Returns
    -------
    (W,) int64: the class recognised.

    Raises
    ------
    InputError
        A shape is wrong, a feature is not finite, or there is one class only.
    MissingDependencyError
        scikit-learn is not installed.
    """
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1]:
        raise InputError(f"expected features (V, D) and (W, D), found {train.shape} and {test.shape}")
    if classes.shape != train.shape[:1] or len(np.unique(classes)) < 2:
        raise InputError(f"expected {len(train)} classes, two different ones or more, found {classes.shape}")
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        raise InputError("expected finite features, found others: the model has diverged")
    require_sklearn()
    from sklearn.linear_model import LogisticRegression

    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(train.shape[1])
    machine = LogisticRegression(C=c, max_iter=ITERATIONS).fit((train - mean) / scale, classes)
    return machine.predict((test - mean) / scale).astype(np.int64)


def leave_group_out(
    features: NDArray[np.floating], classes: NDArray[np.integer], groups: NDArray, c: float = C
) -> NDArray[np.int64]:
    """Recognise the videos of each group by a classifier fitted on all other groups.

    Parameters
    ----------
    features, classes
        As in `classify`.
    groups
        (V,), what goes together, such as the person that is seen.

    Returns
    -------
    (V,) int64: the class recognised.

    Raises
    ------
    InputError
        There is one group only; or as `classify`.
    """
    names = np.unique(groups)
    if groups.shape != features.shape[:1] or len(names) < 2:
        raise InputError(f"expected a group a video, two or more, found {len(names)} and {groups.shape}")
    recognised = np.empty(len(classes), np.int64)
    for name in names:
        tested = groups == name
        recognised[tested] = classify(features[~tested], classes[~tested], features[tested], c)
    return recognised


def evaluate_probe(
    evaluation: Evaluation, train: ShardSet, test: ShardSet, few: float, draws: int, c: float
) -> Result:
    """Linear classifier on frozen features, fitted with all labels and with a share of them.

    Raises
    ------
    DatasetError
        If there are no clips or classes, or the two have no class in common.

    Notes
    -----
    `few` is a share of each class's training videos; its accuracy is the mean over `draws` of them.
    """
    match = match_classes(train.classes, test)
    shards_of(test)  # refuses before the work
    leaks = find_leaks(train, test)

    def measure(weights: Weights) -> dict[str, float]:
        known = evaluation.features(weights, train)
        asked = evaluation.features(weights, test).in_classes(match)
        of_test, all_train = with_classes(asked), with_classes(known)
        truth = asked.classes[of_test]

        def accuracy(chosen: NDArray[np.bool_]) -> float:
            found = classify(known.values[chosen], known.classes[chosen], asked.values[of_test], c)
            return float((found == truth).sum() / (len(truth) + len(asked.failed)))

        shares = [accuracy(choose_videos(known.classes, few, seed)) for seed in range(draws)]
        return {"accuracy": accuracy(all_train), f"accuracy, {few:.0%} of labels": float(np.mean(shares))}

    figures = measure(evaluation.weights)
    details = {"features": evaluation.kind, "c": c, "few": few, "draws": draws, "train_clips": len(train)}
    details |= {"leaks": leaks, "left_out": match.left_out}
    details["incomplete"] = [str(folder) for folder in train.incomplete]
    found = evaluation.features(evaluation.weights, test).in_classes(match)
    return make_result(evaluation, "probe", test, found, figures, evaluation.random_figures(measure), details)


def evaluate_groups(evaluation: Evaluation, shards: ShardSet, c: float) -> Result:
    """Linear classifier on frozen features, fitted on all groups of videos but the one that is tested.

    Raises
    ------
    DatasetError
        If the videos have no classes, or no groups.
    """
    shards_of(shards)  # refuses before the work

    def measure(weights: Weights) -> dict[str, float]:
        found = evaluation.features(weights, shards)
        known = with_classes(found)
        if None in found.groups:
            raise DatasetError(f"a video in {shards.paths[0]} has no group: take a recipe that names groups")
        groups = np.array(found.groups)[known]
        recognised = leave_group_out(found.values[known], found.classes[known], groups, c)
        right = int((recognised == found.classes[known]).sum())
        return {"accuracy": right / (int(known.sum()) + len(found.failed))}

    figures = measure(evaluation.weights)
    details = {"features": evaluation.kind, "c": c}
    found = evaluation.features(evaluation.weights, shards)
    return make_result(
        evaluation, "groups", shards, found, figures, evaluation.random_figures(measure), details
    )
