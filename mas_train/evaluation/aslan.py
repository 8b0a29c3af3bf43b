"""Action similarity on ASLAN: do two videos show the same action? (paper, section 4.4).

The protocol is that of Kliper-Gross, Hassner and Wolf, TPAMI 34(3), 2012: the feature vectors of a pair of
videos become 12 (dis)similarities (their table 3), each normalised over the training pairs, and a linear SVM
decides; each of the ten splits of View 2 is tested with the other nine for training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import DatasetError, InputError
from mas_labels.shards import ShardSet
from mas_train.evaluation.aslan_pairs import Pairs
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.options import SVM_C
from mas_train.evaluation.protocol import Evaluation, dataset_and_split, make_result
from mas_train.evaluation.results import Result
from mas_train.evaluation.svm import require_sklearn
from mas_train.model.similarity import normalise_rows
from mas_train.runtime.figures import make_figure, save_figure
from mas_train.weights.backbone_weights import Weights

N_SIMILARITIES: Final = 12
MIN_PROBABILITY: Final = 1e-10
"""Smaller values are replaced by it inside a logarithm."""

Samples = Mapping[int, NDArray[np.floating]]
"""Feature vector (D,) of each sample, by its number."""


def by_sample(features: VideoFeatures) -> dict[int, NDArray[np.floating]]:
    """Return the feature vectors by sample number, which is the name of the video.

    Raises
    ------
    DatasetError
        If a name is not a number, or two files have the same number.
    """
    samples: dict[int, NDArray[np.floating]] = {}
    paths: dict[int, str] = {}
    for path, values in zip(features.paths, features.values, strict=True):
        name = PurePosixPath(path).stem
        if not re.fullmatch(r"\d{4}", name):
            raise DatasetError(
                f"expected samples of four digits such as 0001.avi, found {path!r}: see aslan.yaml"
            )
        if int(name) in samples:
            raise DatasetError(
                f"sample {name} appears twice, {paths[int(name)]!r} and {path!r}: label one folder"
            )
        samples[int(name)], paths[int(name)] = values, path
    return samples


def similarities(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the 12 (dis)similarities of pairs of vectors, in the order of the reference's table 3.

    Parameters
    ----------
    first, second
        (P, D), non-negative: rows i of both are one pair.

    Returns
    -------
    (P, 12) float64.

    Raises
    ------
    InputError
        If a shape is wrong, or a value is negative or not finite.

    Notes
    -----
    Decided here, where the reference leaves it open:

    - A term 0 / 0 counts as 0.
    - For the last four the vectors are divided by their sums, because number 10 is a divergence of
      distributions; the reference says only "normalised". A vector of zeros stays zero.
    - In number 10, values below 1e-10 are replaced by 1e-10 inside the logarithm only, so that 0 log 0 is 0.
    """
    x1, x2 = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if x1.ndim != 2 or x1.shape != x2.shape:
        raise InputError(f"expected two arrays (P, D), found {x1.shape} and {x2.shape}")
    if not (
        np.isfinite(x1).all() and np.isfinite(x2).all() and min(x1.min(initial=0), x2.min(initial=0)) >= 0
    ):
        raise InputError("expected finite, non-negative features, found others: take them after the ReLU")
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


