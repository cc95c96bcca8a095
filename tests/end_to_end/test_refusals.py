"""Bad data is refused with exit code 8 and a message that names row, value and rule."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.running import DATA, Running

HEADER = "date,open,high,low,close,volume\n"
ROWS = [
    "2012-05-18,42.05,45.0,38.0,38.23,573576400",
    "2012-05-21,36.53,36.66,33.0,34.03,168192700",
    "2012-05-22,32.61,33.59,30.94,31.0,101786600",
    "2012-05-23,31.37,32.5,31.36,32.0,73600000",
]


def with_row(row: int, text: str) -> bytes:
    """The file with the row of that number (the header is row 1) replaced."""
    rows = [*ROWS]
    rows[row - 2] = text
    return (HEADER + "\n".join(rows) + "\n").encode()


REFUSED: dict[str, tuple[bytes, list[str]]] = {
    "duplicate date": (with_row(4, ROWS[1]), ["row 4", "2012-05-21", "twice"]),
    "unsorted date": (with_row(5, "2012-05-17,31.37,32.5,31.36,32.0,1"), ["row 5", "2012-05-17", "oldest first"]),
    "negative price": (with_row(3, "2012-05-21,-36.53,36.66,33.0,34.03,1"), ["row 3", "-36.53", "positive"]),
    "zero price": (with_row(3, "2012-05-21,36.53,36.66,0,34.03,1"), ["row 3", "low 0", "positive"]),
    "NaN price": (with_row(3, "2012-05-21,nan,36.66,33.0,34.03,1"), ["row 3", "nan"]),
    "infinite price": (with_row(3, "2012-05-21,36.53,inf,33.0,34.03,1"), ["row 3", "inf"]),
    "textual price": (with_row(3, "2012-05-21,36.53,36.66,33.0,cheap,1"), ["row 3", "cheap", "close"]),
    "high below low": (with_row(3, "2012-05-21,33.5,33.6,34.0,33.7,1"), ["row 3", "33.6", "34"]),
    "close above high": (with_row(3, "2012-05-21,36.53,36.66,33.0,37.03,1"), ["row 3", "37.03", "high"]),
    "negative volume": (with_row(3, "2012-05-21,36.53,36.66,33.0,34.03,-5"), ["row 3", "-5", "negative"]),
    "impossible date": (with_row(3, "2012-02-30,36.53,36.66,33.0,34.03,1"), ["row 3", "2012-02-30"]),
    "missing column": (b"date,open,high,low,volume\n2012-05-18,42,45,38,1\n", ["close"]),
    "short row": (with_row(3, "2012-05-21,36.53,36.66"), ["row 3", "3"]),
    "empty file": (b"", ["empty"]),
    "header alone": (HEADER.encode(), ["row"]),
    "binary file": (bytes(range(256)) * 8, ["text"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_file_is_refused(services: Running, tmp_path: Path, name: str) -> None:
    content, words = REFUSED[name]
    file = tmp_path / "BAD.csv"
    file.write_bytes(content)
    found = services.cli("data", "import", "BAD", str(file))
    assert found.returncode == 8, found.stderr
    assert found.stdout == ""
    for word in words:
        assert word in found.stderr
    assert list(services.client.list_datasets(series="BAD")) == []


def test_a_short_series_imports_but_is_not_trained_on(services: Running) -> None:
    imported = services.cli("data", "import", "FB", str(DATA / "FB_SHORT.csv"))
    assert imported.returncode == 0, imported.stderr
    refused = services.cli("train", "FB", "--model", "logistic", "--target", "range")
    assert refused.returncode == 8
    assert "600 needed" in refused.stderr
    assert "ratchet data import FB" in refused.stderr
    assert list(services.client.list_trainings(series="FB")) == []


def test_changed_history_needs_replace(services: Running, tmp_path: Path) -> None:
    good = (HEADER + "\n".join(ROWS) + "\n").encode()
    changed = with_row(3, "2012-05-21,36.53,36.66,33.0,34.50,1")
    file = tmp_path / "NEW.csv"

    def importing(*more: str) -> subprocess.CompletedProcess[str]:
        return services.cli("data", "import", "NEW", str(file), *more)

    file.write_bytes(good)
    assert importing().returncode == 0
    file.write_bytes(changed)
    refused = importing()
    assert refused.returncode == 8
    printed = refused.stderr.strip().rpartition(": ratchet ")[2]
    assert services.cli(*shlex.split(printed.removesuffix(f" --home {services.home}"))).returncode == 0
    assert len(list(services.client.list_datasets(series="NEW"))) == 2


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["trian", "AAPL"], 2, "train"),
        (["train", "AAPL", "--model", "random-forrest"], 2, "random-forest"),
        (["train", "EUR/USD", "--model", "logistic"], 2, "EUR-USD"),
        (["train", "NOWHERE", "--model", "logistic"], 3, "ratchet data import NOWHERE"),
        (["models", "show", "AAPL/range/random-forest/v99"], 3, "ratchet models list"),
        (["models", "champion", "AAPL/volume-h9/logistic"], 3, "ratchet train"),
        (["models", "best", "AAPL", "--target", "range", "--horizon", "7"], 3, "--target range --horizon 7 --home"),
        (["trainings", "watch", "nobody"], 3, "ratchet trainings list --home"),
        (["trainings", "watch", ""], 2, "ratchet trainings list --home"),
    ],
)
def test_a_mistake_gets_its_exit_code_and_a_next_step(
    services: Running, words: list[str], code: int, hint: str
) -> None:
    found = services.cli(*words)
    assert (found.returncode, found.stdout) == (code, "")
    assert hint in found.stderr


def test_a_service_that_is_down_is_named_with_a_next_step(tmp_path: Path) -> None:
    nowhere = {**os.environ, "RATCHET_REGISTRY": "127.0.0.1:1", "RATCHET_TRAINER": "127.0.0.1:1"}
    for words, service in ((["models", "list"], "registry"), (["train", "AAPL", "--model", "logistic"], "trainer")):
        found = subprocess.run(
            [sys.executable, "-m", "ratchet", *words],
            cwd=tmp_path,
            env=nowhere,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (found.returncode, found.stdout) == (5, "")
        assert f"the {service} at 127.0.0.1:1 does not answer" in found.stderr
        assert "ratchet up" in found.stderr
