"""Classes of two tables, matched by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mas_labels.split_table import fold_name


def match_names(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Return for each name its place in `known`, or -1.

    A name is looked for as it is spelled, then without regard to case and to underscores for spaces, unless
    two names of one table are equal in that way.

    >>> match_names(["YoYo", "walking_dog", "Run"], ["Walking Dog", "YoYo"])
    [1, 0, -1]
    """
    places = {name: place for place, name in enumerate(known)}
    folded, folded_known = Counter(map(fold_name, names)), Counter(map(fold_name, known))
    places_folded = {fold_name(name): place for place, name in enumerate(known)}
    return [
        places_folded[fold_name(name)]
        if name not in places and folded[fold_name(name)] == folded_known[fold_name(name)] == 1
        else places.get(name, -1)
        for name in names
    ]
