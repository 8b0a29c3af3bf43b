"""Clips of any videos as a stream, decoded by supervised processes while another program uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mas_labels.lazy import load_lazily

if TYPE_CHECKING:
    from mas_labels.stream.clip_job import ClipOptions
    from mas_labels.stream.clips import StreamedClip, StreamedVideo, clip_seconds, stream_clips
    from mas_labels.stream.inputs import VideoInputs, find_inputs
else:
    __getattr__, __dir__ = load_lazily(
        __name__,
        {
            "ClipOptions": "mas_labels.stream.clip_job",
            "StreamedClip": "mas_labels.stream.clips",
            "StreamedVideo": "mas_labels.stream.clips",
            "VideoInputs": "mas_labels.stream.inputs",
            "clip_seconds": "mas_labels.stream.clips",
            "find_inputs": "mas_labels.stream.inputs",
            "stream_clips": "mas_labels.stream.clips",
        },
    )

__all__ = [
    "ClipOptions",
    "StreamedClip",
    "StreamedVideo",
    "VideoInputs",
    "clip_seconds",
    "find_inputs",
    "stream_clips",
]
