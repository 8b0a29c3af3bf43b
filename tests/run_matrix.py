"""Run the main job and the fast tests with the oldest and the newest versions that setup.cfg allows.

    python tests/run_matrix.py [--python 3.12] [--versions newest] [--extras inspect,dask] [test_video.py ...]

For each promised Python that is found a wheel is built from the source distribution, installed by uv beside
its requirements in an empty environment, and used from a folder that has none of the packages' code. Without
the extra ``train`` there is no torch, and what needs it is left out. The last lines say what ran.
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
from configparser import ConfigParser
from functools import cache
from importlib.metadata import PathDistribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[1]
UV = (sys.executable, "-m", "uv")
RESOLUTIONS = {"oldest": "lowest-direct", "newest": "highest"}
EXTRAS = "train,inspect,dask,eval,export,onnx,tensorboard"
TOOLS = ("hypothesis", "ipykernel", "nbclient", "packaging", "pytest")
OF_THE_TREE = {"test_docs.py", "test_installed.py", "test_reliability_page.py", "test_train_boundaries.py"}
"""Tests of the checkout, not of what is installed."""
UV_NAMES = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_CERT": "SSL_CERT_FILE",
    "PIP_DEFAULT_TIMEOUT": "UV_HTTP_TIMEOUT",
}
"""Settings of pip, and what uv calls them."""


def promised_pythons() -> list[str]:
    """Versions, such as 3.12, that setup.cfg promises."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    promised = SpecifierSet(setup["options"]["python_requires"])
    return [version for version in (f"3.{minor}" for minor in range(99)) if f"{version}.0" in promised]


def find_python(version: str) -> Path | None:
    """Find a Python that starts: on PATH, else among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = shutil.which(f"python{version}")
    for path in (*map(Path, [on_path] if on_path else []), *pyenv.glob(f"{version}.*/bin/python{version}")):
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    return None


def run(*command: object, cwd: Path) -> None:
    """Run a command that imports nothing of the checkout; raise `CalledProcessError` if it fails."""
    settings = {uv: os.environ[pip] for pip, uv in UV_NAMES.items() if pip in os.environ}
    environment = {"MAS_SHARED": str(ROOT.parent / "shared"), **settings, **os.environ}
    environment.pop("PYTHONPATH", None)
    print("$", *command, flush=True)
    subprocess.run(list(map(str, command)), cwd=cwd, env=environment, check=True)


@cache
def build(python: Path, folder: Path) -> tuple[Path, Path]:
    """Build the wheel of the source distribution; return it, and the unpacked source without the packages."""
    run(*UV, "build", "--quiet", "--python", python, "--out-dir", folder, ROOT, cwd=folder)
    (wheel,), (archive,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    source = folder / archive.name.removesuffix(".tar.gz")
    for package in ("mas_labels", "mas_train"):
        shutil.rmtree(source / package)
    return wheel, source


def requirements_of(wheel: Path, extras: list[str]) -> list[str]:
    """Return what a wheel with some of its extras requires."""
    with zipfile.ZipFile(wheel) as packed:
        (folder,) = {name.split("/")[0] for name in packed.namelist() if ".dist-info/" in name}
        parsed = map(Requirement, PathDistribution(zipfile.Path(packed, f"{folder}/")).requires or [])
        return [
            f"{found.name}{found.specifier}"
            for found in parsed
            if found.marker is None or any(found.marker.evaluate({"extra": extra}) for extra in extras)
        ]


def main_job(commands: Path, folder: Path, with_torch: bool) -> None:
    """Videos, shards, checks, a short training run and a page, in an empty folder."""
    folder.mkdir()
    labels = commands / "mas-labels"
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
    """Return the test files to run: none of the tree's, and without torch those of mas_labels alone."""
    torch = re.compile("mas_train|torch|coloured|rehearsing")
    return [
        str(path.relative_to(source))
        for path in sorted((source / "tests").rglob("test_*.py"))
        if path.name not in OF_THE_TREE
        and (with_torch or not torch.search(path.read_text(encoding="utf-8")))
        and (not names or path.name in names)
    ]


def try_versions(python: Path, versions: str, folder: Path, extras: list[str], names: list[str]) -> str:
    """Run everything in one environment; return what ran and the versions in it."""
    wheel, source = build(python, folder)
    environment = folder / versions
    run(*UV, "venv", "--quiet", "--python", python, environment, cwd=source)
    install = (*UV, "pip", "install", "--quiet", "--python", environment, "--only-binary", ":all:")
    required = requirements_of(wheel, extras)
    run(*install, "--resolution", RESOLUTIONS[versions], *required, wheel, cwd=source)
    run(*install, *TOOLS, cwd=source)
    with_torch = "train" in extras
    main_job(environment / "bin", folder / f"job-{versions}", with_torch)
    tests = choose_tests(source, with_torch, names)
    run(environment / "bin" / "python", "-m", "pytest", "-q", *tests, cwd=source)
    freeze = (*UV, "pip", "freeze", "--python", environment)
    installed = subprocess.run(freeze, capture_output=True, text=True, check=True).stdout.splitlines()
    direct = {Requirement(line).name.lower() for line in required}
    found = " ".join(line for line in installed if line.partition("==")[0].lower() in direct)
    shutil.rmtree(environment)
    return f"main job{'' if with_torch else ' without training'}, {len(tests)} files of tests: {found}"


def main() -> None:
    """Run what was asked for; the last lines say what ran, and the status is 1 if anything failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", action="append", help="3.12, or latest; more may follow [all]")
    parser.add_argument("--versions", choices=RESOLUTIONS, help="of what is required [both]")
    parser.add_argument("--extras", default=EXTRAS, help="of setup.cfg [%(default)s]")
    parser.add_argument("tests", nargs="*", help="names of test files [all]")
    options = parser.parse_args()
    extras, summary = options.extras.split(","), []
    pythons = options.python or promised_pythons()
    if pythons == ["latest"]:
        pythons = list(filter(find_python, promised_pythons()))[-1:]
    for version in pythons:
        python = find_python(version)
        if python is None:
            summary.append(f"Python {version}: NOT RUN, it is not on this machine")
            continue
        with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
            for versions in [options.versions] if options.versions else RESOLUTIONS:
                try:
                    ran = try_versions(python, versions, Path(folder), extras, options.tests)
                except subprocess.CalledProcessError as error:
                    ran = f"FAILED with status {error.returncode}: {' '.join(map(str, error.cmd))[:200]}"
                summary.append(f"Python {version} ({python}), {versions}: {ran}")
    print(*summary, sep="\n")
    sys.exit(any("FAILED" in line for line in summary))


if __name__ == "__main__":
    main()
