"""Views with their labels for loops of one's own: those that `mas-train` sees, in any process."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mas_labels.errors import ConfigError, DatasetError, InputError
from mas_labels.shards import ShardSet, open_shards
from mas_train.data.clips import RunOrder
from mas_train.data.view_dataset import LabelledView, ViewDataset
from mas_train.data.views import cut_view, take_views
from mas_train.recipe import make_recipe
from mas_train.training import engine
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain


@pytest.fixture(scope="module")
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def equal(first: LabelledView, second: LabelledView) -> bool:
    return all(
        torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(first, second, strict=True)
    )


@pytest.mark.parametrize("where", ["", "class_name=zoom out"])
def test_views_are_those_that_mas_train_sees(
    tiny_shards: list[Path], where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Tensor, Tensor]] = []
    forward = engine._forward

    def spy(state: object, job: object, clips: Tensor, labels: Tensor) -> object:
        seen.append((clips, labels))
        return forward(state, job, clips, labels)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "_forward", spy)
    recipe = make_recipe("ucf101", width=1 / 32, fc_width=16, batch_size=4, seed=3, where=where)
    options = TrainingOptions(tiny_shards, tmp_path, "cpu", workers=0, threads=1, max_steps=4, curves=False)
    pretrain(recipe, options)
    shards = open_shards(tiny_shards)
    dataset = ViewDataset(shards.where(class_name="zoom out") if where else shards, seed=3)
    order, drawn = RunOrder(dataset.shards.lengths, recipe), set()
    for step, (clips, labels) in enumerate(seen):
        dataset.set_epoch(step // order.steps_per_epoch)
        batch = [dataset[clip] for clip in order.batch(step)]
        assert torch.equal(torch.stack([item.frames for item in batch]), clips)
        assert torch.equal(torch.stack([item.labels for item in batch]), labels)
        drawn |= {(item.clip_index, *item.view.tolist()) for item in batch}
    assert len(seen) == 4 > order.steps_per_epoch and len(drawn) > len(dataset)  # another view in each epoch


def test_cut_views_are_those_of_take_views(shards: ShardSet) -> None:
    frames = torch.from_numpy(shards.read_frames(0))
    for view in torch.from_numpy(shards.views.astype("int64")):
        taken = take_views(frames[None], view[None], (0, 0, 0), shards.geometry)[0]
        assert torch.equal(cut_view(frames, view, shards.geometry).transpose(0, 1).float(), taken)


def test_the_centre_view_has_the_labels_that_clips_show(shards: ShardSet) -> None:
    dataset = ViewDataset(shards, views="centre", pixel_mean=None)
    item = dataset[2]
    assert item.frames.dtype == torch.uint8 and item.frames.shape == (3, 16, 112, 112)
    assert item.view.tolist() == shards.views[0].tolist()
    assert item.labels.tolist() == list(shards[2].labels.values())
    assert item.clip_index == 2
    dataset.set_epoch(5)
    assert equal(dataset[2], item)


@pytest.mark.parametrize("context", ["spawn", "fork"])
def test_workers_read_the_same_and_follow_the_epoch(shards: ShardSet, context: str) -> None:
    dataset = ViewDataset(shards, seed=1)
    loader = DataLoader(
        dataset, 5, num_workers=1, persistent_workers=True, multiprocessing_context=context, timeout=60
    )
    first_views = dataset[0].view  # the shards are open here when the workers start
    for epoch in (0, 2):
        dataset.set_epoch(epoch)
        batches = list(loader)
        assert [len(batch.labels) for batch in batches] == [5, 5, 2]
        rows = [
            LabelledView(*(column[row] for column in batch))
            for batch in batches
            for row in range(len(batch[0]))
        ]
        assert all(equal(row, dataset[clip]) for clip, row in enumerate(rows))
    assert not torch.equal(dataset[0].view, first_views)
    del loader  # ends the workers


def test_a_pickled_data_set_reads_the_same(tiny_shards: list[Path]) -> None:
    dataset = ViewDataset(tiny_shards)
    dataset.set_epoch(7)
    again = pickle.loads(pickle.dumps(dataset))
    assert equal(again[3], dataset[3]) and len(again) == len(dataset) == 12
    again.shards.close()


def test_changed_colours_void_the_appearance_labels_alone(shards: ShardSet) -> None:
    plain, marked, kept = (
        ViewDataset(shards, pixel_mean=None, transform=transform, changes_colours=changes)
        for transform, changes in ((None, True), (_invert, True), (_invert, False))
    )
    for item, inverted, scaled in zip(plain, marked, kept, strict=True):
        assert torch.equal(inverted.frames, 255 - item.frames)
        assert torch.equal(inverted.labels[:14], item.labels[:14]) and item.labels[14:].all()
        assert not inverted.labels[14:].any()
        assert torch.equal(scaled.labels, item.labels)


def _invert(frames: Tensor) -> Tensor:
    assert frames.shape == (16, 3, 112, 112) and frames.dtype == torch.uint8
    return 255 - frames


def test_the_mean_is_subtracted_after_the_transform(shards: ShardSet) -> None:
    inverted = ViewDataset(shards, transform=_invert, pixel_mean=(1, 2, 3))[0].frames
    raw = ViewDataset(shards, pixel_mean=None)[0].frames
    assert inverted.dtype == torch.float32
    assert torch.equal(inverted[1], 255 - raw[1].float() - 2)


def test_wrong_use_is_refused(shards: ShardSet, test: ShardSet) -> None:
    for transform, found in (
        (lambda frames: frames[:, :, ::2, ::2], r"\(16, 3, 56, 56\)"),
        (lambda frames: frames.numpy(), "a ndarray"),
        (lambda frames: None, "a NoneType"),
    ):
        with pytest.raises(InputError, match=rf"expected a tensor \(16, 3, 112, 112\).*found {found}"):
            ViewDataset(shards, transform=transform)[0]
    for options, words in (
        ({"views": "all"}, "'random' or 'centre', found 'all'"),
        ({"seed": -1}, "seed that is not negative"),
        ({"pixel_mean": [1.0]}, "three numbers"),
    ):
        with pytest.raises(ConfigError, match=words):
            ViewDataset(shards, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="epoch that is not negative"):
        ViewDataset(shards).set_epoch(-1)
    for wrong in (lambda: ViewDataset(shards, seed=1.5), lambda: ViewDataset(shards).set_epoch(0.5)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
            wrong()
    for outside in (12, -1):
        with pytest.raises(IndexError):
            ViewDataset(shards)[outside]
    with pytest.raises(DatasetError, match="frames without labels"):
        ViewDataset(test)
