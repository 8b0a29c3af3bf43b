"""Leakage between training and test shards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from helpers.coloured import label_frames
from helpers.videos import moving_texture, write_video

from mas_labels.shards.shard_set import ShardSet
from mas_train.data.leakage import VideoNames, find_shard_leaks, shared_names


def test_videos_in_both_are_found(train: ShardSet, test: ShardSet) -> None:
    assert find_shard_leaks(train, test) == []
    assert find_shard_leaks(train, train) == [
        "8 videos are in the training and in the test shards, such as 'blue/0001.avi'"
    ]


def test_groups_count_within_a_class(train: ShardSet) -> None:
    def grouped(prefix: str, group: str, name: str) -> VideoNames:
        return VideoNames.of(
            video._replace(path=f"{prefix}{video.path}", group=group, class_name=name)
            for video in train.videos
        )

    (finding,) = shared_names(grouped("a", "07", "blue"), grouped("b", "07", "blue"))
    assert finding == "1 groups are in the training and in the test shards, such as 'blue group 07'"
    assert shared_names(grouped("a", "07", "blue"), grouped("b", "07", "red")) == []
    assert shared_names(grouped("a", "07", "blue"), grouped("b", "08", "blue")) == []


@pytest.mark.parametrize(
    "options", [{}, {"frames": "raw"}, {"clip_stride_frames": 8}, {"fps": "30"}, {"clip_frames": 9}]
)
def test_copies_with_other_names_are_found_however_they_are_stored(
    train: ShardSet, test: ShardSet, tmp_path: Path, options: dict[str, object]
) -> None:
    learnt, tested = (shards.paths[0].parent.parent / "videos" for shards in (train, test))
    shutil.copytree(tested, tmp_path / "videos")
    shutil.copy(learnt / "red" / "0006.avi", tmp_path / "videos" / "red" / "copy of it.avi")
    leaks = find_shard_leaks(train, label_frames(tmp_path / "videos", tmp_path / "shards", **options))
    assert leaks == [
        "1 test videos are copies of training videos, such as 'red/copy of it.avi' = 'red/0006.avi'"
    ]


def test_files_of_equal_size_with_other_pictures_are_not_copies(train: ShardSet, tmp_path: Path) -> None:
    for part, seed in (("one", 1), ("two", 2)):  # uncompressed: the size is that of the frames
        frames = moving_texture(17, 60, 80, 1, 0, seed=seed)
        write_video(tmp_path / part / "a" / f"{part}.avi", frames, codec="RGBA")
    sizes = {path.stat().st_size for path in tmp_path.rglob("*.avi")}
    one, two = (label_frames(tmp_path / part, tmp_path / f"{part} shards") for part in ("one", "two"))
    assert len(sizes) == 1 and find_shard_leaks(one, two) == []


def test_a_search_for_copies_that_is_impossible_is_stated(train: ShardSet, tmp_path: Path) -> None:
    videos = train.paths[0].parent.parent / "videos"
    larger = label_frames(videos, tmp_path, frame_rows=120, frame_cols=160, frame_step=2, clip_frames=8)
    assert find_shard_leaks(train, larger)[1:] == [
        "copies of training videos were not searched for: frames of 128 x 171 and 120 x 160"
    ]


def test_copies_are_found_among_clips_that_filters_have_left_out(train: ShardSet, tmp_path: Path) -> None:
    videos = train.paths[0].parent.parent / "videos"
    (tmp_path / "videos" / "red").mkdir(parents=True)
    shutil.copy(videos / "red" / "0005.avi", tmp_path / "videos" / "red" / "copy.avi")
    later = train.subset([clip.index for clip in train if clip.start_frame == 16])
    assert {video.path for video in later.videos} >= {"red/0005.avi"}
    (leak,) = find_shard_leaks(later, label_frames(tmp_path / "videos", tmp_path / "shards"))
    assert leak.endswith("such as 'red/copy.avi' = 'red/0005.avi'")
