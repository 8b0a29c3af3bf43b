"""Check a release: the tree before anything is built of it, or what was built in dist/; for `make release`.

    python tests/check_release.py tree|dist

The tree must be as committed, and the changelog must begin with the version and its date. The source
distribution must hold the files that git has, a wheel the packages, manifests and extension modules, neither
more; then the last lines say what to upload. Nothing is uploaded.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from run_matrix import ROOT, UV, run

from mas_labels.version import __version__

DIST = ROOT / "dist"
TWINE = (*UV, "tool", "run", "twine@7.0.0")
ADDED = re.compile(r"PKG-INFO|mas_video\.egg-info/.*|mas_video-[^/]*\.dist-info/.*")
"""Files that setuptools adds."""


def check_tree(root: Path) -> None:
    """Exit unless the tree is as committed and its changelog begins with this version and a date."""
    changed = git(root, "status", "--porcelain", "--untracked-files").splitlines()
    if changed:
        names = ", ".join(line[3:] for line in changed[:5])
        sys.exit(
            f"error: expected a tree as committed, found {len(changed)} changed files ({names}): commit them"
        )
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = next((line for line in text.splitlines() if line.startswith("## ")), "nothing")
    if not re.fullmatch(rf"## {re.escape(__version__)} - \d{{4}}-\d\d-\d\d", heading):
        sys.exit(
            f"error: expected CHANGELOG.md to begin with '## {__version__} - YEAR-MONTH-DAY', found "
            f"{heading!r}: say there what is new, or correct mas_labels/version.py"
        )


def check_dist(root: Path, dist: Path) -> list[Path]:
    """Exit unless `dist` holds this version's source distribution and wheels, complete; return them."""
    archives = sorted(dist.glob("*"))
    names = [path.name for path in archives]
    source = f"mas_video-{__version__}.tar.gz"
    wheels = [
        name for name in names if name.startswith(f"mas_video-{__version__}-") and name.endswith(".whl")
    ]
    if not wheels or sorted([source, *wheels]) != names:
        found = ", ".join(names) or "nothing"
        sys.exit(f"error: expected {source} and wheels of it in {dist}, found {found}: make wheel")
    tracked = list(tracked_files(root))
    for path in archives:
        expected = Counter(wheel_files(tracked) if path.suffix == ".whl" else tracked)
        found = Counter(name for name in stored_files(path) if not ADDED.fullmatch(name))  # perhaps twice
        missing, more = sorted(expected - found), sorted(found - expected)
        if missing or more:
            sys.exit(
                f"error: {path}: expected what git has, found without {', '.join(missing) or 'nothing'}, "
                f"in addition {', '.join(more) or 'nothing'}: correct MANIFEST.in or setup.cfg"
            )
    return archives


def git(root: Path, *arguments: str) -> str:
    """Return what a command of git prints about a tree; exit if it is none of git's."""
    done = subprocess.run(["git", "-C", root, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: expected a checkout at {root}, found none ({done.stderr.strip()}): clone it")
    return done.stdout


def tracked_files(root: Path) -> Iterator[str]:
    """Yield the files that git has, also below links to folders, as archives do."""
    for name in filter(None, git(root, "ls-files", "-z").split("\0")):
        path = root / name
        files = path.iterdir() if path.is_dir() else [path]
        yield from (file.relative_to(root).as_posix() for file in files)


def wheel_files(tracked: Iterable[str]) -> Iterator[str]:
    """Yield the files of a wheel: what is not compiled of the packages, an extension for each binding."""
    for name in tracked:
        binding = re.fullmatch(r"mas_labels/native/(\w+)/\1_binding\.cpp", name)
        if binding:
            yield f"mas_labels/_{binding[1]}.so"
        elif re.match(r"mas_labels/(?!native/)|mas_train/", name):
            yield name


def stored_files(path: Path) -> Iterator[str]:
    """Yield the names of an archive's files: without the first folder, and extensions without their tags."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            files = (member.filename for member in wheel.infolist() if not member.is_dir())
            yield from (re.sub(r"\.[\w-]+\.so$", ".so", name) for name in files)
    else:
        with tarfile.open(path) as source:
            yield from (member.name.partition("/")[2] for member in source if member.isfile())


def main() -> None:
    """Check the tree or dist/; print what to upload."""
    match sys.argv[1:]:
        case ["tree"]:
            check_tree(ROOT)
        case ["dist"]:
            check_tree(ROOT)  # nothing before may have changed it
            archives = check_dist(ROOT, DIST)
            run(*TWINE, "check", "--strict", *archives, cwd=ROOT)
            print(
                *(f"{path.stat().st_size:12,} bytes  {path.relative_to(ROOT)}" for path in archives), sep="\n"
            )
            print(f"ready; nothing was uploaded: git tag v{__version__}, then twine upload the files above")
        case _:
            sys.exit(f"error: expected tree or dist, found {' '.join(sys.argv[1:]) or 'nothing'}")


if __name__ == "__main__":
    main()
