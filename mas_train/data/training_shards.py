"""Opening of training shards, complete unless --incomplete allows others; choice and check of their clips."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from mas_labels.errors import ConfigError, DatasetError, IncompleteWarning
from mas_labels.shards import ShardSet, open_shards, parse_filters
from mas_train.codings import DENSE_CODINGS, LABEL_CODINGS


def open_training_shards(paths: Sequence[str | Path], is_incomplete_allowed: bool) -> ShardSet:
    """Open shards; refuse folders that lack shards of their plan, unless that is allowed.

    Parameters
    ----------
    paths
        Files, folders or patterns.
    is_incomplete_allowed
        Whether the folders may lack shards of their plan.

    Raises
    ------
    DatasetError
        If there are no shards, or shards of a plan are missing and `is_incomplete_allowed` is false.
    ShardError
        If one is damaged, or they were made with different options.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteWarning)
        shards = open_shards(list(paths))
    if shards.incomplete and not is_incomplete_allowed:
        raise DatasetError(
            f"{shards.incomplete[0]}, or give --incomplete to train on the shards that are there"
        )
    return shards


def choose_clips(shards: ShardSet, where: str) -> tuple[ShardSet, list[str]]:
    """Choose the clips that match filters; return them, and the line about it, if there are filters.

    Parameters
    ----------
    shards
        The whole set.
    where
        Filters, as in `mas_train.recipe.Recipe`; empty: all clips.

    Raises
    ------
    ConfigError
        If a filter is unknown, or has a value of another type.
    DatasetError
        If no clip matches.
    InputError, ShardError
        Those of `ShardSet.where`.
    """
    if not where:
        return shards, []
    chosen = shards.where(**parse_filters(where))
    if not len(chosen):
        raise DatasetError(f"--where chose {chosen!r} in {shards.paths[0].parent}: give wider filters")
    return shards.subset(chosen.indices), [f"--where chose {chosen!r}"]


def require_coded(shards: ShardSet, coding: str) -> None:
    """Check that targets of a coding (`mas_train.codings.CODINGS`) can be computed from what shards hold.

    Raises
    ------
    ConfigError
        If their colours are numbered otherwise than the coding takes them.
    DatasetError
        If they lack Mu and Mv, from which dense targets are computed.
    """
    if coding in DENSE_CODINGS and not shards.config["store_boundaries"]:
        raise DatasetError(
            f"{shards.paths[0]}: expected Mu and Mv for --coding {coding}, found none: label the videos with "
            "--store-boundaries, or take another coding"
        )
    if LABEL_CODINGS.get(coding, {}).get("colour") == "channels" and shards.config["convention"] != "paper":
        raise ConfigError(
            f"{shards.paths[0]}: expected labels of the convention paper for --coding {coding}, found "
            f"{shards.config['convention']}, whose colour numbers it does not know: take another coding"
        )


def incomplete_warnings(sets: Iterable[ShardSet]) -> list[str]:
    """Return one warning per incomplete folder of some sets of shards."""
    return list(dict.fromkeys(f"warning: {folder}" for shards in sets for folder in shards.incomplete))
