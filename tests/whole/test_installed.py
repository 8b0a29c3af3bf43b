"""The source distribution and the wheel are complete; what they install works from any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

import pytest
from build_aarch64 import emulated_python
from build_wheel import wheel_tests
from run_matrix import find_python, supported_pythons

from mas_labels.datasets.manifest import packaged_manifests

ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a command outside of the checkout; return its output."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution of this tree; return the unpacked folder."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "setup.py", "-q", "egg_info", "-e", folder, "sdist", "-d", folder, cwd=ROOT)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def build_python(tree: Path, folder: Path) -> set[Path]:
    """Build the contents of a wheel of `tree`, without the extensions; return the files."""
    egg_info = ("egg_info", "-e", folder)
    run(sys.executable, "setup.py", "-q", *egg_info, "build_py", "-d", folder / "lib", cwd=tree)
    return {path.relative_to(folder / "lib") for path in folder.glob("lib/**/*") if path.is_file()}


def test_the_source_has_all_that_it_is_built_and_tested_with(source):
    for name in ("LICENSE", "CONTRIBUTING.md", "Makefile", "constraints.txt", "examples/label_array.sbatch"):
        assert (source / name).read_bytes() == (ROOT / name).read_bytes()
    patterns = (
        *("mas_labels/native/**/*.h", "mas_labels/native/**/*.cpp", "mas_labels/data_manifests/*.yaml"),
        *("tests/**/*.py", "tests/golden/*", "docs/**/*.md", "docs/**/*.py", "docs/pictures/*"),
        *("benchmarks/*.py", "notebooks/*.ipynb"),
    )
    generated = {ROOT / "docs" / "_build", ROOT / "docs" / "benchmarks"}  # by `make docs`
    for pattern in patterns:
        expected = {p.relative_to(ROOT) for p in ROOT.glob(pattern) if generated.isdisjoint(p.parents)}
        assert expected, pattern
        assert {path.relative_to(source) for path in source.glob(pattern)} == expected


def test_tree_and_source_install_the_same_modules_and_manifests(source, tmp_path):
    (tmp_path / "lib").mkdir()
    installed = build_python(source, tmp_path)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    assert build_python(ROOT, elsewhere) == installed
    assert {Path("mas_labels/py.typed"), Path("mas_train/py.typed")} <= installed
    modules = {
        p.relative_to(ROOT) for package in ("mas_labels", "mas_train") for p in (ROOT / package).rglob("*.py")
    }
    assert {path for path in installed if path.suffix == ".py"} == modules
    assert {path.stem for path in installed if path.suffix == ".yaml"} == set(packaged_manifests())

    python = (sys.executable, "-m")
    environment = {"PYTHONPATH": str(tmp_path / "lib")}
    listed = run(*python, "mas_labels", "manifests", cwd=elsewhere, **environment)
    assert [line.split()[0] for line in listed.splitlines()] == list(packaged_manifests())
    plan = ("mas_train.cli.reproduce", "small", "--root", tmp_path, "--dry-run")
    commands = run(*python, *plan, cwd=elsewhere, **environment)
    assert (
        commands.startswith("# about ") and "\nmas-labels make --manifest ucf101 --root videos/" in commands
    )


@pytest.mark.parametrize("target", ["install-headless", "notebooks"])
def test_uv_needs_neither_venv_nor_pip(target):
    commands = run("make", "--dry-run", "--always-make", target, "UV=uv", cwd=ROOT)
    assert "uv venv " in commands and "uv pip install --quiet -c constraints.txt " in commands
    assert "-m venv" not in commands and "-m pip" not in commands


@pytest.mark.parametrize(("tools", "is_of_uv"), [(["uv"], True), (["pip", "uv"], False), ([], False)])
def test_an_environment_that_uv_made_is_known_by_its_lack_of_pip(tools, is_of_uv, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in tools:
        (tmp_path / "bin" / name).touch()
    commands = run("make", "--dry-run", "--always-make", "install-headless", f"VENV={tmp_path}", cwd=ROOT)
    assert (f"{tmp_path}/bin/uv pip install " in commands) == is_of_uv
    assert ("-m pip --disable" in commands) == ("-m venv" in commands) == (not is_of_uv)


def test_pythons_of_pyenv_are_found_where_its_variable_says(tmp_path, monkeypatch):
    (tmp_path / "versions" / "3.12.1" / "bin").mkdir(parents=True)
    python = tmp_path / "versions" / "3.12.1" / "bin" / "python3.12"
    python.symlink_to(sys.executable)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    assert find_python("3.12") == python
    monkeypatch.delenv("PYENV_ROOT")
    monkeypatch.delenv("HOME")
    assert find_python("3.12") is None


def test_wheels_are_tested_on_every_python_with_tests_that_exist():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    assert settings["build"].split() == [f"cp{version.replace('.', '')}-*" for version in supported_pythons()]
    assert wheel_tests() and [name for name in wheel_tests() if not (ROOT / "tests" / name).is_file()] == []


def test_tools_for_another_processor_that_are_missing_are_named_with_their_packages(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "mmdebstrap").touch(0o755)
    remedy = "aarch64-linux-gnu-g++, qemu-aarch64, found none: apt install g++-aarch64-linux-gnu qemu-user"
    with pytest.raises(SystemExit, match=f"{re.escape(remedy)}$"):
        emulated_python()


@pytest.mark.slow
def test_the_wheel_of_the_source_works_from_any_folder(source, tmp_path):
    """`make test-matrix` does the same with other versions of the requirements."""
    older = source / "mas_labels" / f"_tvl1.cpython-3{sys.version_info.minor}-x86_64-linux-gnu.so"
    older.write_bytes(b"a build for one Python, which would be imported")
    build = ("-q", "build_ext", "--inplace", "bdist_wheel", "-d", tmp_path)
    run(sys.executable, "setup.py", *build, cwd=source, MAS_REQUIRE_NATIVE="1")
    assert {path.name for path in source.glob("mas_labels/_tvl1.*")} == {"_tvl1.abi3.so"}
    assert [path.name.split("-")[2:4] for path in tmp_path.glob("*.whl")] == [["cp311", "abi3"]]
    venv.create(tmp_path / "venv", symlinks=True)
    commands = tmp_path / "venv" / "bin"
    install = ("-m", "uv", "pip", "install", "--quiet", "--python", commands / "python")
    run(sys.executable, *install, "--no-deps", "--no-index", *tmp_path.glob("*.whl"), cwd=tmp_path)
    (packages,) = tmp_path.glob("venv/lib/python3*/site-packages")
    requirements = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "requirements.pth").write_text("\n".join(requirements) + "\n")

    where = run(commands / "python", "-c", "import mas_labels; print(mas_labels.__file__)", cwd=tmp_path)
    assert where.startswith(str(packages))
    run(commands / "mas-labels", "demo", "--out", "videos", cwd=tmp_path)
    make = ("make", "--manifest", "demo", "--root", "videos", "--split", "train", "--limit", "2")
    run(commands / "mas-labels", *make, "--out", "labels", cwd=tmp_path)
    size = ("--width", "0.125", "--fc-width", "16", "--batch-size", "2", "--max-steps", "1")
    shards = list(tmp_path.glob("labels/*.h5"))
    run(commands / "mas-train", "--shards", *shards, "--out", "run", *size, "--device", "cpu", cwd=tmp_path)
    plan = ("small", "--root", "videos", "--rehearsal", "--dry-run")
    assert "--manifest folder" in run(commands / "mas-reproduce", *plan, cwd=tmp_path)
