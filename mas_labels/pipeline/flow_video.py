"""One video from file to its encoded flow: the work of a supervised process in a run of flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import ClassVar, Self

from mas_labels.flow.options import FlowOptions
from mas_labels.flow.video_flow import FlowPart, flow_parts
from mas_labels.pipeline.job import Job
from mas_labels.video.open_video import open_video
from mas_labels.video.reader import VideoFacts


@dataclass(frozen=True)
class FlowJob(Job[FlowPart | VideoFacts]):
    """A video whose flow is computed: its parts, in order, then the facts of its file.

    Attributes
    ----------
    path
        The video.
    options
        All options.
    last_part
        Number of parts after which to stop; None: all.
    done
        Number of pairs of frames that were dealt with before.
    parts
        Number of parts that they came in. They are computed again and dropped: only a process that died
        leaves any.
    """

    path: Path
    options: FlowOptions
    last_part: int | None = None
    done: int = 0
    parts: int = 0
    results: ClassVar[tuple[type, ...]] = (FlowPart, VideoFacts)
    unit: ClassVar[str] = "pair"
    doing: ClassVar[str] = "computing the flow of"
    did: ClassVar[str] = "computed its flow"

    def run(self, on_alive: Callable[[], None]) -> Iterator[FlowPart | VideoFacts]:
        """Compute the remaining parts (`Job.run`)."""
        reader = open_video(self.path, self.options.frame_rate)
        reader.use_of_damaged = "no flow is kept of a part of a video"
        yield from islice(flow_parts(reader, self.options, on_alive), self.parts, self.last_part)
        yield reader.facts

    def after(self, message: FlowPart | VideoFacts) -> Self:
        """Return the job without a part that has come (`Job.after`)."""
        if isinstance(message, VideoFacts):
            return self
        return replace(self, done=self.done + message.pairs, parts=self.parts + 1)
