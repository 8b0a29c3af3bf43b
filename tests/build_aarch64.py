"""Build the wheel for 64-bit ARM on an x86-64 machine, put it into dist/, and test it in an emulator.

    python tests/build_aarch64.py

Debian's Python for ARM, unpacked into build/aarch64 on first use, runs in QEMU. With it, and with the
cross compiler, which it asks for by name, the wheel is built as by ``make wheel``; then it is installed with
the newest versions of its requirements into an empty environment. There ``mas-labels doctor`` compares flow
and labels with the stored bits, ``mas-labels verify`` a clip with what this machine's own processor made of
it, and the tests run that cibuildwheel runs (pyproject.toml).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import cv2
from build_wheel import DIST, build_release, wheel_tests
from helpers.videos import moving_texture
from run_matrix import ROOT, run, try_versions

SYSTEM = ROOT / "build" / "aarch64"
SUITE = "bookworm"
PACKAGES = ("python3.11", "libpython3.11-dev", "libstdc++6", "libgl1", "libglib2.0-0")
TOOLS = {
    "g++-aarch64-linux-gnu": ("aarch64-linux-gnu-g++",),
    "qemu-user": ("qemu-aarch64", "qemu-aarch64-static"),
    "mmdebstrap": ("mmdebstrap",),
}
"""Debian's packages -> names of the command that is needed of each."""
EMULATED = """\
#!/bin/sh
exec {qemu} -cpu cortex-a72 -0 "$0" -L '{system}' '{system}/usr/bin/python3.11' "$@"
"""
"""A Python for ARM as a command of this machine; environments link to it and find themselves by its name."""


def emulated_python() -> Path:
    """Return a Python for ARM that starts on this machine; unpack it first if it is not there.

    Raises
    ------
    SystemExit
        If a command is not installed.
    """
    found = {package: next(filter(shutil.which, names), None) for package, names in TOOLS.items()}
    missing = [package for package, name in found.items() if name is None]
    if missing:
        commands = ", ".join(TOOLS[package][0] for package in missing)
        sys.exit(f"error: expected the commands {commands}, found none: apt install {' '.join(missing)}")
    python = SYSTEM / "usr" / "bin" / "python"
    if not python.exists():
        shutil.rmtree(SYSTEM, ignore_errors=True)
        SYSTEM.mkdir(parents=True)
        with tempfile.TemporaryDirectory(prefix="aarch64-") as folder:
            archive = Path(folder) / "system.tar"  # unpacked by tar, its files belong to who runs this
            include = f"--include={','.join(PACKAGES)}"
            run("mmdebstrap", "--variant=extract", "--architectures=arm64", include, SUITE, archive, cwd=ROOT)
            run("tar", "--extract", "--file", archive, "./lib", "./usr", cwd=SYSTEM)
        python.write_text(EMULATED.format(qemu=found["qemu-user"], system=SYSTEM), encoding="utf-8")
        python.chmod(0o755)
    return python


def use_cross_tools() -> None:
    """Make the compiler find Python's headers for ARM, and auditwheel the `strip` for ARM."""
    headers = SYSTEM / "usr" / "include"
    os.environ["CPPFLAGS"] = f"-I{headers}/python3.11 -idirafter {headers}"
    os.environ["PATH"] = f"/usr/aarch64-linux-gnu/bin:{os.environ['PATH']}"


def comparison_with_x86(commands: Path, folder: Path, _: bool) -> None:
    """Compare flow and labels with the stored bits, and a clip with what this machine's processor makes.

    The clip is read from pictures, since FFmpeg's frames differ (`mas_labels.version.versions`).
    """
    (pictures := folder / "pictures" / "clip").mkdir(parents=True)
    for number, frame in enumerate(moving_texture(16, 192, 256, 1.5, -0.7)):
        cv2.imwrite(str(pictures / f"{number:05d}.png"), frame)
    source = ("--manifest", "folder", "--root", folder / "pictures")
    make = ("make", *source, "--out", folder / "labels", "--frames", "raw", "--workers", "1")
    run(sys.executable, "-m", "mas_labels", *make, cwd=ROOT)
    run(commands / "mas-labels", "doctor", "--out", ".", cwd=folder)
    verify = ("verify", "--deep", "--recompute", "100%", "--root", "pictures", "--video-timeout", "3600")
    run(commands / "mas-labels", *verify, *folder.glob("labels/*.h5"), cwd=folder)


def main() -> None:
    """Build, test, and print a summary; an error is raised if one fails."""
    python = emulated_python()
    use_cross_tools()
    with tempfile.TemporaryDirectory(prefix="aarch64-") as folder:
        built = build_release(python, Path(folder))
        ran = try_versions(python, "newest", Path(folder), [], wheel_tests(), built, comparison_with_x86)
    print("in dist/:", *sorted(path.name for path in DIST.iterdir()))
    print(f"aarch64, emulated: {ran}")


if __name__ == "__main__":
    main()
