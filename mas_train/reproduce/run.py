"""Running a plan: some steps at a time, each marked when it is done, so that the whole resumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from mas_labels.errors import ConfigError, MasError
from mas_labels.system.files import try_lock, write_text
from mas_train.reproduce.plan import Step, check_plan, real_command

DONE: Final = "done"
LOGS: Final = "logs"
POLL_SECONDS: Final = 0.1
GRACE_SECONDS: Final = 60.0
"""How long a stopped step may take to write what it has."""
LOG_LINES: Final = 5


class StepError(MasError):
    """A step of a plan failed."""


@dataclass(frozen=True)
class Running:
    """A step at work."""

    process: subprocess.Popen[bytes]
    began: float


def mark_path(work: Path, step: Step) -> Path:
    """The file that says that a step is done."""
    return work / DONE / f"{step.name}.json"


def read_mark(work: Path, step: Step) -> dict[str, Any] | None:
    """Return what is known of a step that is done, None if it is not.

    Raises
    ------
    ConfigError
        If it was done with another command.
    """
    path = mark_path(work, step)
    if not path.exists():
        return None
    mark: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if mark["command"] != list(step.command):
        raise ConfigError(
            f"{path} was left by another plan ({' '.join(mark['command'])}): give another --work, or the "
            "same options as before"
        )
    return mark


def write_mark(work: Path, step: Step, seconds: float, status: int) -> None:
    """Mark a step as done, whole or not at all."""
    path = mark_path(work, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"command": list(step.command), "seconds": round(seconds, 1), "status": status}
    write_text(path, json.dumps(content) + "\n")


def run_plan(
    steps: list[Step],
    work: Path,
    places: Mapping[str, Path],
    jobs: int = 2,
    say: Callable[[str], None] = print,
) -> None:
    """Run all steps that are not done, `jobs` at a time, in the plan's order as far as their needs allow.

    Parameters
    ----------
    steps
        The plan.
    work
        Folder of everything that is made; the commands run in it.
    places
        Path of each place that commands name, such as ``$ROOT``.
    jobs
        Steps at a time.
    say
        Is given a line a step.

    Raises
    ------
    ConfigError
        If the plan cannot be run, another run is at work in `work`, or it holds another plan's results.
    StepError
        If a step failed; those at work beside it are finished first.
    """
    check_plan(steps)
    for step in steps:  # refuses before any work
        real_command(step, places, work, sys.executable)
    done = {step.name for step in steps if read_mark(work, step) is not None}
    waiting = [step for step in steps if step.name not in done]
    say(f"{len(steps)} steps, {len(done)} of them done")
    running: dict[Step, Running] = {}
    failed: list[str] = []
    with _alone(work), _stoppable(running):
        while running or (waiting and not failed):
            ready = [step for step in waiting if done.issuperset(step.after)]
            for step in [] if failed else ready[: jobs - len(running)]:
                running[step] = _start(step, work, places)
                waiting.remove(step)
            time.sleep(POLL_SECONDS)
            for step in [step for step, at_work in running.items() if at_work.process.poll() is not None]:
                message = _finish(step, running.pop(step), work)
                failed += [message] if message else []
                done |= set() if message else {step.name}
                say(f"{len(done)}/{len(steps)} {step.name}{': failed' if message else ''}")
    if failed:
        raise StepError("\n".join(failed))


def _start(step: Step, work: Path, places: Mapping[str, Path]) -> Running:
    log = work / LOGS / f"{step.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    modules = os.pathsep.join(map(os.path.abspath, sys.path))  # found from the folder of the work, too
    with log.open("ab") as file:
        process = subprocess.Popen(
            real_command(step, places, work, sys.executable),
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": modules},
        )
    return Running(process, time.monotonic())


def _finish(step: Step, at_work: Running, work: Path) -> str:
    """Mark a step that ended well; say what went wrong with another."""
    status = at_work.process.returncode
    if status in step.accepted:
        write_mark(work, step, time.monotonic() - at_work.began, status)
        return ""
    log = work / LOGS / f"{step.name}.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return f"step {step.name} ended with status {status}; the end of {log}:\n" + "\n".join(lines)


@contextmanager
def _alone(work: Path) -> Iterator[IO[str]]:
    """Keep a second run out of the same folder."""
    work.mkdir(parents=True, exist_ok=True)
    with (work / ".lock").open("w") as file:
        if not try_lock(file.fileno()):
            raise ConfigError(f"another run is at work in {work}: wait for it, or give another --work")
        yield file


@contextmanager
def _stoppable(running: Mapping[Step, Running]) -> Iterator[None]:
    """End the steps at work when this process is interrupted or terminated: they resume later."""
    try:
        yield
    except BaseException:
        for at_work in running.values():
            at_work.process.terminate()
        for at_work in running.values():
            try:
                at_work.process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                at_work.process.kill()
        raise
