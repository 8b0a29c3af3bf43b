"""Videos of the small experiment: sorted into parts, linked, described."""

from __future__ import annotations

from pathlib import Path

import pytest

from mas_labels.errors import ConfigError
from mas_train.reproduce.footage import (
    OTHERS,
    VIDEO_NAME,
    Footage,
    Part,
    describe_footage,
    link_videos,
    read_codec,
    sort_videos,
)

FOOTAGE = Footage(
    classes=("run", "walk"),
    parts=(Part("low", range(1, 3), "all"), Part("high", range(3, 9), "all")),
    max_others=2,
)


def place(folder: Path, *names: str, codec: str = "XVID") -> None:
    """Write files that begin like AVI files of a codec."""
    for name in names:
        path = folder / name.split("_")[1] / f"{name}.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            b"RIFF    AVI LIST    hdrlavih" + bytes(70) + b"strhvids" + codec.encode() + bytes(40)
        )


def videos_of(*groups: int) -> list[str]:
    return [f"v_{label}_g{group:02}_c01" for label in ("run", "walk") for group in groups]


def test_parts_are_the_official_splits(shared_splits: Path) -> None:
    footage = Footage()
    for number in (1, 2, 3):
        groups: dict[str, set[int]] = {}
        for kind in ("train", "test"):
            lines = (shared_splits / "ucf101" / f"{kind}list0{number}.txt").read_text().split()
            names = [VIDEO_NAME.fullmatch(line.rpartition("/")[2]) for line in lines if line.endswith(".avi")]
            groups[kind] = {int(m["group"]) for m in names if m is not None and m["label"] in footage.classes}
        (tested,) = [part for part in footage.parts if part.name == f"test{number}"]
        assert groups["test"] == set(tested.groups)
        assert groups["train"] == {g for part in footage.parts if part != tested for g in part.groups}


def test_videos_of_several_folders_are_sorted_by_group_and_linked_once(tmp_path: Path) -> None:
    first, second, work = tmp_path / "first", tmp_path / "second", tmp_path / "work"
    place(first, *videos_of(1, 3))
    place(second, *videos_of(1, 2), "v_jump_g01_c01", "v_sit_g01_c01", "v_stand_g07_c02", codec="H264")
    (second / "loop").symlink_to(second)
    assert link_videos(FOOTAGE, [first, second], work) == "8 videos in 2 folders: low 4, high 2, others 2"
    links = {str(path.relative_to(work)): path.resolve() for path in (work / "videos").glob("*/*/*")}
    assert (
        links["videos/low/run/v_run_g01_c01.avi"] == first / "run/v_run_g01_c01.avi"
    )  # the earlier folder's
    assert links["videos/low/walk/v_walk_g02_c01.avi"] == second / "walk/v_walk_g02_c01.avi"
    assert [name for name in links if OTHERS in name] != [] and len(links) == 8
    text = describe_footage(Footage("ucf101", FOOTAGE.classes, FOOTAGE.parts), work)
    assert text.startswith("6 videos of 2 classes (4 in `low`, 2 in `high`), and 2 of other classes.")
    assert (
        "**4 of these 8 files are re-encoded**: the data set comes in XVID, these are 4 XVID, 4 H264." in text
    )


def test_links_follow_the_folders(tmp_path: Path) -> None:
    place(tmp_path / "old", *videos_of(1, 3, 4))
    link_videos(FOOTAGE, [tmp_path / "old"], tmp_path)
    (tmp_path / "old").rename(tmp_path / "new")
    (tmp_path / "new/run/v_run_g04_c01.avi").unlink()
    assert link_videos(FOOTAGE, [tmp_path / "new"], tmp_path).endswith("low 2, high 3, others 0")
    links = list((tmp_path / "videos").glob("*/*/*"))
    assert len(links) == 5 and all(link.exists() for link in links)


def test_a_part_without_videos_is_refused(tmp_path: Path) -> None:
    place(tmp_path, *videos_of(1), "v_run_g03_c01")
    with pytest.raises(ConfigError, match=r"expected videos of run, walk for high.*found 1 in .*--root"):
        sort_videos(FOOTAGE, [tmp_path])
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0 ftyp")
    assert read_codec(tmp_path / "film.mp4") == read_codec(tmp_path / "absent.avi") == "unknown"
