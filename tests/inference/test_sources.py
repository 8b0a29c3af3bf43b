"""Sources of clips: videos and shards of them give the same clips, places and failures."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.coloured import label_frames

from mas_labels.errors import ConfigError, DatasetError
from mas_labels.geometry import DEFAULT_GEOMETRY
from mas_labels.shards import ShardSet, open_shards
from mas_train.inference.open_source import open_source
from mas_train.inference.options import SourceOptions
from mas_train.inference.sources import ClipPlace, FrameSource, ShardSource, VideoSource


def collect(source: FrameSource, size: int, **options: object) -> tuple[dict[ClipPlace, np.ndarray], dict]:
    """Return the frames of every clip by place, and the end of every video by name."""
    frames, ends = {}, {}
    for batch in source.batches(size, 0, **options):  # type: ignore[arg-type]
        assert len(batch.frames) == len(batch.clips) <= size
        assert batch.frames.dtype == torch.uint8
        frames |= {place: clip.numpy().copy() for place, clip in zip(batch.clips, batch.frames, strict=True)}
        for end in batch.ended:
            assert end.name not in ends
            assert end.clips == sum(place.video == end.name for place in frames)
            ends[end.name] = end
    return frames, ends


def test_videos_and_their_shards_have_the_same_clips(tiny_videos: Path, raw_shards: ShardSet) -> None:
    files, shards = open_source([tiny_videos], SourceOptions(), DEFAULT_GEOMETRY), ShardSource(raw_shards)
    assert isinstance(files, VideoSource) and set(files.videos) == set(shards.videos)
    (streamed, ends), (stored, stored_ends) = collect(files, 4), collect(shards, 5)
    assert len(streamed) == 12 and streamed.keys() == stored.keys()
    for place, frames in streamed.items():
        np.testing.assert_array_equal(frames, stored[place])
    assert ends == stored_ends and list(ends) == files.videos and list(stored_ends) == shards.videos
    failed = {failure.video for failure in files.failures}
    assert failed == {"pan/short.avi", "zoom out/text.avi", "zoom out/empty.mp4"}
    assert set(shards.failures) == set(files.failures)
    assert shards.classes["pan/short.avi"] == "pan"


def test_finished_videos_are_left_out(tiny_videos: Path, raw_shards: ShardSet) -> None:
    for source in (open_source([tiny_videos], SourceOptions(), DEFAULT_GEOMETRY), ShardSource(raw_shards)):
        done = {"pan/right.avi", "zoom out/text.avi", "zoom out/still.avi"}
        frames, ends = collect(source, 3, done=done)
        assert len(frames) == 8 and ends.keys() == set(source.videos) - done


def test_two_videos_of_one_name_in_shards_are_refused(
    tiny_videos: Path, raw_shards: ShardSet, tmp_path: Path
) -> None:
    same_name = tmp_path / "videos" / "pan" / "right.avi"
    same_name.parent.mkdir(parents=True)
    shutil.copy(tiny_videos / "zoom out" / "still.avi", same_name)
    other = label_frames(tmp_path / "videos", tmp_path / "shards", frames="raw")
    both = open_shards([*raw_shards.paths, *other.paths])
    with pytest.raises(DatasetError, match=r"two videos of the shards have the name pan/right\.avi: give"):
        ShardSource(both)


def test_places_of_a_subset_are_those_of_its_clips(raw_shards: ShardSet) -> None:
    part = raw_shards.subset([1, 2, 6])
    frames, ends = collect(ShardSource(part), 2)
    clips = [(clip.video, clip.start_frame) for clip in part]
    assert [(place.video, place.start_frame) for place in frames] == clips
    assert sum(end.clips for end in ends.values()) == 3
    for place in frames:
        assert place.end_frame == place.start_frame + 16
        assert place.start_seconds == place.start_frame / 25


def test_paths_are_shards_or_videos_not_both(tiny_videos: Path, raw_shards: ShardSet) -> None:
    folder, file = raw_shards.paths[0].parent, raw_shards.paths[0]
    for paths in ([folder], [file], [folder / "*.h5"]):
        assert isinstance(open_source(paths, SourceOptions(), DEFAULT_GEOMETRY), ShardSource)
    assert open_source([folder], SourceOptions(), DEFAULT_GEOMETRY).notes == []
    (note,) = open_source([folder], SourceOptions(), replace(DEFAULT_GEOMETRY, clip_frames=8)).notes
    assert "trained on 8 frames of 112 x 112" in note and "the shards hold 16 frames of 112 x 112" in note
    with pytest.raises(ConfigError, match="found both"):
        open_source([folder, tiny_videos], SourceOptions(), DEFAULT_GEOMETRY)
    with pytest.raises(ConfigError, match="cut already: leave out"):
        open_source([folder], SourceOptions(fps="25"), DEFAULT_GEOMETRY)
    with pytest.raises(ConfigError, match="neither: give one"):
        open_source([], SourceOptions(), DEFAULT_GEOMETRY)


def test_shards_in_which_two_videos_have_one_name_are_refused(
    raw_shards: ShardSet, tiny_videos: Path, tmp_path: Path
) -> None:
    from mas_labels.shards import open_shards

    label_frames(tiny_videos, tmp_path, frames="raw")
    twice = open_shards([raw_shards.paths[0], next(iter(sorted(tmp_path.glob("*.h5"))))])
    with pytest.raises(DatasetError, match="give them separately"):
        ShardSource(twice)