def _divide(numerator: NDArray[np.float64], denominator: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide element by element; 0 / 0 gives 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _to_sum_1(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide each row by its sum; a row of zeros stays zero."""
    sums = vectors.sum(axis=1, keepdims=True)
    return _divide(vectors, np.broadcast_to(sums, vectors.shape))


@dataclass(frozen=True)
class PairResult:
    """Accuracy of deciding which pairs show the same action.

    Attributes
    ----------
    accuracies
        Share of the pairs of each split that were decided correctly; pairs without features count as wrong.
    accuracy, standard_error
        Their mean, and its standard error over the splits (NaN for one split).
    auc
        Area under the ROC curve over all pairs of all splits; pairs without features are left out.
    roc
        (K, 2) float64: false and true positive rates.
    pairs, failed_pairs
        Number of pairs in all, and of those of which a video has no features.
    """

    accuracies: tuple[float, ...]
    accuracy: float
    standard_error: float
    auc: float
    roc: NDArray[np.float64]
    pairs: int
    failed_pairs: int


def evaluate_pairs(
    features: Samples, pairs: Pairs, tested: Sequence[int] | None = None, c: float = SVM_C
) -> PairResult:
    """Test each split with all others for training.

    Parameters
    ----------
    features
        The mean over each sample's clips, non-negative; normalised here to length 1.
    pairs
        The pairs to decide, in two or more splits.
    tested
        Splits to test; None for each in turn (View 2), [1] for View 1.
    c
        Weight of errors in the SVM.

    Raises
    ------
    InputError
        If there is only one split, or no pair with features.
    MissingDependencyError
        If scikit-learn is not installed.

    Notes
    -----
    Pairs of which a sample has no features are left out of training and count as wrong in testing.
    """
    require_sklearn()
    from sklearn.metrics import roc_auc_score, roc_curve

    has_features = np.array(
        [{int(a), int(b)} <= features.keys() for a, b in zip(pairs.first, pairs.second, strict=True)]
    )
    splits = np.unique(pairs.split) if tested is None else np.asarray(tested)
    is_tested = np.isin(pairs.split, splits)
    if len(np.unique(pairs.split)) < 2 or not has_features[is_tested].any():
        raise InputError(
            f"expected pairs with features in 2 or more splits, found {has_features.sum()} such pairs"
        )
    scores = _score_pairs(features, pairs, has_features, splits, c)
    is_scored = ~np.isnan(scores)
    is_correct = is_scored & ((scores > 0) == pairs.same)
    accuracies = [float(is_correct[pairs.split == split].mean()) for split in splits]
    false_rate, true_rate, _ = roc_curve(pairs.same[is_scored], scores[is_scored])
    error = np.std(accuracies, ddof=1) / np.sqrt(len(splits)) if len(splits) > 1 else np.nan
    return PairResult(
        accuracies=tuple(accuracies),
        accuracy=float(np.mean(accuracies)),
        standard_error=float(error),
        auc=float(roc_auc_score(pairs.same[is_scored], scores[is_scored])),
        roc=np.stack([false_rate, true_rate], axis=1),
        pairs=int(is_tested.sum()),
        failed_pairs=int((~has_features)[is_tested].sum()),
    )


def _score_pairs(
    features: Samples, pairs: Pairs, has_features: NDArray[np.bool_], splits: NDArray[np.integer], c: float
) -> NDArray[np.float64]:
    """Return the SVM's score of each tested pair, (P,), more than 0 for the same action; NaN for others."""
    table = np.zeros((len(has_features), N_SIMILARITIES))
    table[has_features] = similarities(
        _rows(features, pairs.first[has_features]), _rows(features, pairs.second[has_features])
    )
    scores = np.full(len(has_features), np.nan)
    for split in splits:
        train = has_features & (pairs.split != split)
        test = has_features & (pairs.split == split)
        if test.any():
            scores[test] = _fit_and_score(table[train], pairs.same[train], table[test], c)
    return scores


def _rows(features: Samples, samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the feature vectors of samples, each of length 1, (P, D)."""
    return normalise_rows(np.stack([features[int(sample)] for sample in samples]))


def _fit_and_score(
    train: NDArray[np.float64], same: NDArray[np.bool_], test: NDArray[np.float64], c: float
) -> NDArray[np.float64]:
    """Standardise the 12 columns over the training pairs, fit the SVM, return the test pairs' scores."""
    mean, std = train.mean(axis=0), train.std(axis=0)
    scale = np.where(std > 0, std, 1.0)
    machine = require_sklearn().SVC(kernel="linear", C=c).fit((train - mean) / scale, same)
    return machine.decision_function((test - mean) / scale)


def draw_roc(curves: dict[str, NDArray[np.float64]], path: Path) -> None:
    """Draw ROC curves as a PNG file.

    Raises the errors of `mas_train.runtime.figures.make_figure` and `save_figure`.

    Parameters
    ----------
    curves
        Name, such as ``"ours, AUC 0.62"`` -> (K, 2) false and true positive rates.
    """
    figure = make_figure((5, 5))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#999999", linestyle="--", label="chance")
    for name, rates in curves.items():
        axes.plot(rates[:, 0], rates[:, 1], label=name)
    axes.set(
        xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1), aspect="equal"
    )
    axes.legend(loc="lower right")
    save_figure(figure, path)


def evaluate_aslan(evaluation: Evaluation, shards: ShardSet, pairs: Pairs, view: int, c: float) -> Result:
    """Measure action similarity: ten folds of View 2, or the one of View 1; draws `roc.png`.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    shards
        The samples.
    pairs, view
        The pairs to decide, and the number of their view, 1 or 2.
    c
        Weight of errors in the SVM.

    Raises
    ------
    DatasetError
        If a sample appears twice.
    """
    dataset_and_split(shards)  # refuses mixed shards before any work
    curves: dict[str, NDArray[np.float64]] = {}
    details: dict[str, Any] = {"features": evaluation.feature_kind, "svm_c": c, "view": view}

    def measure(weights: Weights, features: VideoFeatures) -> dict[str, float]:
        result = evaluate_pairs(by_sample(features), pairs, tested=[1] if view == 1 else None, c=c)
        curves[f"{weights.kind}, AUC {result.auc:.3f}"] = result.roc
        details[f"accuracies, {weights.kind}"] = list(result.accuracies)
        details.update(pairs=result.pairs, pairs_without_features=result.failed_pairs)
        figures = {"accuracy": result.accuracy, "standard error": result.standard_error, "AUC": result.auc}
        return {name: value for name, value in figures.items() if not np.isnan(value)}

    features = evaluation.features(evaluation.weights, shards)
    figures = measure(evaluation.weights, features)
    random = evaluation.random_figures(lambda weights: measure(weights, evaluation.features(weights, shards)))
    draw_roc(curves, evaluation.out / "roc.png")
    return make_result(evaluation, "aslan", shards, features, figures, random, details)
