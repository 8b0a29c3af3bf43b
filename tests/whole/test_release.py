"""Refusals of a release: a changed tree, another version, archives with too little or too much."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from check_release import check_dist, check_tree, tracked_files, wheel_files

from mas_labels.version import __version__

NAME = f"mas_video-{__version__}"
FILES = {
    "CHANGELOG.md": f"# Changelog\n\n## {__version__} - 2026-11-27\n\n## 0.0.1 - 2026-01-01\n",
    "manifests/a.yaml": "",
    "mas_labels/py.typed": "",
    "mas_labels/native/flow/flow_binding.cpp": "",
    "mas_labels/native/flow/flow.h": "",
    "mas_train/__init__.py": "",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "mas_labels" / "manifests").symlink_to("../manifests")
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def test_a_changed_file_or_a_new_one_is_refused(tree):
    check_tree(tree)
    (tree / "new").write_text("")
    with pytest.raises(SystemExit, match=r"found 1 changed files \(new\): commit them"):
        check_tree(tree)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(SystemExit, match=r"expected a checkout at .* found none \(fatal: .*\): clone it"):
        check_tree(tmp_path)


@pytest.mark.parametrize("heading", ["9.9.9 - 2026-11-27", f"{__version__} - unreleased"])
def test_a_changelog_without_this_version_and_its_date_is_refused(tree, heading):
    (tree / "CHANGELOG.md").write_text(f"# Changelog\n\n## {heading}\n\n## {__version__} - 2026-11-27\n")
    subprocess.run(["git", "update-index", "--assume-unchanged", "CHANGELOG.md"], cwd=tree, check=True)
    with pytest.raises(SystemExit, match=f"found '## {heading}': say there what is new"):
        check_tree(tree)


def pack(tree: Path, dist: Path, leave_out: str = "", add: str = "") -> None:
    """Write a source distribution and a wheel of a tree, as setuptools does, but for one file."""
    tracked = set(tracked_files(tree))
    dist.mkdir()
    with tarfile.open(dist / f"{NAME}.tar.gz", "w:gz") as source:
        for name in sorted(tracked - {leave_out}):
            source.add(tree / name, f"{NAME}/{name}")
        source.add(tree / "CHANGELOG.md", f"{NAME}/PKG-INFO")
    with zipfile.ZipFile(dist / f"{NAME}-cp311-abi3-linux_x86_64.whl", "w") as wheel:
        built = (name.replace(".so", ".abi3.so") for name in wheel_files(tracked))
        for name in (*built, f"{NAME}.dist-info/METADATA", "mas_labels/", *filter(None, [add])):
            wheel.writestr(name, "")


def test_complete_archives_are_accepted_and_others_refused_by_name(tree, tmp_path):
    pack(tree, tmp_path / "dist")
    assert [path.suffix for path in check_dist(tree, tmp_path / "dist")] == [".whl", ".gz"]
    pack(tree, tmp_path / "less", leave_out="mas_labels/native/flow/flow.h")
    with pytest.raises(SystemExit, match=r"tar\.gz: .* without mas_labels/native/flow/flow\.h, in addition"):
        check_dist(tree, tmp_path / "less")
    pack(tree, tmp_path / "more", add="tests/test_a.py")
    with pytest.raises(SystemExit, match=r"whl: .* without nothing, in addition tests/test_a\.py: correct"):
        check_dist(tree, tmp_path / "more")
    pack(tree, tmp_path / "twice", add="mas_labels/_flow.cpython-311.so")
    with pytest.raises(SystemExit, match=r"whl: .* in addition mas_labels/_flow\.so: correct"):
        check_dist(tree, tmp_path / "twice")


def test_a_folder_without_wheels_or_with_other_files_is_refused(tree, tmp_path):
    pack(tree, tmp_path / "dist")
    shutil.copy(tree / "CHANGELOG.md", tmp_path / "dist" / "mas_video-0.0.1.tar.gz")
    with pytest.raises(SystemExit, match=r"expected mas_video-.* found mas_video-0\.0\.1\.tar\.gz"):
        check_dist(tree, tmp_path / "dist")


def test_a_wheel_holds_the_packages_manifests_and_extensions(tree):
    assert set(wheel_files(tracked_files(tree))) == {
        *(
            "mas_labels/py.typed",
            "mas_labels/manifests/a.yaml",
            "mas_labels/_flow.so",
            "mas_train/__init__.py",
        )
    }
