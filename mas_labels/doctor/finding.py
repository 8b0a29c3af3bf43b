"""Lines of the examination."""

from __future__ import annotations

import signal
from typing import Final, Literal, NamedTuple

Verdict = Literal["ok", "warning", "error"]
NAME_WIDTH: Final = 10
OUT_OF_MEMORY: Final = "memory ran out, perhaps: end other programs, or give the container or job more"


class Finding(NamedTuple):
    """One line about the machine.

    Attributes
    ----------
    verdict
        ``"error"``: labelling with its defaults stops here; ``"warning"``: something else does, or is slow or
        less safe.
    name
        What was examined, in a word or two.
    text
        What was found and, unless it is in order, the remedy after a colon.
    """

    verdict: Verdict
    name: str
    text: str

    def __str__(self) -> str:
        """Return the line; it has no line breaks, whatever an error's message held."""
        return f"{self.verdict:<7}  {self.name:<{NAME_WIDTH}}  {' '.join(self.text.split())}"


def choose_remedy(status: int, usual: str) -> str:
    """Return the remedy after a process ended: by SIGKILL, mostly the system ends one for its memory."""
    return OUT_OF_MEMORY if status == -signal.SIGKILL else usual
