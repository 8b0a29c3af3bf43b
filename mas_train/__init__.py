"""Training of video representations from shards of statistical labels (Wang et al., CVPR 2019).

These names are for training loops of one's own; the module behind a name is imported when the name is first
used, so that importing this package imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mas_labels.lazy import load_lazily

if TYPE_CHECKING:
    from mas_train.data.view_dataset import ViewDataset
    from mas_train.model.loss import PretextLoss
    from mas_train.recipe import make_recipe
    from mas_train.weights.pretrained import load_backbone
else:
    __getattr__, __dir__ = load_lazily(
        __name__,
        {
            "PretextLoss": "mas_train.model.loss",
            "ViewDataset": "mas_train.data.view_dataset",
            "load_backbone": "mas_train.weights.pretrained",
            "make_recipe": "mas_train.recipe",
        },
    )

__all__ = ["PretextLoss", "ViewDataset", "load_backbone", "make_recipe"]
