"""How errors reach the user: one line each."""

from __future__ import annotations

import sys

from mas_labels.errors import MasError


def tell(error: MasError, after_others: bool = False) -> None:
    """Write an error's line at once; one without a message has been told before.

    Parameters
    ----------
    error
        What to tell.
    after_others
        Begin a new line first: another process may have left its progress bar in this one.
    """
    start = "\n" if after_others else ""
    if str(error):
        print(f"{start}error: {error}", file=sys.stderr, flush=True)
