"""Run the main job and the fast tests with the oldest and the newest versions that setup.cfg allows.

    python tests/run_matrix.py [--python 3.12] [--versions newest] [--extras inspect,dask] [TEST ...]

For each supported Python on this machine, a wheel is built from the source distribution, installed by uv with
its requirements into an empty environment, and used from a folder without the packages' source. A TEST is a
folder or file below tests/, such as ``labels`` or ``video/test_video.py``. Without the extra ``train``, tests
that need torch are left out. The last lines list what ran.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from configparser import ConfigParser
from importlib.metadata import PathDistribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
UV = (sys.executable, "-m", "uv")
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
EXTRAS = "train,inspect,dask,eval,onnx,tensorboard,parquet,hub,webdataset,lightning"
TOOLS = ("hypothesis", "ipykernel", "nbclient", "packaging", "pytest", "pytest-xdist")
CHECKOUT_ONLY = {
    "test_build.py",
    "test_contributing.py",
    "test_docs.py",
    "test_installed.py",
    "test_reliability_page.py",
    "test_repository_files.py",
    "test_rooms.py",
    "test_style.py",
}
"""Tests that read the source tree, which is not installed."""
UV_NAMES = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_DEFAULT_TIMEOUT": "UV_HTTP_TIMEOUT",
}
"""uv's name of each setting of pip."""


def supported_pythons() -> list[str]:
    """Return the Python versions that setup.cfg supports, such as 3.12."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    supported = SpecifierSet(setup["options"]["python_requires"])
    return [version for version in (f"3.{minor}" for minor in range(99)) if f"{version}.0" in supported]


def find_python(version: str) -> Path | None:
    """Find a Python interpreter that starts: on PATH, else among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or f"{os.environ.get('HOME', '')}/.pyenv") / "versions"
    on_path = shutil.which(f"python{version}")
    for path in (*map(Path, [on_path] if on_path else []), *pyenv.glob(f"{version}.*/bin/python{version}")):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


def run(*command: object, cwd: Path) -> None:
    """Run a command that imports nothing from the checkout; raise `CalledProcessError` if it fails."""
    settings = {uv: os.environ[pip] for pip, uv in UV_NAMES.items() if pip in os.environ}
    required = {"MAS_REQUIRE_NATIVE": "1"}  # no wheel without the extensions
    environment = {"MAS_SHARED": str(ROOT.parent / "shared"), **settings, **os.environ, **required}
    environment.pop("PYTHONPATH", None)
    print("$", *command, flush=True)
    subprocess.run(list(map(str, command)), cwd=cwd, env=environment, check=True)


def build(python: Path, folder: Path) -> tuple[Path, Path]:
    """Build a wheel from the source distribution; return it and the unpacked source without the packages."""
    run(*UV, "build", "--quiet", "--python", python, "--out-dir", folder, ROOT, cwd=folder)
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz")
    for package in ("mas_labels", "mas_train"):
        shutil.rmtree(source / package)
    return wheel, source


def requirements_of(wheel: Path, extras: list[str]) -> list[str]:
    """Return the requirements of a wheel with some of its extras."""
    with zipfile.ZipFile(wheel) as packed:
        (folder,) = {name.split("/")[0] for name in packed.namelist() if ".dist-info/" in name}
        parsed = map(Requirement, PathDistribution(zipfile.Path(packed, f"{folder}/")).requires or [])
        return [
            f"{requirement.name}{requirement.specifier}"
            for requirement in parsed
            if requirement.marker is None
            or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        ]


def main_job(commands: Path, folder: Path, with_torch: bool) -> None:
    """Run the main job in an empty folder: doctor, videos, shards, checks, a short training run, a page."""
    folder.mkdir()
    labels = commands / "mas-labels"
    run(labels, "doctor", "--out", ".", cwd=folder)
    run(labels, "demo", "--out", "videos", cwd=folder)
    demo = ("--manifest", "demo", "--root", "videos", "--split", "train")
    run(labels, "make", *demo, "--out", "labels", cwd=folder)
    shards = sorted(folder.glob("labels/*.h5"))
    run(labels, "verify", "--deep", "--recompute", "10%", "--root", "videos", *shards, cwd=folder)
    report = (labels, "report", "labels", "--out", "report.html")
    if with_torch:
        size = ("--batch-size", "8", "--width", "0.25", "--fc-width", "256", "--max-steps", "20")
        run(commands / "mas-train", "--shards", *shards, "--out", "run", *size, cwd=folder)
        report = (*report, "--run", "run")
    run(*report, cwd=folder)


