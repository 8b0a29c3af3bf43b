"""Progress of running a network over the videos of a source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from mas_labels.system.process import bar_settings
from mas_train.inference.sources import SourceBatch

Output = TypeVar("Output")


def show_progress(
    outputs: Iterable[tuple[SourceBatch, Output]], videos: int, doing: str
) -> Iterator[tuple[SourceBatch, Output]]:
    """Pass batches on, and show videos done and left, clips a second and failures on stderr.

    Parameters
    ----------
    outputs
        Batches with what was computed of them, as `mas_train.inference.outputs.clip_outputs` yields them.
    videos
        Number of all videos.
    doing
        Word in front of the bar.
    """
    clips = failed = 0
    with tqdm(total=videos, desc=doing, unit="video", **bar_settings()) as bar:
        for batch, output in outputs:
            yield batch, output
            clips += len(batch.clips)
            failed += sum(video.failure is not None for video in batch.ended)
            seconds = bar.format_dict["elapsed"]
            rate = f", {clips / seconds:.1f} clips/s" if seconds else ""
            bar.set_postfix_str(f"{clips} clips{rate}, {failed} failed", refresh=False)
            bar.update(len(batch.ended))
