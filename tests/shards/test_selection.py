"""Sets of shards: filters, slices, tables, subsets, and the index in the cache folder."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from mas_labels.errors import InputError, MissingDependencyError
from mas_labels.schema import LABEL_NAMES
from mas_labels.shards.selection import spread_evenly
from mas_labels.shards.shard_set import ShardSet, open_shards

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shards(tiny_shards: list[Path]) -> ShardSet:
    return open_shards(tiny_shards)


def test_clips_are_chosen_by_all_given_filters(shards: ShardSet) -> None:
    rings_ul = LABEL_NAMES.index("rings_ul")
    ring = int(shards[0].view_labels[7, rings_ul])  # another with another OpenCV, whose flow it is
    for filters, holds in (
        ({"video": "pan/*"}, lambda clip: clip.video.startswith("pan/")),
        ({"video": "zoom out/#[é].mp4"}, lambda clip: clip.video == "zoom out/#[é].mp4"),
        ({"class_name": "zoom*"}, lambda clip: clip.class_name == "zoom out"),
        ({"min_motion": 0.001}, lambda clip: clip.motion.mean() >= 0.001),
        ({"max_motion": 0.0}, lambda clip: not clip.motion.any()),
        ({"grid_ul": (1, 2, 3, 4, 5, 6, 7, 8)}, lambda clip: clip.labels["grid_ul"] <= 8),
        ({"rings_ul": ring, "view": 7}, lambda clip: clip.view_labels[7, rings_ul] == ring),
    ):
        expected = [clip.index for clip in shards if holds(clip)]
        assert shards.where(**filters).indices.tolist() == expected, filters
        assert 0 < len(expected) < len(shards), filters
    both = shards.where(video="pan/*").where(min_motion=0.001)
    assert both.indices.tolist() == shards.where(video="pan/*", min_motion=0.001).indices.tolist()
    assert repr(both) == f"{len(both)} of 12 clips: video='pan/*', min_motion=0.001"
    assert len(shards.where(video="nothing")) == 0


def test_invalid_filters_are_refused(shards: ShardSet) -> None:
    for filters, message in (
        ({"grid_xx": 1}, "expected a label, one of grid_ul"),
        ({"grid_ul": 17}, "up to 16"),
        ({"grid_ul": 1.5}, "whole numbers of grid_ul up to 16, found .1.5"),
        ({"grid_ul": "12"}, "whole numbers of grid_ul"),
        ({"grid_ul": 1, "view": 50}, "from 0 to 49"),
    ):
        with pytest.raises(InputError, match=message):
            shards.where(**filters)


def test_slices_and_indices(shards: ShardSet) -> None:
    selection = shards[2:9:3]
    assert [clip.index for clip in selection] == [2, 5, 8] and selection[-1].index == 8
    assert [clip.index for clip in selection[1:]] == [5, 8]
    with pytest.raises(IndexError):
        selection[3]
    with pytest.raises(TypeError, match="list"):
        selection[[0, 1]]


def test_columns_agree_with_the_clips(shards: ShardSet) -> None:
    columns = shards[3:8].columns(view=4)
    for row, clip in enumerate(shards[3:8]):
        assert columns["index"][row] == clip.index and columns["video"][row] == clip.video
        assert columns["class_name"][row] == clip.class_name
        assert columns["start_frame"][row] == clip.start_frame
        assert columns["motion"][row] == pytest.approx(clip.motion.mean())
        assert [columns[name][row] for name in LABEL_NAMES] == clip.view_labels[4].tolist()


def test_a_table_in_pandas(shards: ShardSet) -> None:
    pytest.importorskip("pandas")
    table = shards.table()
    assert table.shape == (12, 5 + 27) and table.index.name == "clip"
    assert table.loc[5, "video"] == shards[5].video and table.loc[5, "C"] == shards[5].labels["C"]
    assert shards.where(video="nothing").table().empty


def test_notebooks_display_names_as_text(shards: ShardSet) -> None:
    shown = shards._repr_html_() + shards.clips._repr_html_() + shards.where(video="<b>")._repr_html_()
    assert "12 clips in 2 shards" in shown and "&lt;b&gt;" in shown and "<b>'" not in shown


def test_shares_count_all_views(shards: ShardSet) -> None:
    labels = np.concatenate([clip.view_labels for clip in shards])
    counted = shards.label_counts
    assert counted.clips == counted.of_clips == 12
    for number, name in enumerate(LABEL_NAMES):
        shares = counted.shares(name)
        assert sum(shares.values()) == pytest.approx(1)
        assert all(share == pytest.approx((labels[:, number] == v).mean()) for v, share in shares.items())
    assert shards.count_labels(max_shards=1).clips == shards.lengths[0]


def test_a_subset_has_its_own_clips_videos_counts_filters_and_table(shards: ShardSet) -> None:
    kept = [0, 1, 3, 5, 9, 10]
    part = shards.subset(kept)
    assert len(part) == sum(part.lengths) == 6 and part.paths == shards.paths
    assert [(clip.index, clip.video, clip.start_frame) for clip in part] == [
        (place, shards[index].video, shards[index].start_frame) for place, index in enumerate(kept)
    ]
    for clip, index in zip(part, kept, strict=True):
        np.testing.assert_array_equal(clip.frames, shards[index].frames)
        np.testing.assert_array_equal(clip.view_labels, shards[index].view_labels)
    places = [part.start(number) + place for number in range(2) for place in range(len(part.rows(number)))]
    assert places == list(range(6))
    assert sum(video.clips for video in part.videos) == 6
    assert [part.videos[number].path for number in part.clip_videos()] == [clip.video for clip in part]
    assert part.label_counts.clips == part.label_counts.of_clips == 6
    assert part.label_counts.counts[0].sum() == 6 * len(shards.views)
    columns, expected = part.clips.columns(view=2), shards.clips.columns(view=2)
    assert columns.pop("index").tolist() == list(range(6))
    for name, column in columns.items():
        assert column.tolist() == expected[name][kept].tolist(), name
    chosen = shards.where(min_motion=0.001).indices.tolist()
    assert [kept[place] for place in part.where(min_motion=0.001).indices] == sorted({*kept} & {*chosen})
    assert part.where(grid_ul=1).indices.tolist() == [
        place for place, clip in enumerate(part) if clip.labels["grid_ul"] == 1
    ]
    assert repr(part).startswith("6 clips in 2 shards")


def test_a_subset_can_be_shown_as_a_table(shards: ShardSet) -> None:
    pytest.importorskip("pandas")
    part = shards.subset([2, 7])
    assert part.table()["video"].tolist() == [shards[2].video, shards[7].video]


def test_subsets_of_subsets_and_of_nothing(shards: ShardSet) -> None:
    part = shards.subset(np.arange(1, 12, 2)).subset([0, 2, 5])
    assert [clip.video for clip in part] == [shards[index].video for index in (1, 5, 11)]
    assert [clip.start_frame for clip in part] == [shards[index].start_frame for index in (1, 5, 11)]
    assert part.where(video="pan/*").indices.tolist() == [
        place for place, clip in enumerate(part) if clip.video.startswith("pan/")
    ]
    nothing = shards.subset([])
    assert len(nothing) == 0 and nothing.videos == nothing.failures == [] and nothing.lengths == [0, 0]
    assert len(nothing.clip_videos()) == 0 and len(nothing.where(video="*")) == 0
    everything = shards.subset(range(len(shards)))
    assert everything.videos == shards.videos and everything.lengths == shards.lengths
    np.testing.assert_array_equal(everything.clip_videos(), shards.clip_videos())


def test_failures_of_a_subset_are_those_of_its_videos(shards: ShardSet) -> None:
    used = {video.path for video in shards.videos}
    everything = shards.subset(range(len(shards)))
    assert len(shards.failures) == shards.failure_count > 0
    assert everything.failures == [failure for failure in shards.failures if failure.video in used]
    assert everything.failure_count == len(everything.failures)


@pytest.mark.parametrize("kept", [[1, 1], [3, 2], [-1], [12], [[0]]])
def test_a_subset_of_clips_out_of_range_or_order_is_refused(shards: ShardSet, kept: list[int]) -> None:
    with pytest.raises(InputError, match="expected numbers of clips from 0 to 11, ascending, found"):
        shards.subset(kept)


def test_what_is_pickled_for_another_process_is_small(shards: ShardSet) -> None:
    part = shards.subset(range(0, 12, 2))
    part_bytes, whole_bytes = len(pickle.dumps(part)), len(pickle.dumps(shards))
    assert len(part.where(grid_ul=1)) + part.label_counts.clips and part[0].frames.any()
    assert shards.label_counts.clips == 12
    assert len(pickle.dumps(part)) == part_bytes < whole_bytes + 500
    assert len(pickle.dumps(shards)) == whole_bytes < 6000
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        labels = pool.map(part.read_labels, range(len(part)))
    np.testing.assert_array_equal(labels, [clip.view_labels for clip in part])


@pytest.mark.parametrize(
    ("count", "limit", "ends", "places"),
    [
        (10, 3, True, [0, 4, 9]),
        (10, 3, False, [2, 4, 8]),
        (3, 5, True, [0, 1, 2]),
        (3, 5, False, [0, 1, 2]),
        (5, 1, True, [0]),
        (5, 1, False, [2]),
        (0, 4, True, []),
        (0, 4, False, []),
    ],
)
def test_places_are_spread_evenly(count: int, limit: int, ends: bool, places: list[int]) -> None:
    assert spread_evenly(count, limit, ends).tolist() == places


def test_missing_pandas_is_reported_by_our_error(shards: ShardSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="columns"):
        shards.table()
