"""The online probe: its neighbours by hand, its rows, resuming, the best checkpoint, what it refuses."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.equal import assert_same
from helpers.geometries import SMALL_SIZES
from helpers.shards import write_plain_videos

from mas_labels.errors import ConfigError
from mas_labels.report.run_sections import run_sections
from mas_labels.schema import METRICS_COLUMNS, PROBE_COLUMNS
from mas_labels.shards.shard_set import ShardSet, open_shards
from mas_train.data.probe_clips import choose_clips_evenly, choose_probe_videos
from mas_train.model.targets import TargetCode
from mas_train.recipe import make_recipe
from mas_train.training.heldout import read_heldout
from mas_train.training.metrics import read_metrics
from mas_train.training.online_probe import OnlineProbe
from mas_train.training.options import TrainingOptions
from mas_train.training.pretrain import pretrain
from mas_train.weights.checkpoint import (
    BEST_CHECKPOINT,
    CHECKPOINT_FOLDER,
    TrainingState,
    checkpoint_path,
    list_checkpoints,
    load_checkpoint,
)

CPU = torch.device("cpu")
# 12 clips: 3 steps per epoch; dropout draws from the generator, batch norm has statistics
RECIPE = make_recipe(
    "ucf101",
    width=1 / 32,
    fc_width=16,
    batch_size=5,
    epochs=3,
    dropout=0.5,
    backbone="c3d-bn",
    initialisation="he",
)
RED, GREEN = (200, 10, 10), (10, 200, 10)
VIDEOS = [
    ("a/1", "a", "1", RED),
    ("a/2", "a", "1", (201, 10, 10)),  # of the same recording as the first
    ("a/3", "a", "2", GREEN),
    ("b/1", "b", "1", (10, 203, 10)),
    ("b/2", "b", "2", (196, 10, 10)),
]


@pytest.fixture(scope="module")
def shards(small: ShardSet) -> list[Path]:
    """Small training shards."""
    return small.paths


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_plain_videos(tmp_path_factory.mktemp("probe") / "plain.h5", VIDEOS, **SMALL_SIZES)


def options(shards: list[Path], out: Path, *probe: Path, **changes: Any) -> TrainingOptions:
    how = TrainingOptions(shards, out, "cpu", workers=0, threads=1, log_steps=2, curves=False)
    return replace(how, probe_shards=probe, **changes)


class MeanColour(torch.nn.Module):
    """A backbone whose features are the mean of R, G and B."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        return clips.mean(dim=(2, 3, 4))


@pytest.mark.parametrize(
    ("has_groups", "hits", "chance"),
    [(True, 0, (2 / 6 + 2 / 6 + 2 / 4 + 1 / 4 + 1 / 4) / 5), (False, 2, (3 * 2 / 4 + 2 / 4) / 5)],
)
def test_neighbours_by_hand(has_groups: bool, hits: int, chance: float, tmp_path: Path) -> None:
    """Every video is nearest to one of the other class, the two of one recording apart."""
    videos = [(path, name, group if has_groups else None, colour) for path, name, group, colour in VIDEOS]
    shards = open_shards(write_plain_videos(tmp_path / "plain.h5", videos))
    chosen = choose_probe_videos(shards, 100)
    assert ("near duplicates count" in chosen.description) != has_groups
    recipe = replace(RECIPE, pixel_mean=(0.0, 0.0, 0.0), batch_size=2)
    model = torch.nn.ModuleDict({"backbone": MeanColour()})
    state = TrainingState(model, None, TargetCode(RECIPE))  # type: ignore[arg-type]
    score = OnlineProbe(chosen, recipe, 1).measure(state, CPU)
    assert score == (hits / 5, hits / 5, pytest.approx(chance), 5) and state.model.training


