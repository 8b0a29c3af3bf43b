"""Labelling in another geometry, end to end: shards, their verification, pictures and page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from helpers.geometries import small_shards
from helpers.videos import FOLDER_MANIFEST

import mas_labels
from mas_labels.cli.main import main
from mas_labels.errors import InputError
from mas_labels.geometry import Geometry
from mas_labels.inspect import SeenClip, clip_figure
from mas_labels.report.shard_sections import labels_section, overview_section
from mas_labels.report.summary import summarise
from mas_labels.shards import ShardSet
from mas_labels.shards.writer import encode_frames
from mas_labels.verify.consistency import find_contradictions
from mas_labels.verify.recompute import find_differences
from mas_labels.video.clips import resize
from mas_labels.video.video_file import VideoReader


@pytest.fixture(scope="module")
def shards(tiny_videos: Path, tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return small_shards(
        tiny_videos, tmp_path_factory.mktemp("small"), grid_block=8, clip_stride_frames=12, store_flow=True
    )


def test_clips_are_every_second_frame_in_the_size_and_labels_are_the_librarys(
    shards: ShardSet, tiny_videos: Path
) -> None:
    geometry = Geometry(8, 2, 60, 80, view_size=56, grid_block=8, ring_width=7)
    assert shards.geometry == geometry
    assert [clip.start_frame for clip in shards if clip.video == "pan/right.avi"] == [0, 12]
    for clip in shards[1:9:3]:
        decoded = [resize(frame, 60, 80)[..., ::-1] for frame in VideoReader(tiny_videos / clip.video)]
        frames = np.stack(decoded[clip.start_frame :][:15:2])
        jpegs = encode_frames(frames, 90)
        shard, row = shards.locate(clip.index)
        assert all(map(np.array_equal, shard.read_jpegs(row), jpegs))
        flow = mas_labels.compute_flow(frames, "dis")
        np.testing.assert_array_equal(clip.flow, flow.astype(np.float16))
        labels = mas_labels.compute_labels(frames, flow, clip.views, geometry=geometry)
        np.testing.assert_array_equal(clip.view_labels, labels)
    assert shards.columns()["grid_ul"].max() > 16
    assert len(shards.where(grid_ul=range(17, 50))) > 0
    with pytest.raises(InputError, match="whole numbers of grid_ul up to 49"):
        shards.where(grid_ul=50)


def test_the_shards_are_consistent_and_their_videos_give_them_again(
    shards: ShardSet, tiny_videos: Path
) -> None:
    for _, shard in shards.each_shard():
        shard.verify()
        assert list(find_contradictions(shard)) == []
        assert list(find_differences(shard, tiny_videos, list(range(0, len(shard), 3)))) == []


def test_the_picture_shows_clips_of_eight_frames(shards: ShardSet) -> None:
    clip = shards[1]
    figure = clip_figure(clip, 3)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:6] == [f"frame {number} of 8" for number in (1, 2, 4, 5, 7, 8)]
    assert "flow, frame 4 to 5" in titles
    assert "|Mu|, sum of 7 fields" in titles
    assert "frames 12, 14, ..., 26   |" in figure.texts[1].get_text()
    seen = SeenClip(clip, 3)
    assert seen.middle.shape == (56, 56, 3)
    assert seen.field_magnitudes.shape == (2, 7)
    names = ("u", "v")
    assert [int(seen.field_magnitudes[row].argmax()) + 1 for row in (0, 1)] == [
        clip.view_labels[3, mas_labels.LABEL_NAMES.index(f"{name}i")] for name in names
    ]


def test_the_page_counts_what_there_is(shards: ShardSet) -> None:
    summary = summarise(shards)
    assert summary.searched == len(shards)
    assert "clips of 8 frames" in overview_section("", shards, summary)
    page = labels_section(shards, summary)
    assert ">49</text>" in page  # the last block of the grid
    assert ">7</text>" in page  # the last field


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--view-size", "100"], "ring_width: expected a size that divides half of the view, 50 pixels"),
        (["--view-size", "224"], "view_size: expected at most the frames' 128 x 171 pixels, found 224"),
        (["--size", "256", "342", "--view-size", "224", "--grid-block", "50"], "grid_block: expected a size"),
        (
            ["--size", "2160", "3840", "--view-size", "224"],
            "clips of at most 67,108,864 pixels, found 132,710,400",
        ),
    ],
)
def test_sizes_that_do_not_fit_stop_before_any_work(
    tiny_videos: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    base = ["make", "--manifest", FOLDER_MANIFEST, "--root", tiny_videos, "--out", tmp_path / "out"]
    shown = CliRunner().invoke(main, list(map(str, [*base, *options])))
    assert shown.exit_code == 1
    assert message in shown.output
    assert not (tmp_path / "out").exists()
