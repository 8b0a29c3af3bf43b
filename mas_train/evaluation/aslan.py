"""Action similarity on ASLAN: are two videos of one action? (paper, section 4.4).

The protocol is that of Kliper-Gross, Hassner and Wolf, TPAMI 34(3), 2012: a pair of videos becomes 12
(dis)similarities of its two feature vectors (their table 3), each normalised over the training pairs, and a
linear SVM decides; ten splits of View 2 are each tested with the other nine for training.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError
from mas_labels.shards import ShardSet
from mas_train.evaluation.aslan_pairs import Pairs
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.figures import draw_roc
from mas_train.evaluation.protocol import C, Evaluation, make_result, require_sklearn, shards_of
from mas_train.evaluation.results import Result
from mas_train.evaluation.retrieval import normalise_rows
from mas_train.weights.load import Weights

MIN_PROBABILITY: Final = 1e-10
"""Below this a value is taken for it inside of a logarithm."""
SIMILARITIES: Final = 12


@dataclass(frozen=True)
class AslanResult:
    """How well pairs were told apart.

    Attributes
    ----------
    accuracies
        Share of the pairs of each split that were decided rightly; pairs without features count as wrong.
    accuracy, standard_error
        Their mean, and its standard error over the splits (NaN for one split).
    auc
        Area under the ROC curve over all pairs of all splits; pairs without features are left out.
    roc
        (K, 2) float64: false and true positive rates.
    pairs, failed_pairs
        Pairs in all, and those of which a video has no features.
    """

    accuracies: tuple[float, ...]
    accuracy: float
    standard_error: float
    auc: float
    roc: NDArray[np.float64]
    pairs: int
    failed_pairs: int


def similarities(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the 12 (dis)similarities of pairs of vectors, in the order of the reference's table 3.

    Parameters
    ----------
    first, second
        (P, D), not negative: row i of both is one pair.

    Returns
    -------
    (P, 12) float64.

    Raises
    ------
    InputError
        A shape is wrong, or a value is negative or not finite.

    Notes
    -----
    - A term 0 / 0 counts 0.
    - For the last four the vectors are divided by their sums: number 10 is a divergence of distributions, and
      the reference says only "normalised". A vector of zeros stays one.
    - In number 10 values below 1e-10 are taken for 1e-10 inside of the logarithm only, so that 0 log 0 is 0.
    """
    x1, x2 = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x1.ndim != 2 or x1.shape != x2.shape:
        raise InputError(f"expected two arrays (P, D), found {x1.shape} and {x2.shape}")
    if not (
        np.isfinite(x1).all() and np.isfinite(x2).all() and min(x1.min(initial=0), x2.min(initial=0)) >= 0
    ):
        raise InputError("expected finite features that are not negative: take them after the ReLU")
    p1, p2 = _to_sum_1(x1), _to_sum_1(x2)
    dot = (x1 * x2).sum(axis=1)
    log_ratio = np.log(np.maximum(p1, MIN_PROBABILITY) / np.maximum(p2, MIN_PROBABILITY))
    columns = (
        dot,
        np.sqrt(dot),
        np.sqrt(np.sqrt(x1 * x2).sum(axis=1)),
        np.sqrt(_divide(x1 * x2, x1 + x2).sum(axis=1)),
        _divide(dot, np.linalg.norm(x1, axis=1) * np.linalg.norm(x2, axis=1)),
        np.sqrt(_divide((x1 - x2) ** 2, x1 + x2).sum(axis=1)),
        np.abs(x1 - x2).sum(axis=1),
        np.sqrt(((np.sqrt(x1) - np.sqrt(x2)) ** 2).sum(axis=1)),
        np.sqrt(((p1 - p2) ** 2).sum(axis=1)),
        ((p1 - p2) * log_ratio).sum(axis=1) / 2,
        _divide(np.sqrt(np.maximum(p1, p2)), np.sqrt(p1 + p2)).sum(axis=1),
        _divide(np.minimum(p1, p2).sum(axis=1), p1.sum(axis=1) * p2.sum(axis=1)),
    )
    return np.stack(columns, axis=1)


