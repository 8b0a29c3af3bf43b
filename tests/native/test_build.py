"""Builds by setup.py for platforms that the tests do not run on, as far as this one shows them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def in_setup(program: str) -> str:
    """Run a program in the root of the checkout, where it finds setup.py; return its output."""
    command = [sys.executable, "-c", f"import setuptools\nfrom distutils.core import run_setup\n{program}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("free_threaded", "tag"), [("0", "cp311"), ("1", "")])
def test_only_pythons_with_a_lock_get_the_limited_api(free_threaded: str, tag: str) -> None:
    """Free-threaded ones lack it: headers and wheels refuse it there."""
    shown = in_setup(
        f"import sysconfig; sysconfig.get_config_vars()['Py_GIL_DISABLED'] = {free_threaded}\n"
        "built = run_setup('setup.py', stop_after='init')\n"
        "print(built.get_option_dict('bdist_wheel').get('py_limited_api', ('', ''))[1])\n"
        "for each in built.ext_modules: print(each.py_limited_api, each.define_macros != [])"
    )
    assert shown.splitlines() == [tag, *[f"{bool(tag)} {bool(tag)}"] * 4]


@pytest.mark.slow
def test_a_module_for_two_processors_has_the_portable_build_alone(tmp_path: Path) -> None:
    """As a universal Python of macOS builds it; compiled here for one."""
    places = ["-b", str(tmp_path), "-t", str(tmp_path), "--plat-name", "macosx-11.0-universal2"]
    in_setup(
        f"built = run_setup('setup.py', ['-q', 'build_ext', *{places!r}], stop_after='commandline')\n"
        "built.ext_modules = [each for each in built.ext_modules if each.name.endswith('._checksum')]\n"
        "built.run_commands()"
    )
    program = "import _checksum; print(_checksum.available(), _checksum.fletcher32('portable', b'abcd'))"
    shown = subprocess.check_output([sys.executable, "-c", program], cwd=tmp_path / "mas_labels", text=True)
    assert shown.startswith("('portable',) ")
