"""Signals raise in commands, also where Python or C code would drop what a handler raises."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mas_labels.system.process import begin_process
from mas_labels.system.signals import Interrupted, raise_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_an_import_is_delivered_after_it(
    number: signal.Signals, tmp_path: Path, monkeypatch
) -> None:
    """C code that imports, such as torch's, drops what is raised in it: the run would never end."""
    name = f"sends_{number.name}"
    (tmp_path / f"{name}.py").write_text(
        f"import os\ntry:\n    os.kill(os.getpid(), {number:d})\n    [None for _ in range(1000)]\n"
        "except BaseException:\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(Interrupted), raise_on_signals():
        importlib.import_module(name)
        time.sleep(30)


def test_sigusr1_is_ignored_outside_training() -> None:
    with raise_on_signals():
        subprocess.run(
            [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGUSR1)"], check=True
        )
        os.kill(os.getpid(), signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_a_signal_during_a_destructor_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    class Destroyed:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)
            [None for _ in range(1000)]

    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back what `begin_process` changes
    begin_process()
    with pytest.raises(Interrupted), raise_on_signals():
        Destroyed()
        time.sleep(30)
