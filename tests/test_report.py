"""The page: complete in itself, well formed, and its numbers are those of the shards."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mas_labels.errors import ConfigError, DatasetError, ShardError
from mas_labels.label_counts import LabelCounts
from mas_labels.report import write_report
from mas_labels.report.charts import _ticks, bar_chart, line_chart
from mas_labels.report.page import table
from mas_labels.report.summary import summarise
from mas_labels.schema import LABEL_NAMES, LABELS
from mas_labels.shard import open_shards

pytest.importorskip("matplotlib")

METRICS = """step,epoch,loss_motion,loss_appearance,loss,mean_label_loss_motion,mean_label_loss_appearance
10,0,40,20,60,10,8
20,0,nan,12,nan,10,8
30,1,9.5,7.25,16.75,10,8
"""


class Checker(HTMLParser):
    """Notes what a browser would load, and tags that are not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        assert tag not in ("script", "link", "iframe")
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert self.open[-1] == "svg"

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run & co")
    (folder / "metrics.csv").write_text(METRICS)
    return folder


@pytest.fixture(scope="module")
def report(tiny_shards: list[Path], run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("report") / "report.html"
    write_report(open_shards(tiny_shards), out, run_dir)
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]
    return out.read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_loads_nothing(report: str) -> None:
    checker = Checker()
    checker.feed(report)
    checker.close()
    assert checker.open == []
    assert len(checker.loads) == 4
    assert all(load.startswith("data:image/png;base64,") for load in checker.loads)
    assert "url(" not in report and "@import" not in report


def test_the_page_says_what_the_shards_hold(report: str, tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    tiles = re.findall(r'<b>([^<]+)</b><span class="soft">([^<]+)</span>', report)
    by_words = {words: number for number, words in tiles}
    assert by_words["clips of 16 frames"] == str(len(shards))
    assert by_words["videos that failed"] == "3"
    assert by_words["shards"] == "2"
    text = Checker()
    text.feed(report)
    for words in ("too_short", "cannot_open", "pan/short.avi", "zoom out", "jpeg_quality", "90"):
        assert words in text.text


def test_shares_of_values_are_those_of_all_views(report: str, tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    labels = np.concatenate([clip.view_labels for clip in shards])
    charts = re.findall(r'<svg [^>]*aria-label="(\w+): [^"]*">(.*?)</svg>', report)
    assert sorted(name for name, _ in charts) == sorted(LABEL_NAMES)
    for name, chart in charts:
        shown = {int(v): float(s) for v, s in re.findall(r"<title>(\d+): ([\d.]+)%</title>", chart)}
        column = labels[:, LABEL_NAMES.index(name)]
        expected = {value: 100 * float((column == value).mean()) for value in shown}
        assert shown == pytest.approx(expected, abs=0.051)
        assert sum(expected.values()) == pytest.approx(100)


def test_curves_show_the_loss_and_the_mean_label(report: str) -> None:
    assert "mean squared error 9.5 at step 30; always predicting the mean label gives 10 (dashed)" in report
    curves = re.findall(r'class="curve" points="([^"]+)"', report)
    assert [len(points.split()) for points in curves] == [2, 3]  # the row that is not finite is left out
    assert "run &amp; co" in report


def test_a_run_without_metrics_is_refused_before_the_work(tiny_shards: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    with pytest.raises(DatasetError, match=r"metrics\.csv"):
        write_report(open_shards(tiny_shards), out, tmp_path)
    (tmp_path / "metrics.csv").write_text("step,loss\n")
    with pytest.raises(DatasetError, match="made a step"):
        write_report(open_shards(tiny_shards), out, tmp_path)
    (tmp_path / "metrics.csv").write_text("step,loss_motion\n1,abc\n")
    with pytest.raises(DatasetError, match="abc"):
        write_report(open_shards(tiny_shards), out, tmp_path)
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_refused(tiny_shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Give a writable place"):
        write_report(open_shards(tiny_shards), tmp_path / "nowhere" / "r.html")


def test_an_unfinished_plan_shows_in_the_summary(tiny_shards: list[Path]) -> None:
    assert summarise(open_shards(tiny_shards)).planned == 2
    assert summarise(open_shards(tiny_shards[:1])).planned == 2
    assert sum(summarise(open_shards(tiny_shards)).videos.values()) == 6


def test_still_clips_are_counted(tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    still = [clip for clip in shards if not clip.motion.any()]
    assert summarise(shards).motionless == len(still)


def test_a_label_out_of_range_is_refused() -> None:
    labels = np.ones((2, 5, LABELS), np.uint8)
    labels[1, 2, 0] = 17
    with pytest.raises(ShardError, match="expected grid_ul of at most 16, found 17"):
        LabelCounts().add(labels, Path("x.h5"))


def test_bars_by_hand() -> None:
    chart = bar_chart({1: 0.75, 2: 0.25}, "a & b")
    assert re.findall(r'height="([\d.]+)"><title>([^<]+)', chart) == [
        ("94.0", "1: 75.0%"),
        ("31.3", "2: 25.0%"),
    ]
    assert re.search(r'class="even"[^>]* y1="31.3"', chart)  # half of 94 / 0.75 from the floor at 94
    assert 'aria-label="a &amp; b"' in chart


def test_a_line_by_hand() -> None:
    chart = line_chart([(0, 10), (10, 0)], 5, "loss")
    assert 'points="46.0,12.0 508.0,200.0"' in chart
    assert re.search(r'class="even"[^>]* y1="106.0"', chart)
    assert line_chart([(1, float("nan"))], None, "loss") == "<p>No finite values yet.</p>"


@given(st.floats(1e-6, 1e9))
def test_ticks_are_few_and_reach_the_highest_value(highest: float) -> None:
    ticks = _ticks(highest)
    assert 3 <= len(ticks) <= 6
    assert ticks[0] == 0 and ticks[-2] < highest <= ticks[-1] * (1 + 1e-9)


def test_texts_in_tables_are_escaped() -> None:
    text = table(("name", "count"), [("<b>.avi", 1200)])
    assert "<td>&lt;b&gt;.avi</td>" in text
    assert '<td class="number">1,200</td>' in text and '<th class="number">count</th>' in text
