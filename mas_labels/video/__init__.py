"""Decodes video files and extracted frames to frames, and cuts clips (paper, section 3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mas_labels.lazy import load_lazily

if TYPE_CHECKING:
    from mas_labels.video.clips import cut_clips
    from mas_labels.video.pictures import PictureReader
    from mas_labels.video.video_file import VideoReader
else:
    __getattr__, __dir__ = load_lazily(
        __name__,
        {
            "PictureReader": "mas_labels.video.pictures",
            "VideoReader": "mas_labels.video.video_file",
            "cut_clips": "mas_labels.video.clips",
        },
    )

__all__ = ["PictureReader", "VideoReader", "cut_clips"]
