"""Maliciously built shards, and places where foreign code could be executed."""

from __future__ import annotations

import ast
import json
import os
import pickle
import socket
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.shards import write_shard

import mas_labels
from mas_labels.config import LabelConfig
from mas_labels.errors import ShardError, VideoError
from mas_labels.pipeline.message_pipe import MessagePipe
from mas_labels.shards.validation import MAX_CHUNK_BYTES

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shard(tmp_path):
    return write_shard(tmp_path / "a.h5", clips=1)


def replace_column(file, name, **options):
    """Replace a data set by one with the same content, created with other options."""
    data = file[name][...]
    del file[name]
    file.create_dataset(name, **{"data": data, "chunks": data.shape, "fletcher32": True, **options})


def second_name(file):
    file["clips/flow"] = file["clips/mu"]


def second_name_of_a_group(file):
    file["clips/again"] = file["clips"]


def object_references(file):
    del file["clips/video"]
    file.create_dataset(
        "clips/video", data=[file["views"].ref], dtype=h5py.ref_dtype, chunks=(1,), fletcher32=True
    )


def texts_of_any_length(file):
    del file["classes"]
    file.create_dataset("classes", data=["run", "jump é"], dtype=h5py.string_dtype())


def filter_of_a_plugin(file):
    replace_column(file, "clips/video", compression="lzf")


def rounding_filter(file):
    replace_column(file, "clips/start_frame", scaleoffset=0, fletcher32=False)


def no_checksum(file):
    replace_column(file, "clips/start_frame", fletcher32=False)


def not_in_chunks(file):
    replace_column(file, "clips/start_frame", fletcher32=False, chunks=None)


def chunk_that_grows(file):
    size = 2 * MAX_CHUNK_BYTES
    replace_column(
        file,
        "frames/jpeg",
        data=np.zeros(size, np.uint8),
        chunks=(size,),
        compression="gzip",
        compression_opts=9,
    )


def missing_chunk(file):
    file["frames/jpeg"].resize(file["frames/jpeg"].shape[0] + 3 * file["frames/jpeg"].chunks[0], axis=0)


def overflowing_shape(file):
    column = file["clips/labels"]
    data, chunks = column[...], column.chunks
    del file["clips/labels"]
    grown = file.create_dataset(
        "clips/labels", data=data, chunks=chunks, maxshape=(None,) * 3, fletcher32=True, compression="gzip"
    )
    grown.resize((2**31, 2**31, 27))


def huge_attribute(file):
    file.attrs.create("plan", np.zeros((), "S2000000"))


def foreign_attribute(file):
    file.attrs["more"] = 1


def attribute_of_a_column(file):
    file["views"].attrs["more"] = 1


def attribute_is_a_reference(file):
    file.attrs["plan"] = file["views"].ref


def named_type(file):
    del file["classes"]
    file["classes"] = np.dtype("S4")


def no_frames(file):
    del file["frames/jpeg"]


def video_above_the_root(file):
    replace_column(file, "videos/path", data=np.array([b"a/../../secret.avi"]), chunks=(1,))


def absolute_video(file):
    replace_column(file, "videos/path", data=np.array([b"/etc/passwd"]), chunks=(1,))


def absolute_failure(file):
    replace_column(file, "failures/path", data=np.array([b"/etc/passwd"]), chunks=(1,))


def video_of_no_clip(file):
    file["clips/video"][0] = 7


def set_option(file, **options):
    config = {**json.loads(file.attrs["config"]), **options}
    file.attrs["config"] = np.bytes_(json.dumps(config))


def unknown_option(file):
    set_option(file, time_travel=True)


def option_of_another_type(file):
    set_option(file, view_stride_pixels=[8])


def option_out_of_range(file):
    set_option(file, convention="other")


def nested_without_end(file):
    file.attrs["plan"] = np.bytes_("[" * 60_000)


