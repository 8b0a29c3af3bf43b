"""The page: self-contained, well formed, with the numbers of the shards."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mas_labels.errors import ConfigError, DatasetError, ShardError
from mas_labels.labels.label_counts import LabelCounts
from mas_labels.report import write_report
from mas_labels.report.charts import _ticks, bar_chart, histogram_chart, line_chart, score_chart
from mas_labels.report.letterbox import dark_bars, is_letterboxed, read_some_frames
from mas_labels.report.page import html_table
from mas_labels.report.probe_section import probe_section
from mas_labels.report.run_sections import PNG
from mas_labels.report.summary import summarise
from mas_labels.schema import LABEL_NAMES, LABELS
from mas_labels.shards.shard_set import open_shards

pytest.importorskip("matplotlib")

METRICS = """step,epoch,loss_motion,loss_appearance,loss,mean_label_loss_motion,mean_label_loss_appearance
10,0,40,20,60,10,8
20,0,nan,12,nan,10,8
30,1,9.5,7.25,16.75,10,8
"""


class Checker(HTMLParser):
    """Collects the addresses that a browser would load, and tags that are not closed."""

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
    kinds = [load.partition(",")[0] for load in checker.loads]
    assert kinds.count("data:image/png;base64") == 3 and kinds.count("data:image/jpeg;base64") > 100
    assert len(set(kinds)) == 2
    assert len(report) < 6_000_000
    assert "url(" not in report and "@import" not in report


def test_the_page_shows_the_numbers_of_the_shards(report: str, tiny_shards: list[Path]) -> None:
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


def test_a_path_that_cannot_be_written_is_refused(tiny_shards: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"page [^:]+: [A-Z][a-z ]+[.] Choose a writable path"):
        write_report(open_shards(tiny_shards), tmp_path / "nowhere" / "r.html")


def test_an_unfinished_plan_shows_in_the_summary(tiny_shards: list[Path]) -> None:
    assert summarise(open_shards(tiny_shards)).planned == 2
    assert summarise(open_shards(tiny_shards[:1])).planned == 2
    assert summarise(open_shards(tiny_shards)).classes == {"pan": 3, "zoom out": 3}


def test_motionless_clips_are_counted(tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    still = [clip for clip in shards if not clip.motion.any()]
    summary = summarise(shards)
    assert summary.counts.clips == summary.counts.of_clips == len(shards)
    assert summary.motionless == len(still) == len(summary.motionless_clips) > 0
    assert summary.motionless_clips == [clip.index for clip in still]
    assert summary.motion.sum() == len(shards) and summary.motion[0] >= len(still)
    most = max(shards, key=lambda clip: clip.motion.mean())
    assert summary.liveliest[0] == (pytest.approx(most.motion.mean()), most.index)


def test_every_value_that_occurs_has_an_example(tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    examples = summarise(shards).examples
    centre = np.array([clip.view_labels[0] for clip in shards])
    for number, name in enumerate(LABEL_NAMES):
        found = examples.of(name)
        assert sorted(found) == sorted(set(centre[:, number].tolist()))
        assert all(centre[clip, number] == value for value, clip in found.items())


def bars(top: int, bottom: int, left: int = 0, right: int = 0, brightness: int = 20) -> np.ndarray:
    frames = np.full((3, 128, 171, 3), 120, np.uint8)
    frames[:, :top] = frames[:, 128 - bottom :] = brightness
    frames[:, :, :left] = frames[:, :, 171 - right :] = brightness
    return frames


@pytest.mark.parametrize(
    ("frames", "found", "boxed"),
    [
        (bars(10, 12), (10, 12, 0, 0), True),
        (bars(0, 0, 20, 20), (0, 0, 20, 20), True),
        (bars(10, 0), (10, 0, 0, 0), False),  # a dark sky
        (bars(10, 3), (10, 3, 0, 0), False),
        (bars(10, 10, brightness=41), (0, 0, 0, 0), False),
        (bars(128, 0), (128, 128, 171, 171), False),  # all dark
        (bars(50, 40), (50, 40, 0, 0), False),
    ],
)
def test_dark_bars_by_hand(frames: np.ndarray, found: tuple[int, ...], boxed: bool) -> None:
    assert dark_bars(frames) == found
    assert is_letterboxed(frames) == boxed


def test_a_bar_that_is_bright_in_one_frame_is_not_a_bar() -> None:
    frames = bars(10, 10)
    frames[2, 3, 80] = 200
    assert dark_bars(frames)[0] == 3 and not is_letterboxed(frames)


def test_some_frames_are_those_of_the_clip(tiny_shards: list[Path]) -> None:
    shards = open_shards(tiny_shards)
    np.testing.assert_array_equal(read_some_frames(*shards.locate(3), (0, 15)), shards[3].frames[[0, 15]])


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


def test_scores_and_histograms_by_hand() -> None:
    chart = score_chart([("grid_ul", 0.5), ("C", float("nan")), ("ui", -3)], "R^2")
    assert re.findall(r'<rect[^>]* x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', chart) == [
        ("165.0", "152.5"),  # half way from 165 to 470
        ("119.2", "45.8"),  # cut at -0.15
    ]
    assert "not defined" in chart and ">-3.000<" in chart
    chart = histogram_chart([1, 4], [0.1, 1, 10], "motion")
    assert re.findall(r'height="([\d.]+)"><title>([^<]+)', chart) == [
        ("33.0", "0.1 to 1: 1"),
        ("132.0", "1 to 10: 4"),
    ]


def test_rings_are_drawn_where_held_out_losses_lie() -> None:
    chart = line_chart([(0, 10), (10, 0)], None, "loss", [(5, 5)])
    assert re.findall(r'class="ring" cx="([\d.]+)" cy="([\d.]+)"', chart) == [("277.0", "106.0")]


HELD_OUT = """step,label,loss,mean_label_loss,r2,accuracy,mode_accuracy,clips
20,grid_ul,9,10,0.1,0.2,0.1,30
30,grid_ul,6,10,0.4,0.3,0.1,30
30,C,2,2,nan,1,1,30
30,motion,7.5,10,0.25,0.3,0.1,30
30,appearance,7,8,0.1,0.3,0.1,30
30,total,14.5,18,0.2,0.3,0.1,30
"""


def test_the_probe_is_drawn_from_the_untrained_network_on() -> None:
    rows = [{"step": 10.0, "loss": 3.0}, {"step": 20.0, "probe_accuracy": 0.5, "probe_chance": 0.1}]
    rows += [{**rows[1], "step": 30.0, "probe_accuracy": 0.4, "probe_untrained": 0.25, "probe_videos": 96.0}]
    section = probe_section(rows)
    assert "40.0% at step 30; chance gives 10.0% (dashed), the untrained network 25.0% (dotted)" in section
    assert "With 96 videos, a standard deviation of the last share is 5.0 points." in section
    assert len(re.findall(r'class="curve" points="([^"]+)"', section)[0].split()) == 3
    assert section.count('class="level"') == section.count('class="even"') == 1
    old = probe_section(rows[:2])
    assert "untrained" not in old and "With " not in old and "level" not in old
    assert probe_section(rows[:1]) == ""


def test_a_page_about_a_run_alone(tmp_path: Path) -> None:
    run = tmp_path / "<b>run"
    (run / "retrieval").mkdir(parents=True)
    (run / "metrics.csv").write_text(METRICS)
    (run / "heldout.csv").write_text(HELD_OUT)
    (run / "attention.png").write_bytes(PNG + b"...")
    result = {"format": "mas-eval-result", "protocol": "retrieval", "dataset": "<i>", "split": "test1"}
    result |= {"figures": {"top-1": 0.25}, "random_initialisation": {"top-1": 0.125}}
    result["intervals"] = {"figures": {"top-1": [0.2, 0.3]}, "difference": {"top-1": [0.125, -0.01, 0.26]}}
    (run / "retrieval" / "retrieval.json").write_text(json.dumps(result))
    write_report(None, tmp_path / "run.html", run)
    text = (tmp_path / "run.html").read_text()
    checker = Checker()
    checker.feed(text)
    assert checker.open == [] and len(checker.loads) == 1
    assert "&lt;b&gt;run" in text and "<b>run" not in text and "&lt;i&gt;" in text
    assert "R2 of each target on held-out clips at step 30" in checker.text and ">0.400<" in text
    assert "7.5 on held-out clips (dots)" in text and "0.2500 [0.2000, 0.3000]" in text
    assert "<td>0.1250</td>" in text and "+0.1250 [-0.0100, +0.2600]" in text
    assert "mas-eval look --run " in text  # there are no neighbours yet
    (run / "neighbours.png").write_bytes(PNG + b"...")
    sentence = b"tEXtDescription\0" + b"a <b>\n"
    (run / "map.png").write_bytes(PNG + (len(sentence) - 4).to_bytes(4, "big") + sentence + b"<script>")
    write_report(None, tmp_path / "run.html", run)
    text = (tmp_path / "run.html").read_text()
    assert "mas-eval look" not in text and "<p>a &lt;b&gt;\\n</p>" in text and "script" not in text
    (run / "attention.png").write_text("<script>")
    with pytest.raises(DatasetError, match="expected a PNG"):
        write_report(None, tmp_path / "run.html", run)
    (run / "retrieval" / "retrieval.json").write_text('{"format": "mas-eval-result"}')
    with pytest.raises(DatasetError, match="evaluate again"):
        write_report(None, tmp_path / "run.html", run)
    with pytest.raises(ConfigError, match="nothing to report"):
        write_report(None, tmp_path / "run.html")


def test_texts_in_tables_are_escaped() -> None:
    text = html_table(("name", "count"), [("<b>.avi", 1200)])
    assert "<td>&lt;b&gt;.avi</td>" in text
    assert '<td class="number">1,200</td>' in text and '<th class="number">count</th>' in text
