"""TV-L1: properties that hold for any input, bit-identical results, and the interface."""

from __future__ import annotations

import builtins
import ctypes
import ctypes.util
import importlib
import itertools
import resource
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.videos import moving_texture
from hypothesis import given, settings
from hypothesis import strategies as st

from mas_labels.errors import ConfigError, InputError, MissingDependencyError
from mas_labels.flow import tvl1
from mas_labels.system.extensions import available_isas

SHORT = {"nscales": 3, "warps": 2, "inner_iterations": 6, "outer_iterations": 2}
SIDES = st.sampled_from([3, 4, 7, 8, 9, 15, 16, 17, 23, 31, 32, 33, 47, 48, 49, 63, 64, 65])
ISAS = available_isas("tvl1")


def grey(frames=2, rows=40, cols=52, u=1.0, v=-0.5, seed=0):
    return moving_texture(frames, rows, cols, u, v, seed)[..., 0]


def noise(frames, rows, cols, seed):
    return np.random.default_rng(seed).integers(0, 256, (frames, rows, cols), np.uint8)


# ------------------------------------------------------------------------------------ values


def test_a_moving_ramp_by_hand():
    # One linearisation and one iteration from zero, no median: u = clamp(-rho / |g|^2, +-lambda theta) g with
    # I1 = I0 + 0.1, gradient (2, 0) inside: th = -0.1 / 4, u = -0.05. At the left border half of it.
    ramp = np.tile(np.arange(20, dtype=np.float32) * 2, (20, 1))
    frames = np.stack([ramp, ramp + np.float32(0.1)]) / np.float32(255)
    flow = tvl1.tvl1_flow(
        frames, nscales=1, warps=1, inner_iterations=1, outer_iterations=1, median_filtering=0
    )
    np.testing.assert_allclose(flow[0, :, 1:-1, 0], -0.05, atol=1e-6)
    np.testing.assert_allclose(
        flow[0, 1:-1, 0, 0], -0.045, atol=1e-6
    )  # clamped: -0.1 / 1 is beyond 0.15 * 0.3
    np.testing.assert_allclose(flow[0, :, :, 1], 0, atol=1e-6)


@given(SIDES, SIDES, st.integers(0, 99))
@settings(max_examples=25)
def test_equal_frames_do_not_move_at_all(rows, cols, seed):
    frame = noise(1, rows, cols, seed)[0]
    assert not tvl1.tvl1_flow(np.stack([frame, frame])).any()


@given(st.integers(-20, 20))
@settings(max_examples=10)
def test_brightness_added_to_both_frames_changes_little(offset):
    frames = np.clip(grey(), 30, 220)
    plain = tvl1.tvl1_flow(frames)
    moved = tvl1.tvl1_flow((frames.astype(int) + offset).astype(np.uint8))
    inner = np.s_[:, 6:-6, 6:-6]  # beyond the border a picture counts as black
    assert np.abs(plain - moved)[inner].mean() < 0.02


