"""The compiled backend compared with NumPy's: equal to the last bit for any input."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mas_labels
from mas_labels.errors import ConfigError, MissingDependencyError
from mas_labels.geometry import DEFAULT_GEOMETRY, Geometry
from mas_labels.labels.block_sums import BACKEND_VARIABLE
from mas_labels.labels.block_sums_native import native_backend
from mas_labels.labels.block_sums_numpy import NUMPY_BACKEND
from mas_labels.labels.compute import choose_backend
from mas_labels.labels.patterns import block_count
from mas_labels.labels.views import view_table
from mas_labels.system.extensions import available_isas, load_extension

ISAS = available_isas("labels")
SIZES = (
    (224, 56, 28),
    (112, 14, 7),
    (96, 32, 16),
    (120, 40, 20),
    (84, 12, 7),
    (8, 8, 2),
    (16, 8, 1),
    (182, 182, 91),
    (256, 256, 64),
)
"""View, block of the grid, ring; the largest block of the last two has more than 2**15 and 2**16 pixels."""
KINDS = ("noise", "patches", "few colours", "still", "grey")


def random_frames(rng, kind, frames, rows, cols):
    """(frames, rows, cols, 3) uint8 of one of `KINDS`; all except noise are full of ties."""
    shape = (frames, rows, cols, 3)
    if kind == "noise":
        return rng.integers(0, 256, shape, np.uint8)
    if kind == "few colours":
        return rng.choice(np.array([0, 127, 128, 255], np.uint8), shape)
    if kind == "still":
        return np.broadcast_to(rng.integers(0, 256, 3, np.uint8), shape)  # not contiguous
    if kind == "grey":
        return np.repeat(rng.integers(100, 140, (*shape[:3], 1), np.uint8), 3, axis=-1)
    patches = rng.integers(0, 256, (frames, rows // 16 + 1, cols // 16 + 1, 3), np.uint8)
    return patches.repeat(16, axis=1).repeat(16, axis=2)[:, :rows, :cols]


def random_flow(rng, kind, fields, rows, cols):
    """(fields, rows, cols, 2) float32 of one of `KINDS`."""
    shape = (fields, rows, cols, 2)
    if kind == "still":
        return np.full(shape, rng.choice([0, -0.0, 1e-40, 3.7, 16384]), np.float32)
    if kind == "few colours":
        return rng.integers(-1, 2, shape).astype(np.float32)
    if kind == "patches":
        return rng.choice(np.float32([-16384, -1, 0, 1e-30, 16384]), shape)
    return rng.normal(0, 10.0 ** rng.integers(-6, 3), shape).astype(np.float32)


def random_crops(rng, rows, cols, count, view=112):
    """(C, 2) int32, sorted and unique; the corners are likely."""
    tops = rng.choice([0, rows - view, *rng.integers(0, rows - view + 1, 2)], count)
    lefts = rng.choice([0, cols - view, *rng.integers(0, cols - view + 1, 4)], count)
    return np.unique(np.column_stack([tops, lefts]), axis=0).astype(np.int32)


def parts(sums):
    """Arrays by name of what a function of a `Backend` returns."""
    return {"sums": sums} if isinstance(sums, np.ndarray) else vars(sums)


def compare(function, *arguments):
    """Compare a function of every compiled backend with NumPy's, which takes most of the time."""
    expected = parts(getattr(NUMPY_BACKEND, function)(*arguments))
    for isa in ISAS:
        found = parts(getattr(native_backend(isa), function)(*arguments))
        assert found.keys() == expected.keys()
        for name, theirs in expected.items():
            ours = found[name]
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, (function, isa, name)
            assert ours.tobytes() == theirs.tobytes(), (function, isa, name)


def check_all(seed, kind, frames, rows, cols, crops, queries, geometry=DEFAULT_GEOMETRY):
    """Compare every function with NumPy's on one random clip, for both conventions."""
    rng = np.random.default_rng(seed)
    crops = random_crops(rng, rows, cols, crops, geometry.view_size)
    clip = random_frames(rng, kind, frames, rows, cols)
    flow = random_flow(rng, kind, max(1, frames - 1), rows, cols)
    bins = rng.integers(0, 8, (2, rows, cols)).astype(np.uint8)
    votes = rng.integers(0, 2**45, (2, rows, cols))
    chosen = crops[rng.integers(0, len(crops), queries)]
    chosen = np.column_stack([chosen, rng.integers(0, block_count(geometry) + 1, queries)]).astype(np.int32)
    for derivative in ("central", "prewitt"):
        compare("field_sums", flow, derivative, crops, geometry)
    for diagonals in ("partition", "shared"):
        compare("colour_sums", clip, crops, diagonals, geometry)
        compare("vote_sums", bins, votes, crops, diagonals, geometry)
        compare("frequent_colours", clip, chosen, diagonals, geometry)


