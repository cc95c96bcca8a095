# ruff: noqa: N806
"""An artifact is a whole model, equal for equal models, and safe to open whoever wrote it."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.errors import CorruptData
from ratchet.scoring.models.artifact import FrozenPattern, ModelFile, dump, load
from ratchet.scoring.models.families import FAMILIES
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.models.port import Sample
from ratchet.scoring.rule import Condition, Rule

ALL = np.arange(300, dtype=np.int64)

RULE = Rule((Condition("rsi_14", ">", 70.0), Condition("weekday", "is", 2.0)), 1)


def features(n: int = 300) -> np.ndarray:
    X = np.random.default_rng(5).normal(size=(n, 3))
    X[::17, 1] = np.nan
    return X


def model() -> ModelFile:
    X, kind = features(), FAMILIES["random-forest"]
    y = (X[:, 0] > 0).astype(np.float64)
    links = (
        Link((1, 0), kind.fit(Sample(X[:, [1, 0]], y, ALL), kind.params(1), 3), 0.0, 0.7, 0.1),
        Link((), None, 0.9, 0.0, -0.1),
        Link((0, 1, 2), kind.fit(Sample(X, np.ones(len(X)), ALL), kind.params(1), 3), 1.0, 0.2, 0.0),
    )
    pattern = FrozenPattern("0123456789abcdef", RULE, 1_300_000_000)
    columns = ("rsi_14", "adx_14", pattern.column)
    return ModelFile("AAPL", "range", 1, kind.name, Function(columns, links), (pattern,), history=364)


CONTENT = dump(model())


def test_all_that_a_prediction_needs_is_in_the_file() -> None:
    original, loaded = model(), load(CONTENT)
    for field in ("series", "target", "horizon", "model_type", "columns", "patterns", "history"):
        assert getattr(loaded, field) == getattr(original, field)
    assert [(link.reads, link.a, link.b, link.c) for link in loaded.function.links] == [
        (link.reads, link.a, link.b, link.c) for link in original.function.links
    ]
    assert (
        loaded.function.probability(features(), ALL).tobytes()
        == original.function.probability(features(), ALL).tobytes()
    )


def test_a_fresh_process_writes_the_same_bytes_and_computes_the_same_probabilities(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(CONTENT)
    script = (
        "import sys, pathlib\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import test_artifact as t\n"
        "loaded = t.load(pathlib.Path(sys.argv[2]).read_bytes())\n"
        "print(t.dump(t.model()) == t.CONTENT == pathlib.Path(sys.argv[2]).read_bytes(),"
        " loaded.function.probability(t.features(), t.ALL).tobytes().hex())\n"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "model")]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    assert answer == ["True", model().function.probability(features(), ALL).tobytes().hex()]


def test_a_negative_history_is_refused() -> None:
    with pytest.raises(CorruptData, match="a history of -1 bars"):
        load(dump(dataclasses.replace(model(), history=-1)))


def test_a_trimmed_model_answers_the_same_from_the_columns_that_it_reads() -> None:
    kind = FAMILIES["random-forest"]
    part = kind.fit(Sample(features()[:, [2, 1]], (features()[:, 0] > 0) * 1.0, ALL), kind.params(1), 3)
    function = Function(("a", "b", "c", "start"), (Link((2, 1), part, 0.9, 0.7, 0.1), Link((), None, 1.0, 0.0, 0.1)), 3)
    unread = FrozenPattern("unread", RULE, 0)
    whole = ModelFile("AAPL", "range", 1, "random-forest", function, (unread,), history=0)
    trimmed = whole.trimmed()
    assert (trimmed.columns, trimmed.patterns, trimmed.function.start) == (("b", "c", "start"), (), 2)
    X = np.column_stack([features(), np.linspace(-1.0, 1.0, len(ALL))])
    assert np.array_equal(trimmed.function.margin(X[:, 1:], ALL), whole.function.margin(X, ALL))
    assert model().trimmed().columns == model().columns
    assert model().trimmed().patterns == model().patterns


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(CONTENT) - 1))
def test_truncated_bytes_are_refused(length: int) -> None:
    with pytest.raises(CorruptData):
        load(CONTENT[:length])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_changed_byte_never_gives_another_answer(position: int, flip: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[position] ^= flip
    try:
        loaded = load(bytes(damaged))
    except CorruptData:
        return
    assert loaded.function.margin(features(), ALL).tobytes() == model().function.margin(features(), ALL).tobytes()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04", b"\x80\x04N.", skops.io.dumps({"layout": 4})])
def test_bytes_that_are_no_model_are_refused(content: bytes) -> None:
    with pytest.raises(CorruptData, match="not a model of Ratchet"):
        load(content)


def rewritten(change: dict[str, str]) -> bytes:
    """The archive with replacements in its schema."""
    source = zipfile.ZipFile(io.BytesIO(CONTENT))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "schema.json":
                text = content.decode()
                for old, new in change.items():
                    assert old in text
                    text = text.replace(old, new)
                content = json.dumps(json.loads(text)).encode()
            archive.writestr(name, content)
    return target.getvalue()


def test_a_type_that_is_not_trusted_is_refused() -> None:
    tree = '"__class__":"Tree","__module__":"sklearn.tree._tree"'
    with pytest.raises(CorruptData, match="ntrusted"):
        load(rewritten({tree: '"__class__":"Popen","__module__":"subprocess"'}))


def test_a_column_less_than_its_links_read_is_refused() -> None:
    whole = model()
    narrow = dataclasses.replace(whole, function=Function(whole.columns[:1], whole.function.links))
    with pytest.raises(CorruptData, match="a column that is not named"):
        load(dump(narrow))


def test_a_file_of_another_layout_is_refused() -> None:
    with pytest.raises(CorruptData, match="layout 1 is not 4"):
        load(skops.io.dumps({"layout": 1}))


@pytest.mark.parametrize(
    ("field", "value"), [("left_child", 10**6), ("left_child", 0), ("right_child", -7), ("feature", 40)]
)
def test_a_tree_that_points_outside_of_itself_is_refused(field: str, value: int) -> None:
    crooked = model()
    part = crooked.function.links[0].fitted
    assert part is not None
    tree = part.state()["trees"][4]  # type: ignore[index]
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    with pytest.raises(CorruptData, match="points outside of itself"):
        load(dump(crooked))
