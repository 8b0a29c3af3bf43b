"""Dynamic scene recognition on YUPENN (paper, section 4.5; Derpanis et al., CVPR 2012).

Features of each video, a linear SVM trained on all other videos, and the share that it recognises.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.shards import ShardSet
from mas_train.evaluation.features import VideoFeatures
from mas_train.evaluation.options import SVM_C
from mas_train.evaluation.protocol import (
    Evaluation,
    dataset_and_split,
    has_class,
    make_result,
    recognition_rate,
)
from mas_train.evaluation.results import Result
from mas_train.evaluation.svm import require_sklearn
from mas_train.model.similarity import normalise_rows


def leave_one_out(
    features: NDArray[np.floating], classes: NDArray[np.integer], c: float = SVM_C
) -> NDArray[np.int64]:
    """Predict the class of each video by a linear SVM trained on all others.

    Parameters
    ----------
    features
        (V, D), the mean over each video's clips; normalised here to length 1 (L2).
    classes
        (V,), the videos' classes.
    c
        Weight of errors in the SVM.

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
    svm = require_sklearn()
    rows = normalise_rows(features)
    kernel = rows @ rows.T  # (V, V): computed once, each fit uses a part of it
    predicted = np.empty(len(classes), np.int64)
    for video in range(len(classes)):
        others = np.delete(np.arange(len(classes)), video)
        machine = svm.SVC(kernel="precomputed", C=c).fit(kernel[np.ix_(others, others)], classes[others])
        predicted[video] = machine.predict(kernel[video, others][None])[0]
    return predicted


def _check_recognition(features: NDArray[np.floating], classes: NDArray[np.integer]) -> None:
    """Refuse features and classes that no SVM can be trained on."""
    if features.ndim != 2 or classes.shape != features.shape[:1]:
        raise InputError(
            f"expected features (V, D) and classes (V,), found {features.shape}, {classes.shape}"
        )
    if not np.isfinite(features).all():
        raise InputError("expected finite features, found others: the model has diverged")
    _, counts = np.unique(classes, return_counts=True)
    if len(counts) < 2 or counts.min() < 2:
        raise InputError(
            f"expected 2 or more classes with 2 or more videos each, found counts {counts.tolist()}"
        )


def evaluate_yupenn(evaluation: Evaluation, shards: ShardSet, c: float) -> Result:
    """Measure leave-one-out recognition by a linear SVM.

    Parameters
    ----------
    evaluation
        The weights, and where to write.
    shards
        The videos of YUPENN.
    c
        Weight of errors in the SVM.

    Raises
    ------
    DatasetError
        If the videos have no classes.
    """
    dataset_and_split(shards)  # refuses mixed shards before any work
    features = evaluation.features(evaluation.weights, shards)
    figures = _measure_leave_one_out(features, c)
    random = evaluation.random_figures(
        lambda weights: _measure_leave_one_out(evaluation.features(weights, shards), c)
    )
    details = {"features": evaluation.feature_kind, "svm_c": c}
    return make_result(evaluation, "yupenn", shards, features, figures, random, details)


def _measure_leave_one_out(features: VideoFeatures, c: float) -> dict[str, float]:
    """Return the accuracy of leave-one-out recognition."""
    known = has_class(features)
    predicted = leave_one_out(features.values[known], features.classes[known], c)
    return {"accuracy": recognition_rate(predicted, features.classes[known], features)}
