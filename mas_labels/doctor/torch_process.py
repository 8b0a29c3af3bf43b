"""Asks the trainer what torch can do on this machine, in a process of its own, which may crash."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from collections.abc import Iterator
from typing import Final

from mas_labels.doctor.finding import Finding, choose_remedy
from mas_labels.system.process import describe_end, python_command

REPORTER: Final = "mas_train.runtime.device_report"
"""Module that prints a JSON list of findings; named, not imported: labelling does not know the trainer."""
MAX_SECONDS: Final = 600.0
"""Longest wait for it: packages may lie on a slow disk."""
REMEDY: Final = (
    'pip install --force-reinstall "mas-video[train]", or the torch for this machine (pytorch.org)'
)


def find_torch() -> Iterator[Finding]:
    """Find what torch can do, if it is installed; otherwise only an extra is absent."""
    if importlib.util.find_spec("torch") is None:
        return
    python, *words = python_command(REPORTER)
    command = [python, "-X", "faulthandler", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        yield Finding("warning", "torch", f"does not load within {MAX_SECONDS:g} s: {REMEDY}")
        return
    if done.returncode == 0:
        yield from (Finding(*each) for each in json.loads(done.stdout.splitlines()[-1]))
    else:
        last = (done.stderr.split("\n\n")[0].strip() or "no message").splitlines()[-1]
        remedy = choose_remedy(done.returncode, REMEDY)
        yield Finding(
            "warning", "torch", f"does not load ({describe_end(done.returncode)}, {last}): {remedy}"
        )
