"""The loss as a module for networks of one's own: that of `mas-train`, with any coding of the labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from mas_labels.errors import DatasetError, InputError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards import ShardSet, open_shards
from mas_train.codings import LABEL_CODINGS
from mas_train.data.clips import epoch_order
from mas_train.data.view_dataset import ViewDataset
from mas_train.model.heads import Predictions, make_model
from mas_train.model.loss import PretextLoss, pretext_loss
from mas_train.model.targets import TargetCode
from mas_train.recipe import TARGETS, make_recipe
from mas_train.training.metrics import read_metrics
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain

LARGEST = torch.tensor(DEFAULT_GEOMETRY.label_max)


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def draw(loss: PretextLoss, clips: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Return predictions and labels drawn at random."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 1 << 16, (clips, 27), generator=generator) % LARGEST + 1
    return torch.randn((clips, loss.outputs), generator=generator), labels.to(torch.uint8)


@pytest.mark.parametrize("coding", tuple(LABEL_CODINGS))
@pytest.mark.parametrize(
    ("targets", "scale", "weight"),
    [("joint", "raw", 0.1), ("joint", "standard", 2.0), ("motion", "standard", 1.0)],
)
def test_it_is_the_loss_of_mas_train(
    shards: ShardSet, targets: str, scale: str, weight: float, coding: str
) -> None:
    recipe = make_recipe(
        "ucf101", targets=targets, target_scale=scale, coding=coding, appearance_weight=weight
    )
    loss = PretextLoss.from_shards(shards, recipe)
    motion, appearance = loss.code.motion.outputs, loss.code.appearance.outputs
    assert loss.outputs == motion + appearance
    predictions, labels = draw(loss)
    predictions.requires_grad_()
    branches = Predictions(*predictions.split([motion, appearance], dim=1))
    expected = pretext_loss(branches, labels, loss.code, 1.0, weight)
    assert loss(predictions, labels) == loss(branches, labels) == expected
    # means over all clips and labels, written out
    parts = [branch.losses(out, labels) for branch, out in zip(loss.code.branches, branches, strict=True)]
    means = [part.mean() if part.numel() else torch.zeros(()) for part in parts]
    assert [*expected[:2]] == means and expected.total == means[0] + weight * means[1]
    gradients = [
        torch.autograd.grad(total, predictions, retain_graph=True)[0]
        for total in (expected.total, means[0] + weight * means[1])
    ]
    assert torch.equal(*gradients)


def test_its_first_loss_is_the_first_of_mas_train(
    tiny_shards: list[Path], shards: ShardSet, tmp_path: Path
) -> None:
    recipe = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=4, seed=5, target_scale="standard")
    options = TrainingOptions(tiny_shards, tmp_path, "cpu", 0, 1, max_steps=1, log_steps=1, curves=False)
    pretrain(recipe, options)
    (row,) = read_metrics(tmp_path)
    dataset, loss = ViewDataset(shards, seed=5), PretextLoss.from_shards(shards, recipe)
    torch.manual_seed(5)
    network = make_model(recipe, loss.code)
    batch = next(iter(DataLoader(dataset, 4, sampler=epoch_order(5, 0, shards.lengths).tolist())))
    losses = loss(network(batch.frames), batch.labels)
    for name, value in (("", losses.total), ("_motion", losses.motion), ("_appearance", losses.appearance)):
        assert value.item() == pytest.approx(row[f"loss{name}"], rel=1e-5)
    assert loss.mean_label.total.item() == pytest.approx(row["mean_label_loss"], rel=1e-5)


def test_labels_of_changed_colours_do_not_count(shards: ShardSet) -> None:
    loss = PretextLoss.from_shards(shards, make_recipe("ucf101", target_scale="standard"))
    predictions, labels = draw(loss)
    whole = loss(predictions, labels)
    changed = labels.clone()
    changed[2:, 14:] = 0
    part = loss(predictions, changed)
    assert part.motion == whole.motion
    assert part.appearance == pytest.approx(loss(predictions[:2], labels[:2]).appearance)
    changed[:, 14:] = 0
    predictions.requires_grad_()
    none = loss(predictions, changed)
    assert none.appearance == 0 and none.total == none.motion
    none.total.backward()
    assert predictions.grad is not None and predictions.grad.isfinite().all()
    assert not predictions.grad[:, 14:].any()


@pytest.mark.parametrize("coding", tuple(LABEL_CODINGS))
def test_decoding_finds_the_labels_that_are_predicted(shards: ShardSet, coding: str) -> None:
    recipe = make_recipe("ucf101", target_scale="standard", coding=coding, targets="motion-local")
    loss = PretextLoss.from_shards(shards, recipe)
    labels = draw(loss)[1]
    free = torch.zeros(5, loss.outputs, requires_grad=True)
    optimizer = torch.optim.Adam([free], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss(free, labels).total.backward()
        optimizer.step()
    decoded = loss.decode(free.detach())
    trained = [name in TARGETS["motion-local"] for name in TARGETS["joint"]]
    assert torch.equal(decoded == 0, ~torch.tensor(trained).expand(5, -1))
    for branch in loss.code.branches:
        assert (branch.agree(decoded, labels) == 1).all()


def test_a_checkpoint_keeps_the_coding(shards: ShardSet) -> None:
    recipe = make_recipe("ucf101", target_scale="standard", coding="sin-cos")
    loss = PretextLoss.from_shards(shards, recipe)
    again = PretextLoss(recipe)
    assert all(value.isnan() for value in again.mean_label) and loss.mean_label.total > 0
    predictions, labels = draw(loss)
    assert again(predictions, labels).total != loss(predictions, labels).total
    again.load_state_dict(loss.state_dict())
    assert again(predictions, labels) == loss(predictions, labels)


def test_wrong_use_is_refused(shards: ShardSet, test: ShardSet) -> None:
    loss = PretextLoss.from_shards(shards)
    assert loss.outputs == 27 and isinstance(loss.code, TargetCode)
    with pytest.raises(InputError, match=r"predictions \(B, 27\), found \(5, 26\)"):
        loss(torch.zeros(5, 26), torch.ones(5, 27))
    with pytest.raises(InputError, match=r"labels \(5, 27\), found \(4, 27\)"):
        loss(torch.zeros(5, 27), torch.ones(4, 27))
    with pytest.raises(DatasetError, match="frames without labels"):
        PretextLoss.from_shards(test)
