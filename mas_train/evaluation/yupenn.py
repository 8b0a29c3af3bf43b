"""Dynamic scene recognition on YUPENN (paper, section 4.5; Derpanis et al., CVPR 2012).

Features of each video, a linear SVM trained on all other videos, and the share that it recognises.

Notes
-----
The SVM is scikit-learn's SVC, which is LIBSVM; it separates several classes one against one. How its C is
chosen: `mas_train.evaluation.linear`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.shards import ShardSet
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.linear import ChoiceOfC, require_sklearn
from mas_train.evaluation.protocol import (
    Evaluation,
    Measured,
    dataset_and_split,
    has_class,
    make_result,
    right_videos,
)
from mas_train.evaluation.results import Result
from mas_train.model.similarity import normalise_rows, require_finite_outputs
from mas_train.weights.backbone_weights import Weights


def leave_one_out(
    features: NDArray[np.floating], classes: NDArray[np.integer], choice: ChoiceOfC | None = None
) -> NDArray[np.int64]:
    """Predict the class of each video by a linear SVM trained on all others.

    Parameters
    ----------
    features
        (V, D), the mean over each video's clips; normalised here to length 1 (L2).
    classes
        (V,), the videos' classes.
    choice
        Chooses the SVM's C for each video among all others; None for a new one.

    Returns
    -------
    (V,) int64: the predicted classes.

    Raises
    ------
    InputError
        If a shape is wrong, a feature is not finite, or a class has only one video.
    MissingDependencyError
        If scikit-learn is not installed.
    """
    features, classes = np.asarray(features), np.asarray(classes)
    _check_recognition(features, classes)
    require_sklearn()
    choice, rows = choice or ChoiceOfC(), normalise_rows(features).astype(np.float64)
    rows -= rows.mean(axis=0)  # an SVM is the same wherever the origin lies; near it products are exact
    kernel = rows @ rows.T  # (V, V): computed once, each fit uses a part of it
    predicted = np.empty(len(classes), np.int64)
    for video in range(len(classes)):
        others = np.delete(np.arange(len(classes)), video)
        train = kernel[np.ix_(others, others)]
        spread = np.trace(train) / len(others) - train.mean()  # mean squared distance from the mean
        scaled = (kernel / spread if spread > 0 else kernel)[:, others]
        c = choice.choose(partial(_predict, scaled[others], classes[others]), classes[others])
        predicted[video] = _fit(scaled[others], classes[others], c).predict(scaled[[video]])[0]
    return predicted


def _fit(kernel: NDArray[np.float64], classes: NDArray[np.integer], c: float) -> Any:
    """Fit an SVM on the products (n, n) of its training rows."""
    from sklearn.svm import SVC

    return SVC(kernel="precomputed", C=c).fit(kernel, classes)


def _predict(
    kernel: NDArray[np.float64],
    classes: NDArray[np.integer],
    fitted: NDArray[np.int64],
    tested: NDArray[np.int64],
    c: float,
) -> NDArray[np.integer]:
    """Fit on some rows and predict others (`mas_train.evaluation.linear.Predict`)."""
    return _fit(kernel[np.ix_(fitted, fitted)], classes[fitted], c).predict(kernel[np.ix_(tested, fitted)])


def _check_recognition(features: NDArray[np.floating], classes: NDArray[np.integer]) -> None:
    """Refuse features and classes that no SVM can be trained on."""
    if features.ndim != 2 or classes.shape != features.shape[:1]:
        raise InputError(
            f"expected features (V, D) and classes (V,), found {features.shape}, {classes.shape}"
        )
    require_finite_outputs("features", features)
    _, counts = np.unique(classes, return_counts=True)
    if len(counts) < 2 or counts.min() < 2:
        raise InputError(
            f"expected 2 or more classes with 2 or more videos each, found counts {counts.tolist()}"
        )


def evaluate_yupenn(evaluation: Evaluation, shards: ShardSet, svm_c: float | None = None) -> Result:
    """Measure leave-one-out recognition by a linear SVM.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    shards
        The videos of YUPENN.
    svm_c
        Weight of errors in the SVM; None to choose it.

    Raises
    ------
    DatasetError
        If the videos have no classes.
    """
    dataset_and_split(shards)  # refuses mixed shards before any work
    details: dict[str, Any] = {"features": evaluation.feature_kind, "c": {}}

    def measure(weights: Weights, features: VideoFeatures) -> Measured:
        known, choice = has_class(features), ChoiceOfC(svm_c)
        predicted = leave_one_out(features.values[known], features.classes[known], choice)
        details["c"][weights.kind] = choice.facts
        return Measured({"accuracy": right_videos(predicted, features.classes[known], features)})

    features = evaluation.features(evaluation.weights, shards)
    measured = measure(evaluation.weights, features)
    random = evaluation.random_baseline(lambda w: measure(w, evaluation.features(w, shards)), shards)
    return make_result(evaluation, "yupenn", shards, features, measured, random, details)
