"""TV-L1 compared with OpenCV's: each stage tightly, whole runs at the level of OpenCV's own noise."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from helpers.videos import moving_texture, needs_opencv_5

from mas_labels import tvl1
from mas_labels.errors import InputError

OPENCV_ONLY = {"clear", "empty", "getDefaultName", "read", "save", "write", "create"}  # cv2.Algorithm's


def frames_of(rows, cols, u=0.7, v=-0.4, seed=0):
    return moving_texture(2, rows, cols, u, v, seed)[..., 0]


def opencv(frames, **options):
    estimator = cv2.optflow.DualTVL1OpticalFlow_create(**options)
    return estimator.calc(frames[0], frames[1], None)


def ours(frames, **options):
    return tvl1.DualTVL1OpticalFlow_create(**options).calc(frames[0], frames[1], None)


def difference(a, b):
    return np.hypot(*np.moveaxis(a - b, -1, 0))


SIZES = [(16, 16), (17, 31), (33, 48), (64, 65), (128, 171)]


@pytest.mark.parametrize(("rows", "cols"), SIZES)
@pytest.mark.parametrize("iterations", [1, 2, 30])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_one_scale_and_one_warp_agree(rows, cols, iterations, dtype):
    frames = frames_of(rows, cols)
    frames = frames if dtype == np.uint8 else frames.astype(np.float32) / np.float32(255)
    stage = {"nscales": 1, "warps": 1, "innnerIterations": iterations, "outerIterations": 1}
    assert difference(ours(frames, **stage), opencv(frames, **stage)).max() < 1e-5


@pytest.mark.parametrize("epsilon", [0.01, 0.0128])  # 0.0128: the end is amid iterations done together
def test_a_level_larger_than_the_cache_agrees(epsilon):
    frames = frames_of(160, 224, 0.3, 0.2)
    stage = {"nscales": 1, "warps": 1, "epsilon": epsilon}
    assert difference(ours(frames, **stage), opencv(frames, **stage)).max() < 1e-5


@pytest.mark.parametrize("median", [0, 1, 3, 5])
@pytest.mark.parametrize(("rows", "cols"), SIZES[:4])
def test_the_median_between_iterations_agrees(median, rows, cols):
    frames = frames_of(rows, cols)
    stage = {"nscales": 1, "warps": 1, "innnerIterations": 2, "outerIterations": 3, "epsilon": 0.0}
    one, other = (solve(frames, medianFiltering=median, **stage) for solve in (ours, opencv))
    assert difference(one, other).max() < 2e-5


@pytest.mark.parametrize(
    "option", [{"tau": 0.1}, {"lambda_": 0.03}, {"theta": 0.6}, {"epsilon": 0.2}, {"scaleStep": 0.5}]
)
def test_each_option_has_the_same_effect(option):
    frames = frames_of(64, 80)
    stage = {"nscales": 1, "warps": 1, "innnerIterations": 12, "outerIterations": 2} | option
    assert difference(ours(frames, **stage), opencv(frames, **stage)).max() < 2e-5


@needs_opencv_5
@pytest.mark.parametrize("step", [0.8, 0.5, 0.65])
@pytest.mark.parametrize(("rows", "cols"), SIZES[2:])
def test_the_pyramid_and_a_warp_agree(step, rows, cols):
    frames = frames_of(rows, cols)
    stage = {"nscales": 3, "warps": 2, "innnerIterations": 1, "outerIterations": 1, "scaleStep": step}
    distance = difference(ours(frames, **stage), opencv(frames, **stage))
    assert distance.mean() < 1e-5
    assert np.quantile(distance, 0.99) < 1e-4  # a flat pixel divides the last bit of a warp by almost nothing


@needs_opencv_5
def test_a_given_flow_is_the_initial_value():
    frames = frames_of(64, 80, 6.0, 4.0)
    start = np.full((64, 80, 2), (5.5, 4.5), np.float32)
    stage = {"nscales": 2, "warps": 1, "innnerIterations": 3, "outerIterations": 1, "useInitialFlow": True}
    one, other = start.copy(), start.copy()
    returned = tvl1.DualTVL1OpticalFlow_create(**stage).calc(*frames, one)
    cv2.optflow.DualTVL1OpticalFlow_create(**stage).calc(*frames, other)
    assert returned is one
    assert difference(one, other).mean() < 1e-4


def test_the_object_has_opencvs_methods_and_values():
    theirs, mine = cv2.optflow.DualTVL1OpticalFlow_create(), tvl1.DualTVL1OpticalFlow_create()
    names = {name for name in dir(theirs) if not name.startswith("_")} - OPENCV_ONLY
    assert names <= set(dir(mine))
    for name in sorted(names):
        if name.startswith("get"):
            assert getattr(mine, name)() == getattr(theirs, name)(), name
            setter = name.replace("get", "set")
            value = {"getUseInitialFlow": True, "getMedianFiltering": 3, "getGamma": 0.0}.get(name, 2)
            value = 0.5 if isinstance(getattr(theirs, name)(), float) and name != "getGamma" else value
            getattr(mine, setter)(value)
            getattr(theirs, setter)(value)
            assert getattr(mine, name)() == getattr(theirs, name)() == value, name
    mine.collectGarbage()


def test_wrong_pairs_are_refused():
    frames = frames_of(32, 40)
    estimator = tvl1.DualTVL1OpticalFlow_create()
    with pytest.raises(InputError, match="I0 and I1"):
        estimator.calc(frames[0], frames[1, :20], None)
    with pytest.raises(InputError, match="flow: expected float32"):
        estimator.calc(frames[0], frames[1], np.zeros((32, 40, 2)))
    estimator.setUseInitialFlow(True)
    with pytest.raises(InputError, match="found none"):
        estimator.calc(frames[0], frames[1])
    with pytest.raises(InputError, match="NaN"):
        estimator.calc(frames[0], frames[1], np.full((32, 40, 2), np.nan, np.float32))


# ------------------------------------------------------------------------------------ whole runs


def read_grey(path, rows=128, cols=171, count=4):
    capture = cv2.VideoCapture(str(path))
    frames = [cv2.resize(capture.read()[1], (cols, rows)) for _ in range(count)]
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in frames])


@pytest.mark.slow
def test_real_clips_agree_to_within_opencvs_own_noise(shared_videos):
    """OpenCV differs from itself if all inputs are 1e-4 grey levels brighter; ours differs as much."""
    noise, distance = [], []
    for path in sorted((shared_videos / "ucf101").glob("*/*.avi"))[::13]:
        frames = read_grey(path)
        moved = ((frames + np.float32(1e-4)) / np.float32(255)).astype(np.float32)
        flow = tvl1.tvl1_flow(frames)
        for index, (first, second) in enumerate(itertools.pairwise(range(len(frames)))):
            reference = opencv(frames[[first, second]])
            noise.append(difference(reference, opencv(moved[[first, second]])).mean())
            distance.append(difference(reference, flow[index]).mean())
    assert len(distance) >= 50
    assert np.mean(distance) <= 1.2 * np.mean(noise)
