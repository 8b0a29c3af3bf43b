"""Runs the examinations in a process of their own, which may crash: that is a finding, too."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mas_labels.doctor.examine import EXAMINATIONS
from mas_labels.doctor.finding import Finding, choose_remedy
from mas_labels.errors import unavailable
from mas_labels.system.process import describe_end, python_command

MODULE: Final = "mas_labels.doctor.examine"


def examine(out: Path | None = None) -> Iterator[Finding]:
    """Yield what is found about this machine, each as soon as it is known.

    Parameters
    ----------
    out
        A folder for labels or runs, examined as well; it need not exist.
    """
    told: dict[str, str] = {}
    for finding in _examine_in_processes(out):
        first = told.setdefault(finding.text, finding.name)
        yield finding if first == finding.name else finding._replace(text=f"see {first}")


def _examine_in_processes(out: Path | None) -> Iterator[Finding]:
    """Yield all findings; after a crash, another process carries out the examinations that are left."""
    first = 0
    while first < len(EXAMINATIONS):
        number, command = first, python_command(MODULE, str(first), *([str(out)] if out else []))
        try:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, process_group=0
            )
        except OSError as error:
            yield Finding("error", "process", f"none can be started: {unavailable(None, error)}")
            return
        with process:
            try:
                for line in process.stdout or ():
                    number, *found = json.loads(line)
                    yield from [Finding(*found)] if found else []
            except BaseException:  # such as a signal
                with contextlib.suppress(OSError):  # it has ended
                    os.killpg(process.pid, signal.SIGKILL)  # with a torch that hangs, in a process of its own
                raise
        if process.returncode == 0:
            return
        name, _, verdict = EXAMINATIONS[number]
        end = describe_end(process.returncode)
        remedy = choose_remedy(process.returncode, "install the project again for this machine")
        yield Finding(verdict, name, f"ended the process ({end}): {remedy}")
        first = number + 1
