"""The labelling process hangs, crashes, or loses its supervisor: at most one video fails."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from helpers.processes import children, contents, make_command, wait_until
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

import mas_labels
from mas_labels.config import LabelConfig, RunOptions
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.errors import VideoError
from mas_labels.flow.options import FlowOptions
from mas_labels.flow.video_flow import FlowPart, flow_parts
from mas_labels.pipeline.flow_video import FlowJob
from mas_labels.pipeline.label_video import LabelJob, LabelledClip, label_video
from mas_labels.pipeline.message_pipe import MessagePipe, PeerGoneError
from mas_labels.pipeline.run import run
from mas_labels.pipeline.supervisor import VideoProcess
from mas_labels.plan.heartbeat import read_beats
from mas_labels.plan.plan import plan_shards
from mas_labels.shards.writer import ShardWriter
from mas_labels.video.reader import VideoFacts
from mas_labels.video.video_file import VideoReader

DIS = LabelConfig(flow="dis", view_stride_pixels=59)


@pytest.fixture
def process():
    process = VideoProcess()
    yield process
    process.close()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """A video of five clips and four frames."""
    return write_video(tmp_path_factory.mktemp("long") / "a.avi", moving_texture(84, 120, 160, 1, 0))


def process_of():
    (pid,) = children(os.getpid(), "pipeline.child")
    return pid


def kill_after(items, clips, signals):
    """Pass items on; send each signal to the process once, after `clips` clips."""
    signals = list(signals)
    for item in items:
        yield item
        clips -= isinstance(item, LabelledClip)
        if clips <= 0 and signals:
            os.kill(process_of(), signals.pop(0))


def starts(items):
    return [item.start_frame for item in items if isinstance(item, LabelledClip)]


def test_clips_and_facts_are_those_of_the_library(process, long_video):
    items = list(process.do(LabelJob(long_video, DIS), 60))
    reader = VideoReader(long_video)
    for theirs, ours in zip(items, label_video(reader, DIS), strict=False):
        assert theirs.start_frame == ours.start_frame
        assert theirs.flow is None
        np.testing.assert_array_equal(theirs.frames, ours.frames)
        np.testing.assert_array_equal(theirs.statistics.labels, ours.statistics.labels)
        np.testing.assert_array_equal(theirs.statistics.mu, ours.statistics.mu)
    assert starts(items) == [0, 16, 32, 48, 64]
    assert items[-1] == VideoFacts(long_video.stat().st_size, 25.0, 84, 84, 120, 160)
    assert starts(process.do(LabelJob(long_video, DIS, range(1, 3)), 60)) == [16, 32]


def test_a_process_that_hangs_is_killed_at_the_deadline_and_replaced(process, long_video):
    before = process_of()
    items = kill_after(process.do(LabelJob(long_video, DIS), 1.0), 1, [signal.SIGSTOP])
    taken, start = [], time.monotonic()
    with pytest.raises(VideoError, match="no frame decoded and no clip finished in 1 s, after") as error:
        for item in items:
            taken.append(item)
    assert (error.value.stage, error.value.code) == ("decode", "timeout")
    assert time.monotonic() - start < 20
    assert 1 <= len(starts(taken)) < 5
    assert not os.path.exists(f"/proc/{before}")  # noqa: PTH110
    assert starts(process.do(LabelJob(long_video, DIS), 60)) == [0, 16, 32, 48, 64]


def test_a_process_that_dies_once_is_replaced_and_no_clip_is_lost_or_twice(process, long_video, capfd):
    items = kill_after(process.do(LabelJob(long_video, DIS), 60), 2, [signal.SIGKILL])
    assert starts(items) == [0, 16, 32, 48, 64]
    assert "died (killed by SIGKILL): trying it once more" in capfd.readouterr().err


def test_no_pair_of_flow_is_lost_or_twice_if_the_process_dies(process, long_video):
    options = FlowOptions(flow="dis", format="npz")
    items = process.do(FlowJob(long_video, options), 60)
    fields = [next(items).array]
    os.kill(process_of(), signal.SIGKILL)
    fields += [part.array for part in items if isinstance(part, FlowPart)]
    expected = [part.array for part in flow_parts(VideoReader(long_video), options)]
    np.testing.assert_array_equal(np.concatenate(fields), np.concatenate(expected))


def test_a_process_that_dies_twice_costs_the_video_and_names_the_signal(process, long_video):
    items = kill_after(process.do(LabelJob(long_video, DIS), 60), 1, [signal.SIGKILL, signal.SIGSEGV])
    taken = []
    with pytest.raises(VideoError, match="died twice, killed by SIGSEGV, after") as error:
        for item in items:
            taken.append(item)
    assert (error.value.stage, error.value.code) == ("worker", "died")
    assert starts(taken) == [0, 16, 32, 48, 64][: len(starts(taken))]
    assert starts(process.do(LabelJob(long_video, DIS), 60)) == [0, 16, 32, 48, 64]


def test_a_process_that_died_between_two_videos_is_replaced(process, long_video, capfd):
    os.kill(process_of(), signal.SIGKILL)
    wait_until(lambda: process._process.poll() is not None)
    assert len(starts(process.do(LabelJob(long_video, DIS), 60))) == 5
    assert "trying" not in capfd.readouterr().err


def test_a_process_that_is_killed_while_it_starts_is_started_again(long_video, monkeypatch):
    popen, killed = subprocess.Popen, []

    def start(*args, **options):
        process = popen(*args, **options)
        if not killed:
            process.kill()
            killed.append(process.pid)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    with closing(VideoProcess()) as process:
        monkeypatch.undo()
        assert killed != [process_of()]
        assert len(starts(process.do(LabelJob(long_video, DIS), 60))) == 5


def test_an_abandoned_job_ends(process, long_video):
    items = process.do(LabelJob(long_video, DIS), 60)
    next(items)
    items.close()
    assert starts(process.do(LabelJob(long_video, DIS), 60)) == [0, 16, 32, 48, 64]


def test_a_fifo_that_a_link_leads_to_ends_as_a_failure(process, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "a.avi").symlink_to("fifo")
    with pytest.raises(VideoError, match="regular file"):
        list(process.do(LabelJob(tmp_path / "a.avi", DIS), 60))
    with pytest.raises(VideoError, match="regular file"):
        list(process.do(LabelJob(Path("/dev/zero"), DIS), 60))


def test_a_video_that_breaks_off_yields_its_clips_first(long_video, monkeypatch):
    """The second clip's flow is not finite, as a faulty estimator's would be."""
    calls = []

    def faulty(frames, method):
        calls.append(len(calls))
        flow = mas_labels.compute_flow(frames, method)
        return flow * np.float32(np.nan) if len(calls) == 2 else flow

    monkeypatch.setattr("mas_labels.pipeline.label_video.compute_flow", faulty)
    clips = label_video(VideoReader(long_video), DIS)
    assert next(clips).start_frame == 0
    with pytest.raises(VideoError, match="clip 1 could not be labelled: flow: expected") as error:
        next(clips)
    assert error.value.code == "not_labelled"


def test_hanging_and_dying_processes_become_rows_of_a_shard(tmp_path, monkeypatch):
    """The process is stopped in the first video and killed twice in the second; the third goes well."""
    for number in range(3):
        frames = moving_texture(100 if number < 2 else 40, 120, 160, 1, 0)
        write_video(tmp_path / "videos" / f"{number}.avi", frames)
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tmp_path / "videos"), "all", 3)
    add_clip, first_clips, signals = ShardWriter.add_clip, [], [signal.SIGKILL, signal.SIGKILL]

    def sabotage(writer, start_frame, *clip):
        add_clip(writer, start_frame, *clip)
        first_clips.extend([start_frame] if start_frame == 0 else [])
        if len(first_clips) == 1 and start_frame == 0:
            os.kill(process_of(), signal.SIGSTOP)
        if len(first_clips) == 2 and signals:
            os.kill(process_of(), signals.pop())

    monkeypatch.setattr(ShardWriter, "add_clip", sabotage)
    (result,) = run(plan, DIS, tmp_path / "videos", tmp_path / "out", 1, RunOptions(video_timeout_seconds=1))
    assert result.error is None
    shards = mas_labels.open_shards(tmp_path / "out")
    assert [(row.video, row.stage, row.code) for row in shards.failures] == [
        ("0.avi", "decode", "timeout"),
        ("1.avi", "worker", "died"),
    ]
    assert "killed by SIGKILL" in shards.failures[1].message
    assert [(video.path, video.frames) for video in shards.videos][2:] == [("2.avi", 40)]
    starts = [clip.start_frame for clip in shards if clip.video == "1.avi"]
    assert starts == list(range(0, 16 * len(starts), 16))


def test_nothing_outlives_a_killed_run(tiny_videos, tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(make_command(tiny_videos, out, "--workers", "2"), stderr=subprocess.DEVNULL)
    wait_until(lambda: list(out.glob(".*.partial")), process)
    partial = next(out.glob(".*.partial")).name
    at_work = next(beat.pid for beat in read_beats(out) if f".{beat.name}.partial" == partial)
    workers = children(process.pid, "LokyProcess")
    (labelling,) = children(at_work, "pipeline.child")
    assert at_work in workers
    os.kill(labelling, signal.SIGSTOP)  # it could not end by itself
    process.kill()
    process.wait()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in [*workers, labelling]))  # noqa: PTH110


def test_a_labelling_process_ignores_signals_to_the_group(process, long_video):
    pid = process_of()
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    assert len(starts(process.do(LabelJob(long_video, DIS), 60))) == 5
    assert process_of() == pid


def test_a_message_that_stops_half_way_times_out():
    ours, theirs = socket.socketpair()
    with ours:
        theirs.sendall((1000).to_bytes(8, "big") + b"part")
        waits = []
        with pytest.raises(TimeoutError):
            MessagePipe(ours).receive(0.4, lambda: waits.append(1))
        assert len(waits) == 2
        theirs.close()
        with pytest.raises(PeerGoneError):
            MessagePipe(ours).receive(60)


def test_a_process_that_cannot_be_started_is_not_reported_as_a_full_disk(tiny_videos, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path))  # a folder: permission denied
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tiny_videos), "all", 16)
    [shard] = run(plan, DIS, tiny_videos, tmp_path / "out", 1, RunOptions())
    assert shard.error is not None and f"{tmp_path}: the machine refused (Permission denied)" in shard.error


def test_the_library_is_found_from_any_folder(tiny_videos, tiny_shards, tmp_path, monkeypatch):
    """A module named like one of our dependencies, in the folder where the run starts, is not imported."""
    (tmp_path / "cv2.py").write_text("raise RuntimeError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_videos, tmp_path / "videos")
    plan = plan_shards(find_videos(load_manifest(FOLDER_MANIFEST), tmp_path / "videos"), "all", 5)
    run(plan, LabelConfig(flow="dis"), tmp_path / "videos", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tiny_shards[0].parent)
