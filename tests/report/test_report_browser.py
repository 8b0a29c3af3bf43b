"""The page in a real browser: it fits a phone and a laptop, leaves the console empty, loads nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.videos import FOLDER_MANIFEST, moving_texture, write_video

from mas_labels.config import LabelConfig
from mas_labels.datasets.find_videos import find_videos
from mas_labels.datasets.manifest import load_manifest
from mas_labels.pipeline.run import run
from mas_labels.plan.plan import plan_shards
from mas_labels.report import write_report
from mas_labels.shards.shard_set import open_shards

pytest.importorskip("matplotlib")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium (Debian: apt install chromium)"
)
HOSTILE = "<img src=http:\u2215\u2215x onerror=alert(1)>\"'&amp; " + 20 * "long" + ".avi"
METRICS = """step,loss_motion,loss_appearance,mean_label_loss_motion,mean_label_loss_appearance
10,4,3,5,5
20,3,2,5,5
"""

FRAME = """<!doctype html><title>waiting</title>
<iframe id=f src="report.html" width={width} height=900></iframe>
<script>
onload = () => {{
  const d = document.getElementById("f").contentDocument;
  d.querySelectorAll("details").forEach(x => x.open = true);
  const over = [...d.body.querySelectorAll("*")].filter(x => x.getBoundingClientRect().right > {width} + 1
    && !x.closest(".scroll, .table, svg")).map(x => x.tagName + "." + x.className);
  const root = d.documentElement;
  document.title = JSON.stringify({{scroll: root.scrollWidth, client: root.clientWidth, over: over,
    headings: d.querySelectorAll("h2").length,
    broken: [...d.images].filter(x => !x.naturalWidth).length, images: d.images.length}});
}};
</script>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page about two videos, one of them with a hostile name, a failure and a run."""
    root = tmp_path_factory.mktemp("browser")
    write_video(root / "videos" / "<b>class" / HOSTILE, moving_texture(16, 120, 160, 2, 0))
    write_video(root / "videos" / "other" / "still.avi", moving_texture(16, 120, 160, 0, 0))
    (root / "videos" / "other" / f"x{HOSTILE}").write_text("no video")
    (root / "run").mkdir()
    (root / "run" / "metrics.csv").write_text(METRICS)
    listing = find_videos(load_manifest(FOLDER_MANIFEST), root / "videos")
    run(plan_shards(listing, "all", 5), LabelConfig(flow="dis"), root / "videos", root / "out", 1)
    write_report(open_shards(root / "out"), root / "report.html", root / "run")
    return root


def visit(page: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open a page in headless Chromium; its document comes back on stdout, its console on stderr."""
    quiet = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--no-first-run",
    ]
    command = [CHROMIUM, *quiet, f"--user-data-dir={profile}", "--virtual-time-budget=8000", *options]
    return subprocess.run(
        [*command, "--enable-logging=stderr", "--v=0", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_and_every_picture_shows(folder: Path, tmp_path: Path, width: int) -> None:
    frame = folder / f"frame{width}.html"
    frame.write_text(FRAME.format(width=width))
    # a page may look into another file only if the browser is configured so
    shown = visit(frame, tmp_path, "--allow-file-access-from-files", "--window-size=1400,1000")
    title = re.search(r"<title>(.*?)</title>", shown.stdout)
    assert title, shown.stderr
    found = json.loads(title[1].replace("&quot;", '"').replace("&amp;", "&"))
    assert found["over"] == [] and found["scroll"] <= found["client"] <= width
    assert found["broken"] == 0 and found["images"] > 30 and found["headings"] >= 8


def requests(page: Path, folder: Path) -> tuple[str, list[str]]:
    """Open a page; return the console and the addresses that the page, not the browser, requested."""
    log = folder / "net.json"
    shown = visit(page, folder / "profile", f"--log-net-log={log}")
    params = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    requested = [p for p in params if p.get("initiator", "not an origin") != "not an origin"]
    return shown.stderr, [p["url"] for p in requested if p.get("url", "").startswith("http")]


def test_the_page_loads_nothing_and_logs_nothing(folder: Path, tmp_path: Path) -> None:
    console, requested = requests(folder / "report.html", tmp_path)
    assert "CONSOLE" not in console and requested == []


def test_requests_and_log_lines_of_a_page_are_noticed(tmp_path: Path) -> None:
    page = tmp_path / "loud.html"
    page.write_text("<img src='http://127.0.0.1:9/x.png'><script>console.error('heard')</script>")
    console, requested = requests(page, tmp_path)
    assert "CONSOLE" in console and "http://127.0.0.1:9/x.png" in requested
