"""The contract between labelling and training: the 27 labels, the layout of a shard, the files of a run.

This module imports nothing but the standard library, so that both programs, and anybody else's, can read
the contract without the machinery behind it. Shards are written by `mas_labels` and read by `mas_train`; the
files of a training run are written by `mas_train` and read by the report of `mas_labels`.

The order of the labels is that of figure 5 of the paper (Wang et al., CVPR 2019, sections 3.2 and 3.3): for
each of the three patterns, motion statistics first, then appearance. Their ranges follow from the sizes of a
shard's clips, views and blocks (`mas_labels.geometry`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FORMAT_NAME: Final = "mas-shard"
SCHEMA_VERSION: Final = 3
READABLE_VERSIONS: Final = (2, 3)
"""Versions that are read. Shards of version 2 have the default geometry (`mas_labels.geometry`)."""

PATTERNS: Final = ("grid", "rings", "triangles")
"""Patterns 1 to 3 of figure 4."""
ORIENTATIONS: Final = 8
COLOURS: Final = 8

MOTION_NAMES: Final[tuple[str, ...]] = (
    *(f"{pattern}_{name}" for pattern in PATTERNS for name in ("ul", "uo", "vl", "vo")),
    "ui",
    "vi",
)
"""The 14 motion labels: location and orientation of the largest motion of Mu and Mv, then global frames."""

APPEARANCE_NAMES: Final[tuple[str, ...]] = (
    *(f"{pattern}_{name}" for pattern in PATTERNS for name in ("pd", "cd", "ps", "cs")),
    "C",
)
"""The 13 appearance labels: most and least diverse block and their dominant colours, then the global one."""

LABEL_NAMES: Final[tuple[str, ...]] = MOTION_NAMES + APPEARANCE_NAMES
"""The 27 labels in the order in which they are stored."""
LABELS: Final = len(LABEL_NAMES)

ORIENTATION_NAMES: Final = tuple(name for name in LABEL_NAMES if name.endswith(("_uo", "_vo")))
"""Labels that are orientations, circular numbers."""
MOTIONLESS_NAMES: Final = ("grid_ul", "grid_uo", "grid_vl", "grid_vo")
"""Labels that the convention `authors` sets to 0 for motionless clips."""

VIEW_COLUMNS: Final = ("top", "left", "mirrored")
"""Columns of a table of views: row and column of the crop's corner (before mirroring), then 0 or 1."""


@dataclass(frozen=True)
class Column:
    """One HDF5 data set of a shard.

    Attributes
    ----------
    path
        Its path in the file.
    dtype
        NumPy's name of its type; ``"S"`` is fixed-length bytes, UTF-8, as long as the longest value needs.
    row_shape
        Shape of one row; ``"views"`` stands for the number of views, other names for numbers of the shard's
        geometry (`mas_labels.geometry.Geometry.row_shape`).
    rows
        One row per view, class, video, clip, failure or byte: ``"views"``, ``"classes"``, ``"videos"``,
        ``"clips"``, ``"failures"``, ``"bytes"``; or ``"frame offsets"``, one more than there are frames.
    meaning
        One line for people.
    optional
        Whether a shard may lack it.
    compressed
        Whether it is shuffled and deflated (both filters are part of every HDF5 library).
    """

    path: str
    dtype: str
    row_shape: tuple[int | str, ...]
    rows: str
    meaning: str
    optional: bool = False
    compressed: bool = False


_FIELD = ("frame_rows", "frame_cols", 2)

