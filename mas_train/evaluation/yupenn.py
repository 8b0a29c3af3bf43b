"""Dynamic scenes of YUPENN, leaving one video out (paper, section 4.5; Derpanis et al., CVPR 2012)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mas_labels.errors import InputError
from mas_labels.shards import ShardSet
from mas_train.evaluation.protocol import C, Evaluation, make_result, require_sklearn, shards_of, with_classes
from mas_train.evaluation.results import Result
from mas_train.evaluation.retrieval import normalise_rows
from mas_train.weights.load import Weights


def leave_one_out(
    features: NDArray[np.floating], classes: NDArray[np.integer], c: float = C
) -> NDArray[np.int64]:
    """Recognise each video by a linear SVM trained on all others.

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
    (V,) int64: the class recognised.

    Raises
    ------
    InputError
        A shape is wrong, a feature is not finite, or a class has only one video.
    MissingDependencyError
        scikit-learn is not installed.
    """
    features, classes = np.asarray(features), np.asarray(classes)
    if features.ndim != 2 or classes.shape != features.shape[:1]:
        raise InputError(
            f"expected features (V, D) and classes (V,), found {features.shape}, {classes.shape}"
        )
    if not np.isfinite(features).all():
        raise InputError("expected finite features, found others: the model has diverged")
    _, counts = np.unique(classes, return_counts=True)
    if len(counts) < 2 or counts.min() < 2:
        raise InputError(
            f"expected 2 classes or more with 2 videos each or more, found counts {counts.tolist()}"
        )
    svm = require_sklearn()
    rows = normalise_rows(features)
    kernel = rows @ rows.T  # (V, V): computed once, a fit takes its part
    recognised = np.empty(len(classes), np.int64)
    for video in range(len(classes)):
        others = np.delete(np.arange(len(classes)), video)
        machine = svm.SVC(kernel="precomputed", C=c).fit(kernel[np.ix_(others, others)], classes[others])
        recognised[video] = machine.predict(kernel[video, others][None])[0]
    return recognised


def evaluate_yupenn(evaluation: Evaluation, shards: ShardSet, c: float) -> Result:
    """Leave-one-out recognition by a linear SVM.

    Raises
    ------
    DatasetError
        If the videos have no classes.
    """
    shards_of(shards)  # refuses before the work

    def measure(weights: Weights) -> dict[str, float]:
        found = evaluation.features(weights, shards)
        known = with_classes(found)
        recognised = leave_one_out(found.values[known], found.classes[known], c)
        right = int((recognised == found.classes[known]).sum())
        return {"accuracy": right / (int(known.sum()) + len(found.failed))}

    figures = measure(evaluation.weights)
    details = {"features": evaluation.kind, "svm_c": c}
    found = evaluation.features(evaluation.weights, shards)
    return make_result(
        evaluation, "yupenn", shards, found, figures, evaluation.random_figures(measure), details
    )
