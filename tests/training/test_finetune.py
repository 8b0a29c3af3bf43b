"""Fine-tuning: the choice of clips, resuming, and speed options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mas_labels.errors import CheckpointError, ConfigError, TrainingError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards.shard_set import ShardSet
from mas_train.data.few_labels import choose_videos, label_clips
from mas_train.data.views import draw_crops
from mas_train.recipe import SCRATCH, make_recipe
from mas_train.training.finetune import finetune
from mas_train.training.finetune_state import FinetuneJob
from mas_train.training.options import FINETUNE_PRESETS, FinetuneOptions
from mas_train.weights.backbone_weights import load_weights, weights_digest
from mas_train.weights.tensor_file import write_tensors

CPU = torch.device("cpu")
WIDTH = 0.03125


def test_crops_are_uniform_and_follow_seed_and_epoch() -> None:
    drawn = draw_crops(0, 0, torch.arange(20_000), DEFAULT_GEOMETRY)
    assert drawn.min(dim=0).values.tolist() == [0, 0, 0] and drawn.max(dim=0).values.tolist() == [16, 59, 1]
    assert len(torch.unique(drawn, dim=0)) == 17 * 60 * 2
    torch.testing.assert_close(drawn[5:9], draw_crops(0, 0, torch.arange(5, 9), DEFAULT_GEOMETRY))
    assert not torch.equal(drawn, draw_crops(0, 1, torch.arange(20_000), DEFAULT_GEOMETRY))


def test_a_share_of_the_labels_is_stratified_seeded_and_nested(train: ShardSet) -> None:
    taken = {share: label_clips(train, share, seed=3) for share in (0.01, 0.5, 1.0)}
    assert [taken[share].videos for share in taken] == [2, 4, 8]
    assert set(taken[0.01].clips) < set(taken[0.5].clips) < set(taken[1.0].clips) == set(range(len(train)))
    videos = train.clip_videos()
    half = [train.videos[v].class_index for v in set(videos[taken[0.5].clips])]
    assert np.bincount(half).tolist() == [2, 2]
    for clip, number in zip(taken[0.5].clips, taken[0.5].classes, strict=True):
        assert train[int(clip)].class_name == train.classes[number]
    assert choose_videos(np.zeros(100, np.int64), 0.07, 0).sum() == 7  # 0.07 * 100 is more than 7
    assert choose_videos(np.zeros(100, np.int64), 1e-12, 0).sum() == 1
    assert label_clips(train, 0.5, seed=4).clips.tolist() != taken[0.5].clips.tolist()
    for share in (0, 1.01, float("nan")):
        with pytest.raises(ConfigError, match="more than 0 and at most 100%"):
            label_clips(train, share, 0)


def job(train: ShardSet, out: Path, preset: str = "ucf101", **options: object) -> FinetuneJob:
    small = {"width": WIDTH, "fc_width": 16, "batch_size": 5, "epochs": 2, "warmup_epochs": 1, "dropout": 0.5}
    recipe = make_recipe(preset, FINETUNE_PRESETS, **small)
    return FinetuneJob(recipe, FinetuneOptions(**options), train, out, CPU, 0)


def quiet(_: str) -> None:
    pass


@pytest.mark.parametrize("preset", ["ucf101", "strong"])
def test_a_resumed_run_ends_in_the_same_weights(train: ShardSet, tmp_path: Path, preset: str) -> None:
    weights = [load_weights(SCRATCH, WIDTH) for _ in range(3)]
    whole = job(train, tmp_path / "whole", preset)
    straight, _ = finetune(whole, weights[0], say=quiet)
    part = job(train, tmp_path / "part", preset)
    finetune(replace(part, recipe=replace(part.recipe, epochs=1)), weights[1], say=quiet)
    with pytest.raises(CheckpointError, match=r"other options or shards \(recipe\)"):
        finetune(part, load_weights(SCRATCH, WIDTH), resume=True, say=quiet)
    content = torch.load(part.out / "finetuned.pt", weights_only=True)
    content["recipe"]["epochs"] = 2
    del content["recipe"]["where"], content["geometry"]  # as in files from before them
    write_tensors(part.out / "finetuned.pt", content)
    resumed, _ = finetune(part, weights[2], resume=True, say=quiet)
    assert weights_digest(resumed) == weights_digest(straight)
    rows = (part.out / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].startswith("epoch,learning_rate,loss")


def test_no_row_is_lost_between_a_row_and_the_model(train: ShardSet, tmp_path: Path) -> None:
    part, args = job(train, tmp_path), {"say": quiet}

    def end(path: Path, row: dict[str, float]) -> None:
        raise InterruptedError  # as if the process were killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mas_train.training.finetune.log_epoch", end)
        with pytest.raises(InterruptedError):
            finetune(part, load_weights(SCRATCH, WIDTH), **args)
    finetune(part, load_weights(SCRATCH, WIDTH), resume=True, **args)
    rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2"]


def test_a_damaged_model_is_refused_with_its_remedy(train: ShardSet, tmp_path: Path) -> None:
    part = job(train, tmp_path)
    finetune(replace(part, recipe=replace(part.recipe, epochs=1)), load_weights(SCRATCH, WIDTH), say=quiet)
    content = torch.load(tmp_path / "finetuned.pt", weights_only=True)
    torch.save({**content, "epoch": 0}, tmp_path / "finetuned.pt")
    with pytest.raises(CheckpointError, match="differs from its digest: remove it and fine-tune again"):
        finetune(part, load_weights(SCRATCH, WIDTH), resume=True, say=quiet)


def test_speed_options_change_only_rounding_and_those_of_the_recipe_more(
    train: ShardSet, tmp_path: Path
) -> None:
    recipe = replace(job(train, tmp_path).recipe, epochs=1)  # three steps
    twice = replace(recipe, epochs=2, batch_size=2)

    def last_loss(name: str, share: float = 1.0, **changes: object) -> float:
        work = replace(job(train, tmp_path / name, label_fraction=share), **{"recipe": recipe, **changes})
        finetune(work, load_weights(SCRATCH, WIDTH), say=quiet)
        return float((work.out / "metrics.csv").read_text().splitlines()[-1].split(",")[2])

    plain = last_loss("plain")
    for changes in ({"fused": True}, {"memory_format": "contiguous"}, {"workers": 1}):
        assert last_loss(str(changes), **changes) == pytest.approx(plain, rel=1e-4)
    for changes in ({"colour_jitter": 0.4}, {"label_smoothing": 0.1}):
        assert last_loss(str(changes), recipe=replace(recipe, **changes)) != pytest.approx(plain, rel=1e-4)
    plain = last_loss("few", 0.01, recipe=twice)  # two videos: a processor without fp16 is slow
    for precision in ("bf16", "fp16"):
        loss = last_loss(precision, 0.01, recipe=replace(twice, precision=precision))
        assert loss == pytest.approx(plain, rel=0.05) and loss != plain


def test_a_frozen_backbone_keeps_its_weights_and_others_do_not(train: ShardSet, tmp_path: Path) -> None:
    before = weights_digest(load_weights(SCRATCH, WIDTH).backbone)
    probe, _ = finetune(job(train, tmp_path / "probe", frozen=True), load_weights(SCRATCH, WIDTH), say=quiet)
    tuned, _ = finetune(job(train, tmp_path / "tuned"), load_weights(SCRATCH, WIDTH), say=quiet)
    assert weights_digest(probe.backbone) == before != weights_digest(tuned.backbone)
    assert isinstance(probe.head, torch.nn.Linear)


def test_existing_runs_are_protected_and_a_loss_that_is_not_finite_ends_a_run(
    train: ShardSet, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="nothing to resume"):
        finetune(job(train, tmp_path / "run"), load_weights(SCRATCH, WIDTH), resume=True, say=quiet)
    wild = job(train, tmp_path / "run")
    wild = replace(wild, recipe=replace(wild.recipe, learning_rate=1e30))
    with pytest.raises(TrainingError, match="give a lower --lr"):
        finetune(wild, load_weights(SCRATCH, WIDTH), say=quiet)
    with pytest.raises(ConfigError, match="already holds a run"):
        finetune(job(train, tmp_path / "run"), load_weights(SCRATCH, WIDTH), say=quiet)