@given(SIDES, SIDES, st.integers(0, 99))
@settings(max_examples=15)
def test_any_size_gives_a_finite_flow(rows, cols, seed):
    flow = tvl1.tvl1_flow(noise(3, rows, cols, seed), **SHORT)
    assert flow.shape == (2, rows, cols, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


def test_full_hd_works():
    flow = tvl1.tvl1_flow(noise(2, 1080, 1920, 0), warps=1, inner_iterations=1, outer_iterations=1)
    assert flow.shape == (1, 1080, 1920, 2)


def test_flat_frames_of_other_brightness_do_not_move():
    frames = np.stack([np.full((32, 32), value, np.uint8) for value in (10, 200)])
    np.testing.assert_allclose(tvl1.tvl1_flow(frames)[:, 8:-8, 8:-8], 0, atol=1e-6)


# ------------------------------------------------------------------------------------ the same bits


@pytest.mark.parametrize("isa", ISAS)
@given(rows=SIDES, cols=SIDES, seed=st.integers(0, 99), median=st.sampled_from([0, 3, 5]))
@settings(max_examples=12)
def test_every_instruction_set_gives_the_same_bits(isa, rows, cols, seed, median):
    frames = noise(2, rows, cols, seed) // 4 + grey(2, rows, cols, seed=seed) // 2
    with pytest.MonkeyPatch.context() as patch:
        expected = tvl1.tvl1_flow(frames, median_filtering=median, **SHORT)
        patch.setenv(tvl1.ISA_VARIABLE, isa)
        assert tvl1.isa() == isa
        np.testing.assert_array_equal(tvl1.tvl1_flow(frames, median_filtering=median, **SHORT), expected)


@pytest.mark.parametrize("isa", ISAS)
def test_every_instruction_set_converges_to_the_same_bits(isa, monkeypatch):
    frames = grey(2, 64, 85, 2.3, 1.1)
    expected = tvl1.tvl1_flow(frames)
    monkeypatch.setenv(tvl1.ISA_VARIABLE, isa)
    np.testing.assert_array_equal(tvl1.tvl1_flow(frames), expected)


@pytest.mark.parametrize("largest", [1.0, tvl1.MAX_GREY])
def test_every_instruction_set_gives_the_same_bits_with_extreme_parameters(largest, monkeypatch):
    frames = np.random.default_rng(0).uniform(-largest, largest, (2, 33, 50)).astype(np.float32)
    frames[1, :16] = np.where(np.indices((16, 50)).sum(axis=0) % 2, largest, -largest)
    bounds = tvl1.MIN_PARAMETER, tvl1.MAX_PARAMETER
    for tau, lambda_, theta in itertools.product(bounds, repeat=3):
        options = {**SHORT, "inner_iterations": 60, "epsilon": 0}
        options |= {"tau": tau, "lambda_": lambda_, "theta": theta}
        flows = []
        for isa in ISAS:
            monkeypatch.setenv(tvl1.ISA_VARIABLE, isa)
            flows.append(tvl1.tvl1_flow(frames, **options))
        assert np.isfinite(flows[0]).all(), options
        assert all(flow.tobytes() == flows[0].tobytes() for flow in flows), options


def test_a_clip_equals_its_pairs_and_calls_are_independent():
    frames = grey(4, 48, 61)
    clip = tvl1.tvl1_flow(frames)
    tvl1.tvl1_flow(noise(2, 90, 33, 1))
    pairs = np.concatenate([tvl1.tvl1_flow(frames[t : t + 2]) for t in range(3)])
    np.testing.assert_array_equal(clip, pairs)
    np.testing.assert_array_equal(tvl1.tvl1_flow(frames), clip)


def test_floats_and_strides_do_not_matter():
    frames = grey(2, 40, 50)
    expected = tvl1.tvl1_flow(frames)
    wide = np.zeros((2, 80, 100), np.uint8)
    wide[:, ::2, ::2] = frames
    np.testing.assert_array_equal(tvl1.tvl1_flow(wide[:, ::2, ::2]), expected)
    read_only = frames.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(tvl1.tvl1_flow(read_only), expected)


def test_parallel_threads_give_the_same_bits():
    frames = [grey(3, 60, 80, seed=seed) for seed in range(6)]
    expected = [tvl1.tvl1_flow(clip) for clip in frames]
    with ThreadPoolExecutor(3) as pool:
        for one, other in zip(pool.map(tvl1.tvl1_flow, frames), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_gil_is_released():
    thread = threading.Thread(target=tvl1.tvl1_flow, args=(noise(8, 200, 200, 0),))
    switch = sys.getswitchinterval()
    thread.start()
    turns = 0
    while thread.is_alive() and turns < 50:
        thread.join(switch / 5)
        turns += 1
    thread.join()
    assert turns == 50  # were the lock held, the first join would have lasted until the end


def test_the_floating_point_state_of_the_caller_is_ignored_and_restored():
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    to_nearest, upwards = 0, {"x86_64": 0x800}.get(__import__("platform").machine(), 0x400000)
    frames = grey()
    expected = tvl1.tvl1_flow(frames)
    assert library.fesetround(upwards) == 0
    try:
        flow = tvl1.tvl1_flow(frames)
        state = library.fegetround()
    finally:
        library.fesetround(to_nearest)
    np.testing.assert_array_equal(flow, expected)
    assert state == upwards
    assert np.float32(1e-40) * np.float32(0.5) > 0  # denormals are still there


def test_memory_does_not_grow_with_use():
    frames = noise(2, 120, 160, 0)
    for _ in range(5):
        tvl1.tvl1_flow(frames, **SHORT)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        tvl1.tvl1_flow(frames, **SHORT)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 4096  # kB; one workspace is 2500


# ------------------------------------------------------------------------------------ the interface


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (np.zeros((1, 20, 20), np.uint8), "T >= 2"),
        (np.zeros((2, 20, 20, 3), np.uint8), "expected shape"),
        (np.zeros((0, 20, 20), np.uint8), "expected shape"),
        (np.zeros((2, 0, 20), np.uint8), "sides"),
        (np.zeros((2, 2, 20), np.uint8), "sides"),
        (np.zeros((2, 20, 20), np.float64), "float64"),
        (np.zeros((2, 20, 20), np.int16), "int16"),
        (np.full((2, 20, 20), np.nan, np.float32), "NaN"),
        (np.full((2, 20, 20), np.inf, np.float32), "finite"),
        (np.full((2, 20, 20), 1e30, np.float32), "finite"),
    ],
)
def test_wrong_frames_are_refused(frames, message):
    with pytest.raises(InputError, match=message):
        tvl1.tvl1_flow(frames)


@pytest.mark.parametrize(
    "option",
    [
        {"tau": 0}, {"tau": np.nan}, {"tau": 1e15}, {"lambda_": -1}, {"theta": np.inf}, {"nscales": 0},
        {"warps": 0}, {"warps": 10**5}, {"epsilon": -1}, {"epsilon": 1e4}, {"inner_iterations": 0},
        {"outer_iterations": 0}, {"scale_step": 1.0}, {"scale_step": 0}, {"gamma": 0.1},
        {"median_filtering": 4}, {"median_filtering": 7},
    ],
)  # fmt: skip
def test_invalid_options_are_refused(option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        tvl1.tvl1_flow(grey(), **option)


@pytest.mark.parametrize("isa", ["sse9", "AVX2", "avx512 "])
def test_an_unavailable_instruction_set_is_refused(isa, monkeypatch):
    monkeypatch.setenv(tvl1.ISA_VARIABLE, isa)
    with pytest.raises(ConfigError, match=f"{tvl1.ISA_VARIABLE}={isa}: expected one of"):
        tvl1.tvl1_flow(grey())


def test_a_missing_extension_is_reported_with_the_remedy(monkeypatch):
    def refuse(name):
        if name == "mas_labels._tvl1":
            raise ImportError("no such file")
        return builtins.__import__(name)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(MissingDependencyError, match=r"C\+\+17 compiler.*build_ext"):
        tvl1.tvl1_flow(grey())