sizes = st.tuples(st.integers(112, 140), st.integers(112, 180))


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.integers(1, 4), sizes)
def test_sums_of_random_clips_equal_the_reference(seed, kind, frames, size):
    check_all(seed, kind, frames, *size, crops=3, queries=8)


@pytest.mark.parametrize("kind", ["noise", "still"])
@pytest.mark.parametrize("sizes", SIZES)
def test_sums_in_any_geometry_equal_the_reference(sizes, kind):
    """Geometries whose lines are uneven, whose grids are odd, and whose blocks need counts of 32 bits."""
    view, frames = sizes[0], 2
    geometry = Geometry(frames, 1, 4096, 4096, *sizes)
    check_all(view, kind, frames, view + 9, view + 23, 3, 6, geometry)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
def test_octants_of_the_longest_clip_are_counted(isa):
    """A pixel is in one octant for 256 frames: more than a byte holds."""
    geometry, crops = Geometry(view_size=8, grid_block=4, ring_width=2), np.zeros((1, 2), np.int32)
    frames = random_frames(np.random.default_rng(0), "still", 256, 9, 11)
    arguments = frames, crops, "shared", geometry
    found, expected = (each.colour_sums(*arguments).octants for each in (native_backend(isa), NUMPY_BACKEND))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", range(20))
