"""Examinations of the machine, one after the other; one that fails gives a line like the others."""

from __future__ import annotations

import json
import os
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from mas_labels.doctor.finding import Finding, Verdict
from mas_labels.errors import MasError, explain_import_error


class Examination(NamedTuple):
    """A function that yields findings, imported only when it runs: what it imports may be broken.

    Attributes
    ----------
    name
        That of the finding if it fails.
    place
        Module and function, in ``mas_labels.doctor``.
    on_failure
        Verdict if it fails.
    """

    name: str
    place: str
    on_failure: Verdict


FOLDER: Final = Examination("folder", "folder:find_folder", "error")
"""Takes the folder; it is left out if there is none."""
EXAMINATIONS: Final = (
    Examination("mas-video", "packages:find_project", "warning"),
    Examination("system", "machine:find_system", "warning"),
    Examination("packages", "packages:find_packages", "warning"),
    Examination("OpenCV", "packages:find_opencv", "error"),
    Examination("labelling", "packages:load_modules", "error"),
    Examination("extensions", "self_test:find_extensions", "error"),
    Examination("flow", "self_test:compare_flow", "error"),
    Examination("labels", "self_test:compare_labels", "error"),
    Examination("cores", "machine:find_cores", "warning"),
    Examination("memory", "machine:find_memory", "warning"),
    Examination("open files", "machine:find_open_files", "warning"),
    Examination("/dev/shm", "machine:find_semaphores", "warning"),
    FOLDER,
    Examination("torch", "torch_process:find_torch", "warning"),
)


def carry_out(examination: Examination, out: Path | None) -> Iterator[Finding]:
    """Yield what an examination finds, or that it failed, and why."""
    name, place, on_failure = examination
    if examination == FOLDER and out is None:
        return
    try:
        find = pkgutil.resolve_name(f"mas_labels.doctor.{place}")
        yield from find(out) if examination == FOLDER else find()
    except MasError as error:
        yield Finding(on_failure, name, str(error))
    except ImportError as error:
        yield Finding(on_failure, name, str(explain_import_error(error)))
    except Exception as error:  # whatever a broken machine raises
        reason = f"{type(error).__name__}: {error}"
        yield Finding(on_failure, name, f"cannot be examined ({reason}): install the project again")


def main(first: str, out: str | None = None) -> None:
    """Carry out the examinations from number `first` on, for the process that started this one.

    Prints lines of JSON: the number of each examination when it begins, and before each finding.
    """
    with os.fdopen(os.dup(1), "w") as lines:
        os.dup2(2, 1)  # what libraries print does not come in between
        for number, examination in list(enumerate(EXAMINATIONS))[int(first) :]:
            print(json.dumps([number]), file=lines, flush=True)
            for finding in carry_out(examination, None if out is None else Path(out)):
                print(json.dumps([number, *finding]), file=lines, flush=True)