CHANGES = {
    second_name: "has a second name",
    second_name_of_a_group: "has a second name",
    object_references: "should be uint32",
    texts_of_any_length: "should be S",
    filter_of_a_plugin: "passed through the filters",
    rounding_filter: "passed through the filters",
    no_checksum: "passed through the filters",
    not_in_chunks: "has no checksums",
    chunk_that_grows: "too large",
    missing_chunk: "data is missing",
    overflowing_shape: "bytes that are not in the file",
    huge_attribute: "attribute plan is",
    foreign_attribute: "not in the schema",
    attribute_of_a_column: "has attributes",
    attribute_is_a_reference: "attribute plan is object",
    named_type: "not in the schema",
    no_frames: "expected frames as JPEG with offsets or raw",
    video_above_the_root: "leads out of the data set's folder",
    absolute_video: "leads out of the data set's folder",
    absolute_failure: "leads out of the data set's folder",
    video_of_no_clip: "is out of range",
    unknown_option: "unknown options time_travel",
    option_of_another_type: "view_stride_pixels: expected int",
    option_out_of_range: "convention",
    nested_without_end: "an attribute is damaged",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_malicious_shard_is_refused(shard, change):
    with h5py.File(shard, "a") as file:
        change(file)
    with pytest.raises(ShardError, match=CHANGES[change]):
        mas_labels.open_shards(shard)


def test_chunks_larger_than_the_file_are_refused(shard):
    """Edits sizes in the chunk index of HDF5's oldest layout, which has no checksums there."""
    chunks, size = 24, 1 << 18
    with h5py.File(shard) as file, h5py.File(shard.with_name("b.h5"), "w", libver="earliest") as built:
        built.attrs.update({name: file.attrs[name] for name in file.attrs})
        for name in file:
            file.copy(name, built)
        del built["frames/jpeg"]
        data = np.zeros(chunks * size, np.uint8)
        built.create_dataset("frames/jpeg", data=data, chunks=(size,), fletcher32=True)
    whole = shard.with_name("b.h5").read_bytes()
    key = struct.pack("<II", size + 4, 0)  # bytes of a chunk with its checksum, and no filter left out
    assert whole.count(key) == chunks
    shard.write_bytes(whole.replace(key, struct.pack("<II", 2 * size, 0)))
    with pytest.raises(ShardError, match="bytes of chunks, more than the file has"):
        mas_labels.open_shards(shard)


def sources():
    files = [*(ROOT / "mas_labels").rglob("*.py"), *(ROOT / "mas_train").rglob("*.py"), ROOT / "setup.py"]
    assert len(files) > 40
    return files


SERIALISERS = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "torch.hub"}


def dangers(tree):
    """Yield each expression of a module that can execute code from a file: (line, expression)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in SERIALISERS:
            yield node.lineno, f"from {node.module} import"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            called = f"{node.value.id}.{node.attr}"
            # an exception and a view of memory run nothing
            if node.value.id in SERIALISERS and called not in (
                "pickle.UnpicklingError",
                "pickle.PickleBuffer",
            ):
                yield node.lineno, called
            if called in ("yaml.load", "yaml.unsafe_load", "yaml.full_load", "joblib.load", "joblib.dump"):
                yield node.lineno, called
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if called == "torch.load" and options.get("weights_only") != "True":
                yield node.lineno, "torch.load without weights_only"
            if called in ("np.load", "numpy.load") and options.get("allow_pickle", "False") != "False":
                yield node.lineno, "np.load of objects"
            if called in ("eval", "exec", "os.system", "__import__") or options.get("shell") == "True":
                yield node.lineno, called


ALLOWED_UNPICKLERS = {("message_pipe.py", "pickle.Pickler"), ("message_pipe.py", "pickle.Unpickler")}
"""Not files: messages between a process and its child, read by an unpickler restricted to known types."""


def test_no_file_can_execute_code():
    dangerous = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in sources()
        for line, what in dangers(ast.parse(path.read_text(encoding="utf-8")))
        if (path.name, what) not in ALLOWED_UNPICKLERS
    ]
    assert dangerous == []


class Command:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.fixture
def channels():
    parent, child = socket.socketpair()
    with parent, child:
        yield MessagePipe(parent), MessagePipe(child)


@pytest.mark.parametrize("message", [Command(), LabelConfig.from_dict, getattr])
def test_a_compromised_decoder_cannot_send_code(message, channels):
    parent, child = channels
    child.send(message)
    with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        parent.receive(5)


def test_messages_of_known_types_arrive(channels):
    parent, child = channels
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    for message in (
        array,
        array.T,
        np.int64(3),
        Path("a"),
        range(2**63),
        VideoError("a", "b", "c"),
        LabelConfig(),
    ):
        child.send(message)
        received = parent.receive(5)
        assert type(received) is type(message) and str(received) == str(message)


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(file)",
        "from pickle import loads",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_the_search_finds_each_danger(source):
    assert list(dangers(ast.parse(source)))
