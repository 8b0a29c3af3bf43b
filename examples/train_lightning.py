"""The loop of `train_plain.py` with Lightning, which brings devices, precision, callbacks and loggers.

    pip install "mas-video[train,lightning]"
    python examples/train_lightning.py labels

The page docs/own_code.md explains the parts.
"""

from __future__ import annotations

import sys

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mas_train import PretextLoss, ViewDataset, make_recipe
from mas_train.data.view_dataset import LabelledView


class LabelPredictor(lightning.LightningModule):
    """A network, from clips (B, 3, frames, rows, cols) to (B, criterion.outputs), its loss and its data."""

    def __init__(self, network: nn.Module, criterion: PretextLoss, loader: DataLoader[LabelledView]) -> None:
        super().__init__()
        self.network, self.criterion, self._loader = network, criterion, loader

    def training_step(self, batch: LabelledView, batch_number: int) -> Tensor:
        """Return the loss of a batch."""
        losses = self.criterion(self.network(batch.frames), batch.labels)
        self.log_dict(losses._asdict(), prog_bar=True)
        return losses.total

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimiser."""
        return torch.optim.AdamW(self.network.parameters(), lr=0.002)

    def train_dataloader(self) -> DataLoader[LabelledView]:
        """Return the batches; a run that is resumed begins with the views of its epoch."""
        self.on_train_epoch_start()
        return self._loader

    def on_train_epoch_start(self) -> None:
        """Draw other views of the same clips."""
        self._loader.dataset.set_epoch(self.current_epoch)  # type: ignore[attr-defined]


def train(shards: str, epochs: int = 10, batch_size: int = 8, workers: int = 2) -> float:
    """Train a network on shards; return the last loss."""
    lightning.seed_everything(0)
    dataset = ViewDataset(shards)
    criterion = PretextLoss.from_shards(dataset.shards, make_recipe("ucf101", target_scale="standard"))
    stem = nn.Sequential(nn.BatchNorm3d(3), nn.Conv3d(3, 16, (3, 7, 7), (2, 4, 4), (1, 3, 3)), nn.ReLU())
    body = nn.Sequential(nn.Conv3d(16, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool3d((1, 4, 4)), nn.Flatten())
    network = nn.Sequential(stem, body, nn.Linear(32 * 4 * 4, criterion.outputs))

    loader = DataLoader(dataset, batch_size, True, num_workers=workers, persistent_workers=workers > 0)
    # writes nothing: choose a `logger`, and checkpoints
    trainer = lightning.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False)
    trainer.fit(LabelPredictor(network, criterion, loader))
    return trainer.callback_metrics["total"].item()


if __name__ == "__main__":
    train(sys.argv[1])