def choose_tests(source: Path, with_torch: bool, names: list[str]) -> list[str]:
    """Choose the test files to run.

    Parameters
    ----------
    source
        The unpacked source distribution.
    with_torch
        Whether torch is installed; without it, only tests of mas_labels are chosen.
    names
        Folders and files below tests/; none: all.

    Raises
    ------
    SystemExit
        If there is no such folder or file.
    """
    needs_torch = re.compile(r"mas_train|torch|helpers\.(coloured|rehearsing)")
    chosen: set[Path] = set()
    for path in (source / "tests" / name for name in names or ["."]):
        if not path.exists():
            sys.exit(f"error: no test folder or file {path.relative_to(source)}: see tests/")
        chosen |= {path} if path.is_file() else set(path.rglob("test_*.py"))
    return [
        str(path.relative_to(source))
        for path in sorted(chosen)
        if path.name not in CHECKOUT_ONLY
        and (with_torch or not needs_torch.search(path.read_text(encoding="utf-8")))
    ]


def try_versions(
    python: Path,
    versions: str,
    folder: Path,
    extras: list[str],
    names: list[str],
    built: tuple[Path, Path],
    job: Callable[[Path, Path, bool], None] = main_job,
) -> str:
    """Run a job, the main one, and the tests in one environment; return a summary with its versions."""
    wheel, source = built
    environment = folder / versions
    run(*UV, "venv", "--quiet", "--python", python, environment, cwd=source)
    install = (*UV, "pip", "install", "--quiet", "--python", environment, "--only-binary", ":all:")
    required = requirements_of(wheel, extras)
    run(*install, "--resolution", RESOLUTIONS[versions], *required, wheel, cwd=source)
    run(*install, *TOOLS, cwd=source)
    with_torch = "train" in extras
    job(environment / "bin", folder / f"job-{versions}", with_torch)
    tests = choose_tests(source, with_torch, names)
    parallel = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")  # as `make test`
    run(environment / "bin" / "python", "-m", "pytest", "-q", *parallel, *tests, cwd=source)
    freeze = (*UV, "pip", "freeze", "--python", environment)
    installed = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout.splitlines()
    direct = {Requirement(line).name.lower() for line in required}
    packages = " ".join(line for line in installed if line.partition("==")[0].lower() in direct)
    shutil.rmtree(environment)
    done = f"{job.__name__.replace('_', ' ')}{'' if with_torch else ' without training'}"
    return f"{done}, {len(tests)} test files: {packages}"


def try_python(
    version: str,
    resolutions: Iterable[str],
    extras: list[str],
    names: list[str],
    built: tuple[Path, Path] | None = None,
) -> Iterator[str]:
    """Run the main job and the tests with one Python.

    Parameters
    ----------
    version
        Such as 3.12.
    resolutions
        Keys of `RESOLUTIONS`.
    extras, names
        Extras of setup.cfg; folders and files below tests/, none: all.
    built
        Wheel and source, as `build` returns them; None builds them with this Python.

    Yields
    ------
    A summary of each resolution.
    """
    python = find_python(version)
    if python is None:
        yield f"Python {version}: NOT RUN, not on this machine"
        return
    with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
        for versions in resolutions:
            try:
                built = built or build(python, Path(folder))
                ran = try_versions(python, versions, Path(folder), extras, names, built)
            except subprocess.CalledProcessError as error:
                ran = f"FAILED with status {error.returncode}: {' '.join(map(str, error.cmd))[:200]}"
            yield f"Python {version} ({python}), {versions}: {ran}"


def finish(summary: list[str]) -> None:
    """Print a summary and exit; the status is 1 if something failed, or nothing ran."""
    print(*summary, sep="\n")
    sys.exit(any("FAILED" in line for line in summary) or all("NOT RUN" in line for line in summary))


def main() -> None:
    """Run the requested combinations and print a summary; the status is 1 if one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", help="such as 3.12, or latest; may be repeated [all]")
    parser.add_argument("--versions", choices=RESOLUTIONS, help="of the requirements [both]")
    parser.add_argument("--extras", default=EXTRAS, help="extras of setup.cfg to install [%(default)s]")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="folders and files below tests/ [all]")
    options = parser.parse_args()
    extras = options.extras.split(",")
    pythons = options.python or supported_pythons()
    if pythons == ["latest"]:
        pythons = list(filter(find_python, supported_pythons()))[-1:]
    resolutions = [options.versions] if options.versions else list(RESOLUTIONS)
    tried = (try_python(version, resolutions, extras, options.tests) for version in pythons)
    finish([line for lines in tried for line in lines])


if __name__ == "__main__":
    main()
