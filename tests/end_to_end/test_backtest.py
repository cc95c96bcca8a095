"""`ratchet backtest` replays the loop on real services: what it compares, what it leaves behind, and how it stops."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from ratchet.backtest.arms import champions, newest, require_unseen
from ratchet.backtest.result import TRAINED, Result
from ratchet.backtest.summary import read
from tests.support.running import DATA

pytestmark = pytest.mark.slow

LINE = [sys.executable, "-m", "ratchet", "backtest", "AAPL", "--model", "logistic"]
BASELINES = {
    f"{name}@baseline"
    for name in ("base-rate", "persistence", "har", "ridge", "boosting", "online", "mean", "stack", "har-level")
}
MORE = ["--data", str(DATA / "AAPL.csv"), "--start", "2010-12-31", "--every", "200"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("backtest") / "out"


@pytest.fixture(scope="module")
def ran(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LINE, *MORE, "--out", str(folder), "-o", "json"], capture_output=True, text=True, check=False, timeout=240
    )


@pytest.fixture(scope="module")
def result(ran: subprocess.CompletedProcess[str], folder: Path) -> Result:
    assert ran.returncode == 0, ran.stderr
    return read(json.loads((folder / "backtest.json").read_text()))


def left_running(folder: Path) -> list[int]:
    found = [p.pid for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]
    return [pid for pid in found if pid != os.getpid()]


def test_every_arm_has_a_forecast_for_the_same_bars(result: Result) -> None:
    names = [arm.name for arm in result.arms]
    assert tuple(names[: len(TRAINED)]) == TRAINED
    assert set(names[len(TRAINED) :]) == BASELINES
    assert {len(arm.probabilities) for arm in result.arms} == {len(result.times)}
    assert len(result.times) > 500
    assert len(set(result.times)) == len(result.times)


def test_nothing_after_a_date_was_known_to_its_session(result: Result) -> None:
    for segment, version in zip(result.segments, result.loop.versions, strict=True):
        assert version.holdout.label_end <= segment.date
    require_unseen(result.segments, result.loop, champions(result.loop))
    require_unseen(result.segments, result.loop, newest(result.loop))


def test_json_says_what_was_found_and_where_the_files_are(
    ran: subprocess.CompletedProcess[str], result: Result, folder: Path
) -> None:
    said = json.loads(ran.stdout)
    assert said["bars_scored"] == len(result.times)
    assert [score["arm"] for score in said["scores"]] == [arm.name for arm in result.arms]
    assert said["files"] == {"json": str(folder / "backtest.json"), "html": str(folder / "report.html")}
    assert "spec-trajectory" in (folder / "report.html").read_text()


def test_a_named_folder_keeps_the_home_and_is_not_used_twice(result: Result, folder: Path) -> None:
    assert (folder / "home" / "log.sqlite").exists()
    again = subprocess.run([*LINE, *MORE, "--out", str(folder)], capture_output=True, text=True, check=False)
    assert again.returncode == 4
    assert "is there already; choose another --out" in again.stderr


def test_it_leaves_no_process_behind(result: Result, folder: Path) -> None:
    assert left_running(folder) == []


def test_ctrl_c_stops_the_loop_and_its_services(tmp_path: Path) -> None:
    place = tmp_path / "stopped"
    running = subprocess.Popen(
        [*LINE, *MORE, "--out", str(place)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    while "in force" not in running.stderr.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert left_running(place) == []


def test_a_series_without_enough_history_is_refused(tmp_path: Path) -> None:
    where = ["--data", str(DATA / "FB_SHORT.csv"), "--out", str(tmp_path / "short")]
    short = subprocess.run(
        [sys.executable, "-m", "ratchet", "backtest", "FB", "--model", "logistic", *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert short.returncode == 8
    assert "196 bars, 1253 needed" in short.stderr
    assert left_running(tmp_path) == []