class NormalisedColour(torch.nn.Module):
    """A backbone whose features are the means of R, G and B after batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm3d(3, affine=False)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        return self.norm(clips).mean(dim=(2, 3, 4))


def test_batch_norm_of_the_untrained_network_has_the_statistics_of_the_clips(tmp_path: Path) -> None:
    colours = {"a": [(100, 90, 95), (104, 90, 95)], "b": [(100, 94, 95), (100, 99, 95)]}
    videos = [(f"{name}{at}", name, None, rgb) for name in "ab" for at, rgb in enumerate(colours[name])]
    chosen = choose_probe_videos(open_shards(write_plain_videos(tmp_path / "plain.h5", videos)), 100)
    model = torch.nn.ModuleDict({"backbone": NormalisedColour()})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    probe = OnlineProbe(chosen, replace(RECIPE, pixel_mean=(0.0, 0.0, 0.0)), 1)
    copied = probe._with_statistics(model["backbone"], CPU)  # type: ignore[arg-type]
    sums_of_float32 = 0.01  # of 200,000 pixels a clip
    assert copied.norm.running_mean.tolist() == pytest.approx([101, 93.25, 95], rel=sums_of_float32)
    state = TrainingState(model, None, TargetCode(RECIPE))  # type: ignore[arg-type]
    probe.measure(state, CPU)
    assert_same(before, dict(model.state_dict()))
    assert model.training and model["backbone"].norm.momentum == 0.1


def test_videos_without_another_of_their_class_are_neighbours_but_not_counted(tmp_path: Path) -> None:
    videos = [*VIDEOS, ("c/1", "c", None, RED), ("no class", None, None, RED)]
    chosen = choose_probe_videos(open_shards(write_plain_videos(tmp_path / "plain.h5", videos)), 100)
    assert chosen.queries.tolist() == [0, 1, 2, 3, 4] and chosen.groups.tolist() == [0, 0, 1, 2, 3, 4]
    assert "5 videos of 3 classes (6 clips, 1 videos left out)" in chosen.description


def test_clips_are_spread_over_classes_videos_and_time(tmp_path: Path) -> None:
    videos = [(f"{name}/{number}", name, None, RED) for number in range(4) for name in "ab"]
    shards = open_shards(
        write_plain_videos(tmp_path / "plain.h5", [*videos, ("x", None, None, RED)], clips=3)
    )

    def places(limit: int) -> list[tuple[str, int]]:
        return [(clip.video, clip.start_frame) for clip in choose_clips_evenly(shards, limit)]

    few, half = places(4), places(17)
    assert sorted(name[0] for name, _ in few) == ["a", "a", "b", "b"] and {start for _, start in few} == {16}
    assert len(half) == 16 and len({name for name, _ in half}) == 8
    assert len(places(1000)) == 24


def probed(run: Path) -> list[list[float]]:
    """Return step, accuracy, untrained level, chance and number of videos of each measurement."""
    rows = [row for row in read_metrics(run) if row.get("probe_chance", 0) > 0]
    return [[row[name] for name in ("step", *PROBE_COLUMNS)] for row in rows]


@pytest.fixture(scope="module")
def whole(shards: list[Path], probe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "whole"
    pretrain(RECIPE, options(shards, out, probe, best_by="probe", curves=True, tensorboard=True), str)
    return out


def test_a_run_is_measured_after_epochs_and_is_the_same_without(
    shards: list[Path], whole: Path, tmp_path: Path
) -> None:
    assert [row[0] for row in probed(whole)] == [3, 6, 9]
    assert all(row[3:] == [pytest.approx(1 / 3, rel=1e-5), 5] for row in probed(whole))
    assert [row["step"] for row in read_metrics(whole)] == [2, 3, 4, 6, 8, 9]
    assert (whole / "metrics.csv").read_text().splitlines()[0] == ",".join(METRICS_COLUMNS + PROBE_COLUMNS)
    pretrain(RECIPE, options(shards, tmp_path), str)
    assert (tmp_path / "metrics.csv").read_text().splitlines()[0] == ",".join(METRICS_COLUMNS)
    assert_same(*(load_checkpoint(checkpoint_path(run, 9)) for run in (whole, tmp_path)))


def test_the_scores_are_in_tensorboard_and_on_the_page(whole: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(whole / "tensorboard"))
    events.Reload()
    untrained = probed(whole)[0][2]
    expected = [(0, untrained), *((row[0], row[1]) for row in probed(whole))]
    found = [(event.step, event.value) for event in events.Scalars("probe/accuracy")]
    assert found == [(step, pytest.approx(value)) for step, value in expected]
    page = "".join(run_sections(whole))
    for words in ("<h2>Probe</h2>", "at step 9; chance gives 33.3%", f"untrained network {untrained:.1%}"):
        assert words in page
    assert (whole / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_killed_run_resumes_its_measurements(
    shards: list[Path], probe: Path, whole: Path, tmp_path: Path
) -> None:
    """Rows that a killed run wrote after its checkpoint are measured again, those before it are not."""
    pretrain(RECIPE, options(shards, tmp_path, probe, best_by="probe", max_steps=3), str)
    link = tmp_path / CHECKPOINT_FOLDER / BEST_CHECKPOINT
    link.unlink()  # as if killed before it was made
    cut_off = (whole / "metrics.csv").read_text().splitlines(keepends=True)[:6]
    (tmp_path / "metrics.csv").write_text("".join(cut_off)[:-3])
    pretrain(RECIPE, options(shards, tmp_path, probe, best_by="probe", resume=True), str)
    assert probed(tmp_path) == probed(whole)
    assert [row["step"] for row in read_metrics(tmp_path)] == [2, 3, 4, 6, 8, 9]
    assert_same(*(load_checkpoint(checkpoint_path(run, 9)) for run in (tmp_path, whole)))
    best = [load_checkpoint(run / CHECKPOINT_FOLDER / BEST_CHECKPOINT)["step"] for run in (tmp_path, whole)]
    assert best[0] == best[1] == max(probed(whole), key=lambda row: row[1])[0]


def test_the_best_checkpoint_follows_the_figure_that_is_chosen(
    shards: list[Path], probe: Path, tmp_path: Path
) -> None:
    best = {}
    for best_by in ("probe", "loss"):
        how = options(shards[1:], tmp_path / best_by, probe, best_by=best_by, max_steps=5)
        pretrain(RECIPE, replace(how, val_shards=shards[:1], val_steps=1), str)
        best[best_by] = load_checkpoint(tmp_path / best_by / CHECKPOINT_FOLDER / BEST_CHECKPOINT)["step"]
    rows = probed(tmp_path / "loss")
    totals = [row["loss"] for row in read_heldout(tmp_path / "loss") if row["label"] == "total"]
    assert best["probe"] == max(rows, key=lambda row: row[1])[0]
    assert best["loss"] == totals.index(min(totals)) + 1
    assert best["probe"] != best["loss"]


def test_the_best_is_one_whose_checkpoint_is_left(shards: list[Path], probe: Path, tmp_path: Path) -> None:
    """A run that kept its best by the probe may have no checkpoint of its lowest loss any more."""
    how = options(shards[1:], tmp_path, probe, best_by="probe", max_steps=4)
    how = replace(how, val_shards=shards[:1], val_steps=1, checkpoint_steps=1)
    pretrain(RECIPE, how, str)
    table = tmp_path / "heldout.csv"
    table.write_text(re.sub(r"(?m)^1,total,[^,]+", "1,total,0.5", table.read_text()))
    kept = [int(path.stem[5:]) for path in list_checkpoints(tmp_path)]
    pretrain(RECIPE, replace(how, best_by="loss", max_steps=5, resume=True), str)
    totals = {row["step"]: row["loss"] for row in read_heldout(tmp_path) if row["label"] == "total"}
    best = load_checkpoint(tmp_path / CHECKPOINT_FOLDER / BEST_CHECKPOINT)["step"]
    assert 1 not in kept and totals[1] == 0.5 and best == min((*kept, 5), key=totals.__getitem__)


def test_a_run_may_begin_or_resume_without_the_probe(shards: list[Path], probe: Path, tmp_path: Path) -> None:
    """Tables of runs without a probe lack its columns; those that a table has stay."""
    pretrain(RECIPE, options(shards, tmp_path, max_steps=2), str)
    for steps, more in ((3, [probe]), (6, []), (8, [probe])):
        pretrain(RECIPE, options(shards, tmp_path, *more, max_steps=steps, resume=True), str)
    rows = read_metrics(tmp_path)
    assert [row["step"] for row in rows] == [2, 3, 4, 6, 8]
    assert [row["step"] for row in rows if row["probe_accuracy"] >= 0] == [3, 8]
    assert all(math.isnan(row["probe_untrained"]) for row in rows)
    page = "".join(run_sections(tmp_path))
    assert "<h2>Probe</h2>" in page and "untrained" not in page


def test_other_videos_start_other_measurements(shards: list[Path], probe: Path, tmp_path: Path) -> None:
    pretrain(RECIPE, options(shards, tmp_path, probe, max_steps=1), str)
    pretrain(RECIPE, options(shards, tmp_path, shards[1], max_steps=2, resume=True), str)
    first, second = probed(tmp_path)
    assert first[4] == 5 and second[4] != 5 and math.isnan(second[2]) and not math.isnan(first[2])


def test_overlap_with_the_training_videos_is_stated(shards: list[Path], tmp_path: Path) -> None:
    lines: list[str] = []
    pretrain(RECIPE, options(shards, tmp_path, *shards, max_steps=1), lines.append)
    assert (
        "warning: 6 videos are in the training and in the probe shards, such as 'pan/down.avi': " in lines[0]
    )


def test_what_cannot_be_measured_is_refused_before_work(shards: list[Path], tmp_path: Path) -> None:
    def refused(words: str, videos: Sequence[Any], **sizes: Any) -> None:
        probe = write_plain_videos(tmp_path / "plain.h5", videos, **sizes)
        with pytest.raises(ConfigError, match=words):
            pretrain(RECIPE, options(shards, tmp_path / "run", probe), str)
        assert not (tmp_path / "run").exists()
        probe.unlink()

    refused("have no classes", [(path, None, None, colour) for path, _, _, colour in VIDEOS], **SMALL_SIZES)
    refused("found 1 classes in 3 videos", VIDEOS[:3], **SMALL_SIZES)
    alone = [VIDEOS[0], VIDEOS[1], VIDEOS[3]]
    refused("that are not of one group, found 2 classes in 3", alone, **SMALL_SIZES)
    refused("--probe-shards were made with clip_frames 16, .* --shards with clip_frames 8", VIDEOS)
    with pytest.raises(ConfigError, match="found none: name them with --probe-shards"):
        options(shards, tmp_path, best_by="probe")
