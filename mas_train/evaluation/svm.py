"""The linear SVM of ASLAN and YUPENN (paper, sections 4.4 and 4.5): scikit-learn's, which is LIBSVM.

Notes
-----
The paper says "linear SVM" and no more. C is 1 unless told otherwise, and several classes are told apart one
against one, as LIBSVM does. On vectors of length 1 that lie close together C = 1 is a strong regularisation.
"""

from __future__ import annotations

from types import ModuleType

from mas_labels.errors import MissingDependencyError

C = 1.0
"""Weight of errors against the margin."""


def require_sklearn() -> ModuleType:
    """Import scikit-learn's `svm`, or say how to get it."""
    try:
        from sklearn import svm
    except ImportError as error:
        raise MissingDependencyError(
            f'this protocol needs scikit-learn, which does not load ({error}): pip install "mas-video[eval]"'
        ) from error
    return svm