COLUMNS: Final[tuple[Column, ...]] = (
    Column(
        "views",
        "int16",
        (3,),
        "views",
        "top, left, mirrored; row 0 is the centre view, unmirrored; no rows in a shard of frames only",
    ),
    Column("classes", "S", (), "classes", "names of the data set's classes, by index"),
    Column("videos/path", "S", (), "videos", "path from the root on, as bytes of the file system"),
    Column("videos/class_index", "int32", (), "videos", "row of classes, -1 without a class"),
    Column("videos/splits", "S", (), "videos", "names of the splits the video is in, separated by commas"),
    Column("videos/group", "S", (), "videos", "group the video belongs to, empty without one"),
    Column("videos/frames", "uint32", (), "videos", "frames that clips are cut from"),
    Column("videos/bytes", "uint64", (), "videos", "size of its file or pictures: a resumed run compares it"),
    Column("videos/fps", "float64", (), "videos", "their rate: --fps, else what the container states, or 0"),
    Column("videos/size", "uint32", (2,), "videos", "rows and columns of the decoded frames before resizing"),
    Column("videos/clips", "uint32", (), "videos", "clips cut from it"),
    Column(
        "videos/skipped_clips",
        "uint32",
        (),
        "videos",
        "clips across a shot cut that --skip-cuts left out",
        optional=True,
    ),
    Column("clips/video", "uint32", (), "clips", "row of videos/*"),
    Column("clips/start_frame", "uint32", (), "clips", "number of its first frame among the video's, from 0"),
    Column(
        "clips/cut",
        "uint8",
        (),
        "clips",
        "1: a shot cut lies between two of its frames, else 0",
        optional=True,
    ),
    Column(
        "clips/labels",
        "uint8",
        ("views", LABELS),
        "clips",
        "the 27 labels of every view",
        optional=True,
        compressed=True,
    ),
    Column(
        "clips/motion",
        "float32",
        ("fields", 2),
        "clips",
        "mean |boundary| of each field, of u and v, pixels",
        optional=True,
    ),
    Column(
        "clips/mu", "float16", _FIELD, "clips", "Mu: summed du/dcol, du/drow", optional=True, compressed=True
    ),
    Column(
        "clips/mv", "float16", _FIELD, "clips", "Mv: summed dv/dcol, dv/drow", optional=True, compressed=True
    ),
    Column(
        "clips/flow",
        "float16",
        ("fields", *_FIELD),
        "clips",
        "u, v in pixels per frame of the clip",
        optional=True,
        compressed=True,
    ),
    Column("frames/jpeg", "uint8", (), "bytes", "JPEG files of all frames, one after another", optional=True),
    Column(
        "frames/offsets",
        "uint64",
        (),
        "frame offsets",
        "where each frame begins in frames/jpeg",
        optional=True,
    ),
    Column(
        "frames/raw",
        "uint8",
        ("clip_frames", "frame_rows", "frame_cols", 3),
        "clips",
        "frames as RGB",
        optional=True,
    ),
    Column("failures/path", "S", (), "failures", "path of a video that could not be used"),
    Column("failures/stage", "S", (), "failures", "open, decode, clips, flow, labels or worker"),
    Column("failures/code", "S", (), "failures", "short name of the reason"),
    Column("failures/message", "S", (), "failures", "the reason as a sentence"),
)
"""All HDF5 data sets of a shard, in the order of the content hash."""

ATTRIBUTES: Final = {
    "format": "always mas-shard",
    "schema_version": "version of this layout, an integer",
    "config": "all options of the labelling run, JSON",
    "plan": "`manifest` and `split`; `index` of this shard from 0 and `count` of its batch; hashes of its "
    "videos' records and of the classes; `limit` and `batch` where there are any; JSON",
    "versions": "versions of what made it, with the processor after FFmpeg's unless it is x86-64, JSON",
    "content_hash": "SHA-256 over the attributes above and every data set, in hexadecimal",
}
"""Attributes of a shard's root. Texts are fixed-length bytes."""


