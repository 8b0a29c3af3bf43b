"""A plain loop of torch: a network of one's own learns the 27 labels of views.

    mas-labels demo --out videos
    mas-labels make --manifest demo --root videos --split train --out labels
    python examples/train_plain.py labels

The page docs/own_code.md explains the parts.
"""

from __future__ import annotations

import sys

import torch
from torch import nn
from torch.utils.data import DataLoader

from mas_train import PretextLoss, ViewDataset, make_recipe


def train(shards: str, epochs: int = 10, batch_size: int = 8, workers: int = 2) -> list[float]:
    """Train a network on shards; return the loss of each step."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset = ViewDataset(shards)
    criterion = PretextLoss.from_shards(dataset.shards, make_recipe("ucf101", target_scale="standard"))
    # swap these lines: from clips (B, 3, frames, rows, cols) to (B, criterion.outputs)
    stem = nn.Sequential(nn.BatchNorm3d(3), nn.Conv3d(3, 16, (3, 7, 7), (2, 4, 4), (1, 3, 3)), nn.ReLU())
    body = nn.Sequential(nn.Conv3d(16, 32, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool3d((1, 4, 4)), nn.Flatten())
    network = nn.Sequential(stem, body, nn.Linear(32 * 4 * 4, criterion.outputs))

    network.to(device)
    criterion.to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.002)
    loader = DataLoader(dataset, batch_size, True, num_workers=workers, persistent_workers=workers > 0)
    history: list[float] = []
    for epoch in range(epochs):
        dataset.set_epoch(epoch)  # other views of the same clips
        for batch in loader:
            losses = criterion(network(batch.frames.to(device)), batch.labels.to(device))
            optimizer.zero_grad()
            losses.total.backward()
            optimizer.step()
            history.append(losses.total.item())
        print(f"epoch {epoch}: loss {history[-1]:.3f}; of the mean label {criterion.mean_label.total:.3f}")
    return history


if __name__ == "__main__":
    train(sys.argv[1])