def test_a_thousand_sums_of_random_clips_equal_the_reference(seed):
    """So many with all instruction sets together."""
    rng = np.random.default_rng(seed)
    for number in range(-(-50 // len(ISAS))):
        rows, cols = rng.integers(112, 150), rng.integers(112, 200)
        check_all([seed, number], KINDS[number % 5], rng.integers(1, 17), rows, cols, 3, 6)


@pytest.mark.parametrize("convention", ["paper", "authors"])
def test_labels_of_whole_tables_equal_the_reference(convention, monkeypatch):
    rng = np.random.default_rng(8)
    for kind in KINDS:
        frames, flow = random_frames(rng, kind, 3, 128, 171), random_flow(rng, kind, 2, 128, 171)
        views = view_table(20)
        found = mas_labels.compute_labels(frames, flow, views, convention)
        with monkeypatch.context() as patch:
            patch.setenv(BACKEND_VARIABLE, "numpy")
            expected = mas_labels.compute_labels(frames, flow, views, convention)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("convention", ["paper", "authors"])
def test_labels_of_real_clips_equal_the_reference(convention, shared_videos, monkeypatch):
    from mas_labels.video.clips import cut_clips
    from mas_labels.video.video_file import VideoReader

    for path in sorted((shared_videos / "ucf101").rglob("*.avi"))[60::100]:
        _, frames = next(cut_clips(VideoReader(path)))
        flow = mas_labels.compute_flow(frames, "dis")
        views = view_table(8)[::11]
        found = mas_labels.compute_labels(frames, flow, views, convention)
        with monkeypatch.context() as patch:
            patch.setenv(BACKEND_VARIABLE, "numpy")
            expected = mas_labels.compute_labels(frames, flow, views, convention)
        np.testing.assert_array_equal(found, expected)


def test_many_equally_frequent_colours():
    """More colours than the compiled search counts first, all twice, except that with the highest code."""
    codes = np.arange(112 * 112) // 2 * 997 % 2**24
    codes[codes == codes.max()] += 1
    codes = np.append(codes[:-1], 2**24 - 1)
    frames = np.stack([codes & 255, codes >> 8 & 255, codes >> 16], axis=-1).astype(np.uint8)
    frames = frames.reshape(1, 112, 112, 3)
    queries = np.array([(0, 0, block) for block in range(block_count() + 1)], np.int32)
    arguments = frames, queries, "partition", DEFAULT_GEOMETRY
    found = native_backend().frequent_colours(*arguments)
    np.testing.assert_array_equal(found, NUMPY_BACKEND.frequent_colours(*arguments))


def test_without_views_there_are_no_labels_but_boundaries():
    frames, flow = np.zeros((2, 112, 112, 3), np.uint8), np.ones((1, 112, 112, 2), np.float32)
    statistics = mas_labels.labels.compute.clip_statistics(frames, flow, np.empty((0, 3), int))
    assert statistics.labels.shape == (0, 27)
    assert statistics.mu.shape == (112, 112, 2)
    assert statistics.motion.tolist() == [[0, 0]]


def test_without_the_extension_numpy_is_used_only_on_request(monkeypatch):
    frames, flow = np.zeros((2, 112, 112, 3), np.uint8), np.zeros((1, 112, 112, 2), np.float32)
    expected = mas_labels.compute_labels(frames, flow)
    monkeypatch.setitem(sys.modules, "mas_labels._labels", None)
    with pytest.raises(MissingDependencyError, match=f"C\\+\\+17 compiler.*Or set {BACKEND_VARIABLE}=numpy"):
        mas_labels.compute_labels(frames, flow)
    monkeypatch.setenv(BACKEND_VARIABLE, "numpy")
    assert choose_backend() is NUMPY_BACKEND
    np.testing.assert_array_equal(mas_labels.compute_labels(frames, flow), expected)


def test_an_unknown_backend_is_refused(monkeypatch):
    monkeypatch.setenv(BACKEND_VARIABLE, "cuda")
    with pytest.raises(ConfigError, match="MAS_LABELS=cuda: expected numpy, or unset it"):
        choose_backend()


@pytest.mark.parametrize("crop", [(-1, 0), (0, -1), (17, 0), (0, 60)])
def test_the_compiled_backend_never_reads_outside_of_a_frame(crop):
    """Input that passes the checks in Python by mistake is still refused."""
    backend, crops, sizes = native_backend(), np.array([crop], np.int32), DEFAULT_GEOMETRY
    frames, flow = np.zeros((2, 128, 171, 3), np.uint8), np.zeros((1, 128, 171, 2), np.float32)
    bins, votes = np.zeros((1, 128, 171), np.uint8), np.zeros((1, 128, 171), np.int64)
    for call in (
        lambda: backend.field_sums(flow, "central", crops, sizes),
        lambda: backend.vote_sums(bins, votes, crops, "partition", sizes),
        lambda: backend.colour_sums(frames, crops, "partition", sizes),
        lambda: backend.frequent_colours(frames, np.array([(*crop, 0)], np.int32), "partition", sizes),
        lambda: backend.vote_sums(bins + np.uint8(8), votes, np.zeros((1, 2), np.int32), "partition", sizes),
        lambda: backend.vote_sums(bins, votes[:, 1:], np.zeros((1, 2), np.int32), "partition", sizes),
    ):
        with pytest.raises(ValueError, match=r"leaves the frame|no orientation 8|do not fit"):
            call()


def compiled_calls(sizes, crops, queries):
    """Calls of every compiled function, valid with the default sizes, and crops and queries of the frame."""
    module, out = load_extension("labels", ""), np.empty((len(crops), 28, 8), np.int64)
    frames, flow = np.zeros((2, 128, 171, 3), np.uint8), np.zeros((1, 128, 171, 2), np.float32)
    bins, votes = np.zeros((1, 128, 171), np.uint8), np.zeros((1, 128, 171), np.int64)
    fields = (
        np.empty((2, 128, 171, 2), np.float32),
        np.empty((len(crops), 2, 1), np.int64),
        np.empty(2, np.int64),
    )
    colours = *(np.empty((len(crops), 28, 3), np.int64) for _ in range(2)), out
    start = "portable", (2, 128, 171), False
    yield lambda: module.field_sums("portable", (1, 128, 171), False, flow, crops, *fields, sizes)
    yield lambda: module.vote_sums("portable", (1, 128, 171), False, bins, votes, crops, out, sizes)
    yield lambda: module.colour_sums(*start, frames, crops, *colours, sizes)
    yield lambda: module.frequent_colours(*start, frames, queries, np.empty(len(queries), np.int64), sizes)


CROP, QUERY = np.zeros((1, 2), np.int32), np.array([[0, 0, 28]], np.int32)


@pytest.mark.parametrize(
    "sizes",
    [(0, 1, 1), (-2, 1, 1), (113, 1, 1), (2**31 - 2, 1, 1), (130, 130, 65), (172, 172, 86)]
    + [(112, size, 14) for size in (0, -28, 27, 224)]
    + [(112, 28, size) for size in (0, -14, 16, 112)],
)
def test_the_compiled_backend_refuses_patterns_that_do_not_divide_the_view(sizes):
    """Even those that a `Geometry` would have refused."""
    for call in compiled_calls((112, 28, 14), CROP, QUERY):
        call()
    for call in compiled_calls(sizes, CROP, QUERY):
        with pytest.raises(ValueError, match="do not divide the view, or it leaves the frame"):
            call()


@pytest.mark.parametrize("sizes", [(112, 14, 14), (112, 28, 7), (112, 56, 14), (112, 1, 1)])
def test_the_compiled_backend_refuses_sums_and_blocks_of_another_geometry(sizes):
    _, votes, colours, colour = compiled_calls(sizes, CROP, QUERY + np.int32([0, 0, 2**14]))
    for call in (votes, colours):
        with pytest.raises(ValueError, match="sizes of the buffers do not fit"):
            call()
    with pytest.raises(ValueError, match="a block is out of range"):
        colour()