SHARD_START: Final = "A shard of mas-labels"
"""Beginning of every shard."""
RUN_CONFIG_FILE: Final = "config.yaml"
"""Recipe, shards and environments of a run, in its folder; the report reads the filters of its clips."""
METRICS_FILE: Final = "metrics.csv"
"""Table of the losses of pre-training, in the run's folder."""
METRICS_COLUMNS: Final = (
    "step",
    "epoch",
    "learning_rate",
    "loss_motion",
    "loss_appearance",
    "loss",
    "mean_label_loss_motion",
    "mean_label_loss_appearance",
    "mean_label_loss",
    "grad_norm",
    "clips_per_second",
    "waiting_share",
)
"""Columns of `METRICS_FILE`. Losses, gradient norm and speed are means over the steps since the previous row;
`step` is the number of steps done, `epoch` counts from 0, `mean_label_*` is the loss of always predicting the
mean label (the baseline), `waiting_share` is the share of the time spent waiting for data."""

PROBE_COLUMNS: Final = ("probe_accuracy", "probe_untrained", "probe_chance", "probe_videos")
"""Columns that `METRICS_FILE` has in addition where nearest neighbours are measured while a run trains; empty
in rows without a measurement. `probe_accuracy` is the share of the probe's videos whose nearest other video
is of their class, `probe_untrained` that of the weights before the first step (empty if it is not known),
`probe_chance` the mean share of videos of a video's class among those that may be its nearest, and
`probe_videos` the number of videos that the accuracy is a share of."""

HELDOUT_FILE: Final = "heldout.csv"
"""Table of the scores on held-out clips, in the run's folder; missing if no clips were held out."""
HELDOUT_COLUMNS: Final = (
    "step",
    "label",
    "loss",
    "mean_label_loss",
    "r2",
    "accuracy",
    "mode_accuracy",
    "clips",
)
"""Columns of `HELDOUT_FILE`. Each measurement has one row per target (a label, or a dense target
such as ``grid_um``: `mas_train.codings`), then the rows of `LABEL_KINDS` (means
over their labels) and `TOTAL_LABEL` (weighted as in training). `loss` is in the units of training;
`mean_label_loss` is that of predicting the training clips' mean; `r2` is 1 - loss / the loss of the best
constant for the held-out clips (of a regressed number: the coefficient of determination); `accuracy` is the
share of clips whose label is the nearest to the prediction; `mode_accuracy` that of always naming the
training clips' most frequent label. R^2 and accuracies of the last three rows are means over labels."""
NOISE_COLUMNS: Final = ("moved_r2", "moved_accuracy", "moved_pixels")
"""Further columns of `HELDOUT_FILE`, the noise ceilings: the `r2` and `accuracy` that the target of the same
clip's view moved by `moved_pixels` has as a prediction; empty in rows of earlier versions, and not defined
where shards hold no such view. Accuracies of dense targets are not defined."""
LABEL_KINDS: Final = ("motion", "appearance")
"""The two kinds of labels, one branch of the network each."""
TOTAL_LABEL: Final = "total"

RESULT_FORMAT: Final = "mas-eval-result"
"""Value of ``"format"`` in the JSON file of an evaluation's result. Its other keys that the report reads:
``"protocol"``, ``"dataset"`` and ``"split"`` (texts), ``"figures"`` and ``"random_initialisation"`` (name ->
number; the second one, with random weights, may be missing or empty), and ``"intervals"`` (a key of
`RESULT_INTERVALS` -> name -> bounds; missing in results of older versions)."""
RESULT_INTERVALS: Final = ("figures", "random_initialisation", "difference")
"""Figures that have intervals: low, high; of the difference of the two: estimate, low, high."""
RESULT_PICTURES: Final = {
    "attention": "Attention: where the last convolution is active, next to |Mu| and |Mv| (figure 6)",
    "map": "Map: features of videos in two dimensions",
    "neighbours": "Retrieval: videos, and the training videos nearest to them",
    "confusion": "Accuracy: classes, and what they are recognised as",
    "roc": "Action similarity: ROC curves",
}
"""Beginning of the names of the PNG files of evaluations -> title of the pictures."""
PICTURE_DESCRIPTION: Final = "Description"
"""Keyword of the text in such a PNG file that describes it in sentences; not all have one."""
