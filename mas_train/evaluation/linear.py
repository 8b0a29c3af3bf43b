"""Linear classifiers of frozen features: their scale, and C, which is chosen within the training part.

Notes
-----
The paper (sections 4.4, 4.5) says "linear SVM" and nothing about C. Decided here: C is the value of `C_GRID`
that recognises most in folds of the training part alone, so each tested fold has its own; the smallest of
equally good ones. The same grid serves every network. A fixed C would not: features of length 1 that lie
close together are hardly separated by C = 1, and the classifier then names the class with the most training
videos, which in leave-one-out is never that of the left-out video. So rows are first scaled by their
deviation, and C means the same for every network.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from threadpoolctl import threadpool_info, threadpool_limits

from mas_labels.system.extras import load_extra
from mas_labels.system.options import bounds, check_options

if TYPE_CHECKING:  # the command line takes options from here, and its --help loads no numpy
    import numpy as np
    from numpy.typing import NDArray

    Predict = Callable[[NDArray[np.int64], NDArray[np.int64], float], NDArray]
    """Fits on some training rows with a C, and predicts the classes of other training rows."""

C_GRID: Final = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Weights of errors against the margin, for rows whose mean squared distance from their mean is 1."""
INNER_FOLDS: Final = 3
"""Folds of the training part in which C is chosen."""
TOO_FEW_C: Final = 10.0
"""C where no class has two videos, or two groups, so that it cannot be chosen."""


@dataclass(frozen=True)
class ProbeOptions:
    """Options of the linear probe.

    Attributes
    ----------
    few
        Share of each class's training videos for the second figure.
    draws
        Number of random draws of this share, whose accuracies are averaged.
    c
        Weight of errors against the penalty, for standardised features.

        None: chosen in folds of the training videos.
    """

    few: float = field(default=0.1, metadata=bounds(above=0, at_most=1, is_share=True))
    draws: int = field(default=10, metadata=bounds(at_least=1))
    c: float | None = field(default=None, metadata=bounds(above=0))

    def __post_init__(self) -> None:
        check_options(self)


def require_sklearn() -> None:
    """Import scikit-learn, and let its fits use as many threads as torch may (`--threads`).

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    import torch

    load_extra("sklearn.svm", "this protocol needs", "eval")
    threads = torch.get_num_threads()
    if any(pool["num_threads"] > threads for pool in threadpool_info()):
        threadpool_limits(threads)  # of BLAS; more than the cores at hand slow each other


@dataclass
class ChoiceOfC:
    """Chooses C in each fold, and remembers what it chose.

    Attributes
    ----------
    given
        C of all folds; None to choose it.
    chosen
        C of each fold so far.
    fits
        Number of classifiers that choosing took.
    """

    given: float | None = None
    chosen: list[float] = field(default_factory=list)
    fits: int = 0

    def choose(
        self, predict: Predict, classes: NDArray, groups: Sequence[Any] | NDArray | None = None
    ) -> float:
        """Return the C of the grid that recognises most videos of the training part, of its inner folds.

        Parameters
        ----------
        predict
            Fits on some rows with a C, and predicts the classes of others; rows are numbers in `classes`.
        classes
            (V,), classes of the training part, numbers or bool.
        groups
            (V,), groups that are not divided between inner folds; None for each video alone.
        """
        best = self.given
        if best is None:
            folds = inner_folds(classes, groups)
            right = [sum(int((predict(*f, c) == classes[f[1]]).sum()) for f in folds) for c in C_GRID]
            best = C_GRID[right.index(max(right))] if folds else TOO_FEW_C
            self.fits += len(folds) * len(C_GRID)
        self.chosen.append(best)
        return best

    @property
    def facts(self) -> dict[str, Any]:
        """Lowest and highest C, the grid and the number of folds and fits, as a result keeps them."""
        grid = list(C_GRID) if self.given is None else None
        return {"range": [min(self.chosen), max(self.chosen)], "grid": grid, "fits": self.fits}


def describe_c(facts: dict[str, Any]) -> str:
    """Return the sentence about C that is shown with a result, from `ChoiceOfC.facts`."""
    low, high = facts["range"]
    text = f"C = {low:g}" if low == high else f"C = {low:g} to {high:g}"
    if facts["grid"] is None:
        return f"{text}, given"
    if not facts["fits"]:
        return f"{text}: too few videos or groups to choose it"
    grid = ", ".join(f"{c:g}" for c in facts["grid"])
    return f"{text}, chosen of {grid} in folds of the training part ({facts['fits']} fits)"


def inner_folds(
    classes: NDArray, groups: Sequence[Any] | NDArray | None = None
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Divide a training part into folds of about the same classes; the same folds whenever it is called.

    Returns
    -------
    Rows to fit on and rows to predict, of each fold whose fitted rows have two classes or more; none if no
    class has two videos, or two groups: none could then be recognised.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    names = np.arange(len(classes)) if groups is None else np.asarray(groups)
    units = min(np.unique(classes, return_counts=True)[1].max(), len(np.unique(names)))
    if all(len(np.unique(names[classes == number])) < 2 for number in np.unique(classes)):
        return []
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        folds = splitter(min(INNER_FOLDS, units), shuffle=True, random_state=0).split(
            np.zeros(len(classes)), classes, groups
        )
        return [(fit, rest) for fit, rest in folds if len(rest) and len(np.unique(classes[fit])) > 1]


def scale_rows(
    train: NDArray[np.floating], *others: NDArray[np.floating], each_feature: bool = False
) -> list[NDArray[np.float64]]:
    """Subtract the training rows' mean, and divide so that their mean squared distance from it is 1.

    Parameters
    ----------
    train, *others
        (V, D) rows; the first decide mean and scale.
    each_feature
        Divide each feature by its own deviation, so that all weigh the same; otherwise all by one number.
    """
    import numpy as np

    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    if each_feature:
        scale = np.where(deviation > 0, deviation, 1.0) * np.sqrt(train.shape[1])
    else:
        scale = np.array(np.linalg.norm(deviation) or 1.0)
    return [(rows - mean) / scale for rows in (train, *others)]
