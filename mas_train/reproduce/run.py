"""Carries out a plan, several steps at a time; each is marked when done, so that the plan can resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from mas_labels.errors import ConfigError, MasError
from mas_labels.system.files import try_lock, write_text
from mas_train.reproduce.plan import Step, check_plan, resolve_command

MARK_FOLDER: Final = "done"
LOG_FOLDER: Final = "logs"
POLL_SECONDS: Final = 0.1
GRACE_SECONDS: Final = 60.0
"""Time that a stopped step has to save its state before it is killed."""
LOG_LINES: Final = 5
"""Number of lines shown from the end of a failed step's log."""


class StepError(MasError):
    """A step of a plan failed."""


@dataclass(frozen=True)
class RunningStep:
    """A step whose command is running."""

    process: subprocess.Popen[bytes]
    start_seconds: float
    """When it started, on the monotonic clock."""


def mark_path(work: Path, step: Step) -> Path:
    """Return the path of a step's mark: the file that exists once the step is done."""
    return work / MARK_FOLDER / f"{step.name}.json"


def read_mark(work: Path, step: Step) -> dict[str, Any] | None:
    """Read a step's mark: its command, seconds and exit status. None if the step is not done.

    Raises
    ------
    ConfigError
        If the step was done with another command.
    """
    path = mark_path(work, step)
    if not path.exists():
        return None
    mark: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if mark["command"] != list(step.command):
        raise ConfigError(
            f"{path} was left by another plan, or version ({' '.join(mark['command'])}; now "
            f"{' '.join(step.command)}): give another --work, or the same options as before; or remove the "
            "marks and files of this step and of those that use its files: they are then carried out anew"
        )
    return mark


def done_steps(steps: Sequence[Step], work: Path) -> set[str]:
    """Return the names of the steps that are done.

    Raises
    ------
    ConfigError
        If a step was done with another command.
    """
    return {step.name for step in steps if read_mark(work, step) is not None}


def write_mark(work: Path, step: Step, seconds: float, status: int) -> None:
    """Mark a step as done, atomically."""
    path = mark_path(work, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"command": list(step.command), "seconds": round(seconds, 1), "status": status}
    write_text(path, json.dumps(content) + "\n")


def run_plan(
    steps: list[Step],
    work: Path,
    places: Mapping[str, Path],
    jobs: int = 2,
    report: Callable[[str], None] = print,
) -> None:
    """Run all steps that are not done, in the plan's order as far as their dependencies allow.

    Parameters
    ----------
    steps
        The plan.
    work
        The work folder: all files are written into it, and the commands run in it.
    places
        Path of each place that commands name, such as ``$ROOT``.
    jobs
        Number of steps that run at the same time.
    report
        Called with one line of text per step.

    Raises
    ------
    ConfigError
        If the plan cannot be run, another process runs a plan in `work`, or `work` holds the results of
        another plan.
    StepError
        If a step failed; the steps that run at the same time are finished first.
    """
    check_plan(steps)
    for step in steps:  # refuses a missing place before any work
        resolve_command(step, places, work, sys.executable)
    done = done_steps(steps, work)
    waiting = [step for step in steps if step.name not in done]
    report(f"{len(steps)} steps, {len(done)} of them done")
    running: dict[Step, RunningStep] = {}
    failures: list[str] = []
    with _lock_folder(work), _terminate_on_exit(running):
        while running or (waiting and not failures):
            ready = [step for step in waiting if done.issuperset(step.after)]
            for step in [] if failures else ready[: jobs - len(running)]:
                running[step] = _start(step, work, places)
                waiting.remove(step)
            time.sleep(POLL_SECONDS)
            for step in [step for step, run in running.items() if run.process.poll() is not None]:
                failure = _finish(step, running.pop(step), work)
                failures += [failure] if failure else []
                done |= set() if failure else {step.name}
                report(f"{len(done)}/{len(steps)} {step.name}{': failed' if failure else ''}")
    if failures:
        raise StepError("\n".join(failures))


def _start(step: Step, work: Path, places: Mapping[str, Path]) -> RunningStep:
    """Start a step's command; its output is appended to the step's log."""
    log = work / LOG_FOLDER / f"{step.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    modules = os.pathsep.join(map(os.path.abspath, sys.path))  # commands run in another folder
    with log.open("ab") as file:
        process = subprocess.Popen(
            resolve_command(step, places, work, sys.executable),
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": modules},
        )
    return RunningStep(process, time.monotonic())


def _finish(step: Step, run: RunningStep, work: Path) -> str:
    """Mark a step that succeeded and return ""; of a failed one return the end of its log."""
    status = run.process.returncode
    if status in step.accepted:
        write_mark(work, step, time.monotonic() - run.start_seconds, status)
        return ""
    log = work / LOG_FOLDER / f"{step.name}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return f"step {step.name} ended with status {status}; the end of {log}:\n" + "\n".join(lines)


@contextmanager
def _lock_folder(work: Path) -> Iterator[IO[str]]:
    """Hold the lock of the work folder, so that only one process runs a plan in it."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("w") as file:
        if not try_lock(file.fileno()):
            raise ConfigError(f"another process runs a plan in {work}: wait for it, or give another --work")
        yield file


@contextmanager
def _terminate_on_exit(running: Mapping[Step, RunningStep]) -> Iterator[None]:
    """Terminate the running steps when this process is interrupted or terminated; they resume later."""
    try:
        yield
    except BaseException:
        for run in running.values():
            run.process.terminate()
        for run in running.values():
            try:
                run.process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                run.process.kill()
        raise
