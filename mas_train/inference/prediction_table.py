"""Predictions as they are shown: the highest classes of videos and clips, as a table or as JSON.

The JSON is one object: ``"format"``; ``"weights"``, their path as given; ``"classes"``, all that the network
knows; and ``"videos"``, a list of objects (`describe_video`):

``video``, ``class``
    Its name, and the class that its folder or manifest states, or null.
``clips``, ``top``
    Number of its clips; the highest classes of the mean over them, each ``{"class": ..., "score": ...}``.
``failure``
    ``stage``, ``code`` and ``message`` if it could not be used, or not to its end; else null.
``clip_scores``
    With ``--clips``: of each clip ``start_frame``, ``end_frame`` (the frame after its last),
    ``start_seconds``, ``end_seconds`` (null for extracted frames) and ``top``.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mas_labels.shards import printable
from mas_train.inference.predict import VideoScores

PREDICTION_FORMAT: Final = "mas-predictions"
MAX_PADDED: Final = 44
"""Widest column of names; a longer name moves the rest of its own row."""

Row = dict[str, Any]


def describe_video(scores: VideoScores, classes: Sequence[str], top: int, with_clips: bool) -> Row:
    """Return the prediction of a video as JSON holds it, with the `top` highest classes.

    Parameters
    ----------
    scores
        Those of the video.
    classes
        Names of the classes, by number.
    top
        Number of classes; all if there are fewer.
    with_clips
        Whether the scores of each clip are part of it.
    """
    failure = scores.failure
    row: Row = {
        "video": scores.video,
        "class": scores.true_class,
        "clips": len(scores.clips),
        "top": [] if scores.scores is None else _highest(scores.scores, classes, top),
        "failure": failure and {"stage": failure.stage, "code": failure.code, "message": failure.message},
    }
    if with_clips:
        row["clip_scores"] = [
            {**place.describe(), "top": _highest(of_clip, classes, top)}
            for place, of_clip in zip(scores.clips, scores.clip_scores, strict=True)
        ]
    return row


def _highest(scores: NDArray[np.float32], classes: Sequence[str], top: int) -> list[Row]:
    """Return the classes of the highest scores; of equal ones the lower number first, as in accuracy."""
    order = np.argsort(-scores, kind="stable")[:top]
    return [{"class": classes[number], "score": float(scores[number])} for number in order]


def predictions_as_json(source: str, classes: Sequence[str], rows: Sequence[Row]) -> str:
    """Return all predictions as one JSON object, with the origin of the weights and all classes."""
    content = {"format": PREDICTION_FORMAT, "weights": source, "classes": list(classes), "videos": list(rows)}
    return json.dumps(content, indent=1, allow_nan=False)


def predictions_as_table(rows: Sequence[Row]) -> str:
    """Return predictions as text: a line a video, below it a line for each clip that is described.

    The column of true classes is left out where none is known.
    """
    clips = [clip for row in rows for clip in row.get("clip_scores", ())]
    names = _width(["video", *(row["video"] for row in rows), *map(_show_place, clips)])
    truth = [row["class"] or "-" for row in rows]
    class_width = _width(["class", *truth]) if any(row["class"] for row in rows) else 0
    tops = [row["top"] for row in (*rows, *clips)]
    widths = [_width([top[k]["class"] for top in tops if k < len(top)]) for k in range(max(map(len, tops)))]

    def line(first: str, count: object, true_class: str, rest: str) -> str:
        middle = f"  {_pad(true_class, class_width)}" if class_width else ""
        return f"{_pad(first, names)}  {count:>5}{middle}  {rest}".rstrip()

    lines = [line("video", "clips", "class", "predicted")]
    for row, true_class in zip(rows, truth, strict=True):
        lines.append(line(row["video"], row["clips"], true_class, _show_scores(row, widths)))
        for clip in row.get("clip_scores", ()):
            lines.append(line(_show_place(clip), "", "", _show_scores(clip, widths)))
    return "\n".join(lines)


def _show_place(clip: Row) -> str:
    """Return the time of a clip, or its frames where times are unknown."""
    if clip["start_seconds"] is None:
        return f"  frames {clip['start_frame']} to {clip['end_frame'] - 1}"
    return f"  {clip['start_seconds']:8.2f} to {clip['end_seconds']:8.2f} s"


def _show_scores(row: Row, widths: Sequence[int]) -> str:
    """Return the highest classes of a video or clip, and why it could not be used, or not all of it."""
    cells = [
        f"{entry['score']:.3f} {_pad(entry['class'], width)}"
        for entry, width in zip(row["top"], widths, strict=False)
    ]
    if failure := row.get("failure"):
        kept = "not all of it: " if cells else "failed: "
        cells.append(kept + printable(f"{failure['stage']}/{failure['code']}: {failure['message']}"))
    return "  ".join(cells)


def _letters(text: str) -> int:
    """Return the number of columns that a terminal gives to a text."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def _width(names: Sequence[str]) -> int:
    """Return the width of a column of names."""
    return min(MAX_PADDED, max((_letters(printable(name)) for name in names), default=0))


def _pad(name: str, width: int) -> str:
    """Return a name, printable, with blanks up to a width."""
    text = printable(name)
    return text + " " * (width - _letters(text))
