"""The pictures on the page about a training run: attention maps, a map of features, nearest neighbours."""

from __future__ import annotations

from pathlib import Path

from mas_labels.shards import ShardSet, spread_evenly
from mas_train.evaluation.attention import save_attention
from mas_train.evaluation.feature_map import map_videos
from mas_train.evaluation.protocol import Evaluation
from mas_train.evaluation.retrieval import draw_retrieved


def draw_run_pictures(
    evaluation: Evaluation, shards: ShardSet, queries: ShardSet | None, clips: int
) -> list[Path]:
    """Draw attention maps of some clips, a map of features and, with `queries`, nearest neighbours.

    Parameters
    ----------
    evaluation
        The weights, and the folder of the pictures.
    shards
        Labelled clips, whose videos are on the map, and are the gallery.
    queries
        Test shards, whose videos are the queries; None draws no neighbours.
    clips
        Number of clips of `shards` in the picture of attention, evenly spread over all.

    Returns
    -------
    The pictures: attention.png, map.png, neighbours.png.

    Raises
    ------
    ConfigError
        If a picture cannot be written.
    DatasetError
        If there are no clips.
    """
    attention, feature_map, neighbours = (
        evaluation.out / f"{kind}.png" for kind in ("attention", "map", "neighbours")
    )
    chosen = spread_evenly(len(shards), clips, ends=False).tolist()
    save_attention(evaluation.weights, shards, chosen, evaluation.extraction.device, attention)
    if queries is None:
        map_videos(evaluation, shards, None, feature_map)
        return [attention, feature_map]
    train, test = (evaluation.features(evaluation.weights, part) for part in (shards, queries))
    map_videos(evaluation, shards, train, feature_map)
    draw_retrieved(train, shards, test, queries, neighbours)
    return [attention, feature_map, neighbours]
