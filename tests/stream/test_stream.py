"""Streams of clips: equal to labelling's, whatever the options; decoders that hang and die; early ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import mas
from helpers.frames import write_frames
from helpers.processes import children, wait_until
from helpers.videos import moving_texture, write_video

import mas_labels.stream.clips
from mas_labels.errors import ConfigError, UnavailableError
from mas_labels.geometry import Geometry
from mas_labels.shards import open_shards
from mas_labels.stream import (
    ClipOptions,
    StreamedClip,
    StreamedVideo,
    clip_seconds,
    find_inputs,
    stream_clips,
)

SMALL = Geometry(4, 2, 24, 32, 16, 4, 2)
SMALL_OPTIONS = (
    *("--clip-frames", 4, "--frame-step", 2, "--size", 24, 32),
    *("--view-size", 16, "--grid-block", 4, "--ring-width", 2),
)
BROKEN = "corrupt_middle.mp4 trunc_half.avi zeroed_20k.avi dim_change_midstream.ts short_15f.avi vfr.mp4"


def decoders():
    return children(os.getpid(), "pipeline.child")


def reads(pid: int, video: Path) -> bool:
    """Return whether a process has a video open: it has started, and is in the middle of it."""
    try:
        return any(file.readlink() == video for file in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it just ended, or closed one
        return False


@pytest.fixture
def three_videos(tmp_path):
    """Three videos of ten small clips each."""
    frames = moving_texture(70, 24, 32, 1, 0)
    return {name: write_video(tmp_path / name, frames) for name in ("b.avi", "a.avi", "c.avi")}


@pytest.fixture
def no_room(monkeypatch):
    """Each worker decodes one clip ahead, so that a test can act in the middle of a video."""
    monkeypatch.setattr(mas_labels.stream.clips, "AHEAD_BYTES", 0)


def check_against_shards(
    root: Path, out: Path, options: ClipOptions, workers: int, *more: object
) -> list[StreamedClip]:
    """Compare the clips, times and failures of a stream with those of shards; return the clips."""
    command = ("--manifest", "folder", "--root", root, "--out", out, "--frames-only", "--frames", "raw")
    made = mas("make", *command, "--workers", 1, "--videos-per-shard", 16, *more)  # in one shard: in order
    assert made.exit_code in (0, 3), made.output
    shards = open_shards(out)
    items = list(stream_clips(find_inputs([root]).videos, options, workers, 60.0))
    clips = [item for item in items if isinstance(item, StreamedClip)]
    ends = [item for item in items if isinstance(item, StreamedVideo)]
    for streamed, stored in zip(clips, shards, strict=True):
        assert (streamed.video, streamed.start_frame) == (stored.video, stored.start_frame)
        np.testing.assert_array_equal(streamed.frames, stored.frames)
        assert streamed.end_frame - streamed.start_frame == options.geometry.extent
        times = clip_seconds(stored.start_frame, options.geometry.extent, stored.source.fps)
        np.testing.assert_array_equal((streamed.start_seconds, streamed.end_seconds), times)
    assert [end.video for end in ends] == sorted(find_inputs([root]).videos)
    failed = [(e.video, e.failure.stage, e.failure.code, e.failure.message) for e in ends if e.failure]
    assert failed == [(row.video, row.stage, row.code, row.message) for row in shards.failures]
    counts = {video.path: (video.clips, video.frames) for video in shards.videos}
    assert {end.video: (end.clips, end.frames) for end in ends if end.clips} == counts
    assert not decoders()
    return clips


def test_clips_are_bit_by_bit_those_that_labelling_stores(tiny_videos, tmp_path):
    assert len(check_against_shards(tiny_videos, tmp_path / "out", ClipOptions(), 2)) > 6


def test_broken_videos_give_the_clips_that_labelling_keeps(shared_videos, tmp_path):
    """Their clips are smaller, overlap and have another rate."""
    (tmp_path / "videos").mkdir()
    for name in BROKEN.split():
        shutil.copy(shared_videos / "odd" / name, tmp_path / "videos")
    options = ClipOptions(SMALL, 5, "12.50")
    more = (*SMALL_OPTIONS, "--clip-stride", 5, "--fps", "12.5")
    assert len(check_against_shards(tmp_path / "videos", tmp_path / "out", options, 1, *more)) > 30


def test_extracted_frames_are_clips_without_times(tmp_path):
    for name in ("pan/one", "pan/two"):
        write_frames(tmp_path / "frames" / name, moving_texture(20, 30, 40, 1, 0))
    (tmp_path / "frames/pan/two/img_00013.jpg").unlink()  # broken off after 12 frames, so after one clip
    clips = check_against_shards(tmp_path / "frames", tmp_path / "out", ClipOptions(SMALL), 1, *SMALL_OPTIONS)
    assert [clip.video for clip in clips] == ["pan/one", "pan/one", "pan/two"]
    assert np.isnan([(clip.start_seconds, clip.end_seconds) for clip in clips]).all()


def test_a_decoder_that_hangs_or_dies_costs_at_most_its_own_video(tmp_path, no_room, capfd):
    """Clips of 1 MB, of which few fit into the pipe: the process is in the middle of each video."""
    video = write_video(tmp_path / "a.avi", moving_texture(160, 24, 32, 1, 0))
    signals = {"hangs": [signal.SIGSTOP], "dies": [signal.SIGKILL], "dies twice": [signal.SIGKILL] * 2}
    starts, ends, hit = {name: [] for name in signals}, {}, set()
    for item in stream_clips(dict.fromkeys(signals, video), ClipOptions(), 1, 1.5):
        if isinstance(item, StreamedVideo):
            ends[item.video] = item.clips, item.failure and item.failure.code
            continue
        starts[item.video].append(item.start_frame)
        if signals[item.video] and (at_work := {pid for pid in decoders() if reads(pid, video)} - hit):
            hit |= at_work
            os.kill(at_work.pop(), signals[item.video].pop())
    assert starts["dies"] == list(range(0, 160, 16))
    assert all(starts[name] == starts["dies"][: len(starts[name])] for name in signals)
    assert list(ends.items()) == [
        ("hangs", (len(starts["hangs"]), "timeout")),
        ("dies", (10, None)),
        ("dies twice", (len(starts["dies twice"]), "died")),
    ]
    assert 1 <= ends["hangs"][0] < 10 and 1 <= ends["dies twice"][0] < 10
    assert f"decoding {str(video)!r} died (killed by SIGKILL): trying" in capfd.readouterr().err
    assert not decoders()


def test_all_processes_end_with_the_loop(three_videos, no_room, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    relative = {name: path.name for name, path in three_videos.items()}
    clips = stream_clips(relative, ClipOptions(SMALL), 2, 60.0)
    monkeypatch.chdir("/")  # paths are those of the call
    assert isinstance(next(clips), StreamedClip)
    assert decoders()
    with pytest.raises(ValueError, match="wrong"):
        clips.throw(ValueError("wrong"))
    assert not decoders()


def test_ctrl_c_ends_a_program_and_its_processes(three_videos):
    program = (
        "import sys; from pathlib import Path; from mas_labels.stream import *\n"
        "videos = {str(n): Path(sys.argv[1]) for n in range(999)}\n"
        "for item in stream_clips(videos, ClipOptions(), 2, 60.0): print(item.video, flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(three_videos["a.avi"])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "0\n"  # more than may be decoded ahead is left to do
        found = children(process.pid, "pipeline.child")
        assert found
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found))


def test_a_fault_of_the_machine_is_an_error_and_no_failure_of_videos(three_videos, tmp_path, monkeypatch):
    gone = {str(number): tmp_path / f"gone/{number}.avi" for number in range(3)}
    items = list(stream_clips({**gone, "a": three_videos["a.avi"]}, ClipOptions(SMALL), 1, 60.0))
    ends = [item for item in items if isinstance(item, StreamedVideo)]
    assert [(end.clips, end.is_unreadable) for end in ends] == [(0, True)] * 3 + [(10, False)]
    with pytest.raises(UnavailableError, match="none of the last 3 videos could be read: '2': expected"):
        next(stream_clips(gone, ClipOptions(), 1, 60.0))  # before any end
    monkeypatch.setattr(sys, "executable", str(tmp_path))  # a folder: permission denied
    with pytest.raises(UnavailableError, match=r"the machine refused \(Permission denied\)"):
        list(stream_clips(three_videos, ClipOptions(), 2, 60.0))


def test_wrong_options_are_refused_before_any_process_starts():
    for workers, timeout in ((0, 60.0), (1, 0.0), (1, float("nan"))):
        with pytest.raises(ConfigError, match="expected 1 worker or more and a timeout above 0 s, found"):
            stream_clips({}, ClipOptions(), workers, timeout)
    for wrong in ({"fps": "0"}, {"fps": "abc"}, {"clip_stride_frames": -1}):
        with pytest.raises(ConfigError):
            ClipOptions(**wrong)
    assert list(stream_clips({}, ClipOptions(), 1, 60.0)) == []
    assert ClipOptions(fps="25.0") == ClipOptions(fps="25", clip_stride_frames=16)


def test_times_of_clips_follow_from_frames_and_rate():
    start, end = clip_seconds([0, 16, 30], 16, [25.0, 25.0, 0.0])
    np.testing.assert_array_equal(start, [0, 0.64, np.nan])
    np.testing.assert_array_equal(end, [0.64, 1.28, np.nan])
