"""Linear classifiers on frozen features, end to end: weights and shards to results."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError
from mas_labels.shard import ShardSet
from mas_train.class_match import match_classes
from mas_train.evaluation.probe import classify, leave_group_out
from mas_train.evaluation.results import Result
from mas_train.evaluation.run import Evaluation, make_result, shards_of, with_classes
from mas_train.labelled import choose_videos
from mas_train.leaks import find_leaks
from mas_train.weights import Weights


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
