"""The network before its first step, with the statistics of batch norm learnt: what training begins with.

Notes
-----
Random weights with the statistics that batch norm is built with (mean 0, variance 1) are not what a run
begins with: their maps have scales that no step of training ever sees. So the statistics are learnt as
training learns them, batch by batch, from clips of the training set, and no weight is changed.
`mas-train --epochs 0` writes this network, and `mas-eval` measures it as the random baseline.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from mas_labels.errors import ConfigError, DatasetError, ShardError
from mas_labels.shards import ShardSet
from mas_train.data.clips import epoch_order
from mas_train.data.loader import load_frames, print_note
from mas_train.data.training_shards import choose_clips, open_training_shards
from mas_train.data.views import centre_view, take_views
from mas_train.model.backbone import Backbone
from mas_train.recipe import Recipe
from mas_train.weights.backbone_weights import Weights, known_recipe, random_weights
from mas_train.weights.training_data import shards_of_run

MAX_CLIPS: Final = 1024
"""Most clips that statistics are learnt from."""


def learn_statistics(
    backbone: Backbone, recipe: Recipe, shards: ShardSet, device: torch.device, workers: int | None
) -> int:
    """Learn the statistics of batch norm from clips, the mean over batches; weights stay as they are.

    Parameters
    ----------
    backbone
        Changed in place, moved to `device`, and left in evaluation mode.
    recipe
        Its `batch_size`, `pixel_mean` and `seed`, which draws the clips.
    shards
        The training clips, with labels or without; their centre views are taken, as in measuring.
    device, workers
        As in `mas_train.data.loader.load_batches`.

    Returns
    -------
    Number of clips; 0 for a network without batch norm.
    """
    layers = _norms(backbone)
    if not layers:
        return 0
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean over all batches
    size = min(recipe.batch_size, len(shards))
    clips = epoch_order(recipe.seed, 0, shards.lengths)[: max(size, MAX_CLIPS // size * size)]
    whole = len(clips) // size * size  # a smaller last batch would weigh as much as the others
    order: list[Sequence[int]] = [clips[at : at + size].tolist() for at in range(0, whole, size)]
    backbone.to(device).train()
    centre = torch.tensor(centre_view(shards.geometry), device=device)
    with torch.no_grad():
        for batch in load_frames(shards, order, workers, device):
            views = centre.expand(len(batch.frames), 3)
            backbone(take_views(batch.frames, views, recipe.pixel_mean, shards.geometry))
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    backbone.eval()
    return whole


def untrained_weights(
    weights: Weights, others: ShardSet, device: torch.device, workers: int | None
) -> Weights:
    """Return the network that the training of some weights began with.

    The backbone, width, initialisation and seed are those of its pre-training, or of its fine-tuning if there
    was none. Batch norm's statistics come from the clips that it was trained on, if they are still where the
    run read them and sound, else from `others`; a line says which.

    Parameters
    ----------
    weights
        The trained weights.
    others
        Clips for the statistics, if those of the run cannot be used.
    device, workers
        As in `learn_statistics`.
    """
    recipe = known_recipe({**weights.recipe, **weights.pretraining, "pixel_mean": weights.pixel_mean})
    fresh = random_weights(recipe)
    if not _norms(fresh.backbone):
        return fresh
    whose = "of the run's training set"
    try:
        clips = learn_statistics(fresh.backbone, recipe, _training_clips(weights, others), device, workers)
    except (ConfigError, DatasetError, ShardError) as error:
        whose, fresh = f"at hand, since those of the run cannot be used ({error})", random_weights(recipe)
        clips = learn_statistics(fresh.backbone, recipe, others, device, workers)
    print_note(f"random weights: batch norm's statistics from {clips} clips {whose}")
    return fresh


def _norms(backbone: Backbone) -> list[_BatchNorm]:
    return [layer for layer in backbone.modules() if isinstance(layer, _BatchNorm)]


def _training_clips(weights: Weights, others: ShardSet) -> ShardSet:
    """Return the clips that weights were trained on: those of `others`, or of the shards that the run names.

    Raises
    ------
    ConfigError, DatasetError, ShardError
        If they are not known, not there any more, or damaged.
    """
    hashes, shards = list(weights.content.get("content_hashes", ())), others
    if others.content_hashes != hashes and (paths := shards_of_run(Path(weights.source))):
        shards = open_training_shards(paths, True)
    if shards.content_hashes != hashes:
        raise DatasetError("they are not known, or not where it read them")
    return choose_clips(shards, weights.recipe.get("where", ""))[0]
