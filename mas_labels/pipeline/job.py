"""The work that a supervised process does on one video: a job, and what remains of it after each message."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

Message = TypeVar("Message")


class Job(ABC, Generic[Message]):
    """Work on one video, sent to a supervised process as it is; frozen dataclasses derive from it.

    Attributes
    ----------
    path
        The video.
    done
        Number of clips or other units that were dealt with: those before it are not done again.
    results
        Types of its messages; a process that sends others is not listened to.
    unit, doing, did
        Words for errors: "clip", "labelling" a video, the process that "labelled it".
    """

    path: Path
    done: int
    results: ClassVar[tuple[type, ...]]
    unit: ClassVar[str]
    doing: ClassVar[str]
    did: ClassVar[str]

    @abstractmethod
    def run(self, on_alive: Callable[[], None]) -> Iterator[Message]:
        """Do what remains of the work, in the supervised process.

        Parameters
        ----------
        on_alive
            To be called often, such as for each decoded frame: shows that the decoder does not hang.

        Yields
        ------
        Results, in order.

        Raises
        ------
        VideoError
            If the video cannot be used. Results until then have been yielded.
        """

    @abstractmethod
    def after(self, message: Message) -> Self:
        """Return what remains of the job once a message of it has come."""
