"""The linear SVM of ASLAN and YUPENN (paper, sections 4.4 and 4.5): scikit-learn's, which is LIBSVM.

Notes
-----
The paper says only "linear SVM". Decided here: C is 1 by default (`SVM_C`), and several classes are
separated one against one, as LIBSVM does. On vectors of length 1 that lie close together, C = 1 regularises
strongly.
"""

from __future__ import annotations

from types import ModuleType

from mas_labels.system.extras import load_extra


def require_sklearn() -> ModuleType:
    """Import and return `sklearn.svm`.

    Raises
    ------
    MissingDependencyError
        If scikit-learn is not installed.
    """
    svm: ModuleType = load_extra("sklearn.svm", "this protocol needs", "eval").svm
    return svm