def _divide(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; where the divisor is 0, so is what is divided, and the result is 0."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _to_sum_1(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    sums = vectors.sum(axis=1, keepdims=True)
    return _divide(vectors, np.broadcast_to(sums, vectors.shape))


def evaluate_pairs(
    features: dict[int, NDArray[np.floating]], pairs: Pairs, tested: Sequence[int] | None = None, c: float = C
) -> AslanResult:
    """Test each split with all others for training.

    Parameters
    ----------
    features
        For each sample its vector (D,), the mean over its clips, not negative; normalised here to length 1.
    pairs
        What to compare. Two splits or more.
    tested
        Splits to test; None for each in turn (View 2), split 1 alone for View 1.
    c
        Weight of errors in the SVM.

    Returns
    -------
    AslanResult

    Raises
    ------
    InputError
        There is one split only, or no pair with features.
    MissingDependencyError
        scikit-learn is not installed.

    Notes
    -----
    Pairs of which a sample has no features are left out of training and counted wrong in testing.
    """
    require_sklearn()
    from sklearn.metrics import roc_auc_score, roc_curve

    there = np.array(
        [{int(a), int(b)} <= features.keys() for a, b in zip(pairs.first, pairs.second, strict=True)]
    )
    splits = np.unique(pairs.split) if tested is None else np.asarray(tested)
    if len(np.unique(pairs.split)) < 2 or not there[np.isin(pairs.split, splits)].any():
        raise InputError(
            f"expected pairs with features in 2 splits or more, found {there.sum()} pairs with features"
        )
    table = np.zeros((len(there), SIMILARITIES))
    table[there] = similarities(_rows(features, pairs.first[there]), _rows(features, pairs.second[there]))
    scores = np.full(len(there), np.nan)
    for split in splits:
        train, test = there & (pairs.split != split), there & (pairs.split == split)
        if test.any():
            scores[test] = _decide(table[train], pairs.same[train], table[test], c)
    right = ~np.isnan(scores) & ((scores > 0) == pairs.same)
    accuracies = [float(right[pairs.split == split].mean()) for split in splits]
    scored = ~np.isnan(scores)
    false_rate, true_rate, _ = roc_curve(pairs.same[scored], scores[scored])
    spread = np.std(accuracies, ddof=1) / np.sqrt(len(splits)) if len(splits) > 1 else np.nan
    return AslanResult(
        accuracies=tuple(accuracies),
        accuracy=float(np.mean(accuracies)),
        standard_error=float(spread),
        auc=float(roc_auc_score(pairs.same[scored], scores[scored])),
        roc=np.stack([false_rate, true_rate], axis=1),
        pairs=int(np.isin(pairs.split, splits).sum()),
        failed_pairs=int((~there)[np.isin(pairs.split, splits)].sum()),
    )


def _decide(
    train: NDArray[np.float64], same: NDArray[np.bool_], test: NDArray[np.float64], c: float
) -> NDArray[np.float64]:
    """Normalise the 12 over the training pairs, fit the SVM, and return the test pairs' distances from it."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    scale = np.where(std > 0, std, 1.0)
    machine = require_sklearn().SVC(kernel="linear", C=c).fit((train - mean) / scale, same)
    return machine.decision_function((test - mean) / scale)


def _rows(features: dict[int, NDArray[np.floating]], samples: NDArray[np.int64]) -> NDArray[np.float64]:
    return normalise_rows(np.stack([features[int(sample)] for sample in samples]))


def evaluate_aslan(evaluation: Evaluation, shards: ShardSet, pairs: Pairs, view: int, c: float) -> Result:
    """Action similarity: ten folds of View 2, or the one of View 1; draws `roc.png`.

    Raises
    ------
    DatasetError
        If a sample is there twice.
    """
    shards_of(shards)  # refuses before the work
    curves: dict[str, NDArray[np.float64]] = {}
    details: dict[str, Any] = {"features": evaluation.kind, "svm_c": c, "view": view}

    def measure(weights: Weights) -> dict[str, float]:
        samples = by_sample(evaluation.features(weights, shards))
        found = evaluate_pairs(samples, pairs, tested=[1] if view == 1 else None, c=c)
        curves[f"{weights.kind}, AUC {found.auc:.3f}"] = found.roc
        details[f"accuracies, {weights.kind}"] = list(found.accuracies)
        details.update(pairs=found.pairs, pairs_without_features=found.failed_pairs)
        figures = {"accuracy": found.accuracy, "standard error": found.standard_error, "AUC": found.auc}
        return {name: value for name, value in figures.items() if not np.isnan(value)}

    figures = measure(evaluation.weights)
    random = evaluation.random_figures(measure)
    draw_roc(curves, evaluation.out / "roc.png")
    found = evaluation.features(evaluation.weights, shards)
    return make_result(evaluation, "aslan", shards, found, figures, random, details)


def by_sample(found: VideoFeatures) -> dict[int, NDArray[np.floating]]:
    """Return features by the number that is a sample's name.

    Raises
    ------
    DatasetError
        If a name is no number, or two files have one number.
    """
    samples: dict[int, NDArray[np.floating]] = {}
    paths: dict[int, str] = {}
    for path, values in zip(found.paths, found.values, strict=True):
        name = PurePosixPath(path).stem
        if not re.fullmatch(r"\d{4}", name):
            raise DatasetError(
                f"expected samples of four digits such as 0001.avi, found {path!r}: see aslan.yaml"
            )
        if int(name) in samples:
            raise DatasetError(
                f"sample {name} is there twice, {paths[int(name)]!r} and {path!r}: label one folder"
            )
        samples[int(name)], paths[int(name)] = values, path
    return samples
