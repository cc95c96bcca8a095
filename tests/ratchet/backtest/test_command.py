"""The command refuses early what it can't do, and writes what it can without the extra for the page."""

import json
import sys
from pathlib import Path

import pytest

from ratchet.backtest.result import Result
from ratchet.backtest.summary import read
from ratchet.cli import main
from services.local.backtest import write

LINE = ("backtest", "AAPL", "--model", "logistic", "--data", "AAPL.csv")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--policy", "plain"), "unknown policy 'plain'"),
        (("--start", "soon"), "--start 'soon' is not a date"),
        (("--every", "0"), "'--every'"),
        (("--target", "luck"), "unknown target 'luck'"),
    ],
)
def test_what_is_not_an_option_is_refused_before_any_service_starts(
    words: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main((*LINE, *words)) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_a_home_is_not_written_to(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "out" / "home").mkdir(parents=True)
    assert main((*LINE, "--out", "out")) == 4
    assert "out/home is there already; choose another --out" in capsys.readouterr().err


def test_a_backtest_that_fails_leaves_no_empty_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    line = ("backtest", "AAPL", "--model", "logistic", "--home", str(tmp_path / "nobody"))
    assert main(line) == 5
    assert "no services run on" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_both_files_are_written_and_named(result: Result, tmp_path: Path) -> None:
    files = write(result, tmp_path)
    assert files == {"json": str(tmp_path / "backtest.json"), "html": str(tmp_path / "report.html")}
    assert read(json.loads(Path(files["json"]).read_text())) == result


def test_without_the_extra_a_line_says_how_to_get_the_page(
    result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("ratchet.backtest.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "altair", None)
    assert write(result, tmp_path) == {"json": str(tmp_path / "backtest.json")}
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "no HTML report: altair is not installed; pip install 'ratchet-models[report]' and run this again"
