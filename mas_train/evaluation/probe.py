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

from mas_labels.errors import InputError
from mas_train.evaluation.svm import require_sklearn

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
