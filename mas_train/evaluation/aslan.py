"""Action similarity on ASLAN: do two videos show the same action? (paper, section 4.4).

The protocol is that of Kliper-Gross, Hassner and Wolf, TPAMI 34(3), 2012: the feature vectors of a pair of
videos become 12 (dis)similarities (their table 3), each normalised over the training pairs, and a linear SVM
decides; each of the ten splits of View 2 is tested with the other nine for training.

Notes
-----
The SVM is scikit-learn's LinearSVC, which is LIBLINEAR, with the squared hinge loss: 5,400 pairs of 12
numbers take milliseconds at any C, with LIBSVM seconds. How C is chosen, among the other splits:
`mas_train.evaluation.linear`.
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
from mas_train.evaluation.aslan_pairs import N_SIMILARITIES, Pairs, similarities
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.linear import ChoiceOfC, require_sklearn, scale_rows
from mas_train.evaluation.protocol import Evaluation, Measured, dataset_and_split, make_result
from mas_train.evaluation.results import Result
from mas_train.model.similarity import normalise_rows
from mas_train.runtime.figures import make_figure, save_figure
from mas_train.weights.backbone_weights import Weights

MAX_ITERATIONS: Final = 10_000

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
    right, split
        (P,) bool and int64: whether each tested pair was decided correctly, and its split.
    failed_pairs
        Number of pairs of which a video has no features.
    """

    accuracies: tuple[float, ...]
    accuracy: float
    standard_error: float
    auc: float
    roc: NDArray[np.float64]
    right: NDArray[np.bool_]
    split: NDArray[np.int64]
    failed_pairs: int


def evaluate_pairs(
    features: Samples, pairs: Pairs, tested: Sequence[int] | None = None, choice: ChoiceOfC | None = None
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
    choice
        Chooses the SVM's C among the other splits; None for a new one.

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
    scores = _score_pairs(features, pairs, has_features, splits, choice or ChoiceOfC())
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
        right=is_correct[is_tested],
        split=pairs.split[is_tested],
        failed_pairs=int((~has_features)[is_tested].sum()),
    )


def _score_pairs(
    features: Samples,
    pairs: Pairs,
    has_features: NDArray[np.bool_],
    splits: NDArray[np.integer],
    choice: ChoiceOfC,
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
            groups = pairs.split[train]
            scores[test] = _fit_and_score(table[train], pairs.same[train], groups, table[test], choice)
    return scores


def _rows(features: Samples, samples: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the feature vectors of samples, each of length 1, (P, D)."""
    return normalise_rows(np.stack([features[int(sample)] for sample in samples]))


def _fit_and_score(
    train: NDArray[np.float64],
    same: NDArray[np.bool_],
    splits: NDArray[np.integer],
    test: NDArray[np.float64],
    choice: ChoiceOfC,
) -> NDArray[np.float64]:
    """Standardise the 12 columns over the training pairs, fit the SVM, return the test pairs' scores."""
    from sklearn.svm import LinearSVC

    def fit(rows: NDArray[np.float64], truth: NDArray[np.bool_], c: float) -> Any:
        return LinearSVC(C=c, dual=False, max_iter=MAX_ITERATIONS).fit(rows, truth)

    scaled, tested = scale_rows(train, test, each_feature=True)
    groups = splits if len(np.unique(splits)) > 1 else None  # View 1 has one split to train on
    c = choice.choose(
        lambda fitted, rest, c: fit(scaled[fitted], same[fitted], c).predict(scaled[rest]), same, groups
    )
    return fit(scaled, same, c).decision_function(tested)


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


def evaluate_aslan(
    evaluation: Evaluation, shards: ShardSet, pairs: Pairs, view: int, svm_c: float | None = None
) -> Result:
    """Measure action similarity: ten folds of View 2, or the one of View 1; draws `roc.png`.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    shards
        The samples.
    pairs, view
        The pairs to decide, and the number of their view, 1 or 2.
    svm_c
        Weight of errors in the SVM; None to choose it.

    Raises
    ------
    DatasetError
        If a sample appears twice.
    """
    dataset_and_split(shards)  # refuses mixed shards before any work
    curves: dict[str, NDArray[np.float64]] = {}
    details: dict[str, Any] = {"features": evaluation.feature_kind, "c": {}, "view": view}
    splits: dict[str, NDArray[np.int64]] = {}

    def measure(weights: Weights, features: VideoFeatures) -> Measured:
        choice = ChoiceOfC(svm_c)
        result = evaluate_pairs(by_sample(features), pairs, [1] if view == 1 else None, choice)
        curves[f"{weights.kind}, AUC {result.auc:.3f}"] = result.roc
        details["c"][weights.kind] = choice.facts
        details[f"accuracies, {weights.kind}"] = list(result.accuracies)
        details.update(pairs=len(result.right), pairs_without_features=result.failed_pairs)
        splits["of pairs"] = result.split
        others = {"standard error": result.standard_error, "AUC": result.auc}
        known = {name: value for name, value in others.items() if not np.isnan(value)}
        return Measured({"accuracy": result.right}, known)

    features = evaluation.features(evaluation.weights, shards)
    measured = measure(evaluation.weights, features)
    random = evaluation.random_baseline(lambda w: measure(w, evaluation.features(w, shards)), shards)
    draw_roc(curves, evaluation.out / "roc.png")
    groups = ("splits of pairs", splits["of pairs"].tolist())
    return make_result(evaluation, "aslan", shards, features, measured, random, details, groups)
