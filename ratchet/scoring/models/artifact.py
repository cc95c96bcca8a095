"""Serialisation of a trained model that is safe to load: skops, never pickle.

A file is self-contained: the probabilities follow from the file and the bars of a series. Equal models give equal
bytes: skops names its parts by memory address, so they are renamed in order; the archive's clock is fixed and
uninitialised bytes are cleared.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from ratchet.errors import CorruptData, RatchetError
from ratchet.scoring.models.families import family
from ratchet.scoring.models.function import Function, Link
from ratchet.scoring.rule import Rule

FORMAT = "skops"
RULE_PREFIX = "rule:"
TRUSTED = ("numpy.dtype", "sklearn.tree._tree.Tree")
"""Types beyond the defaults of skops. The nodes of a Tree are checked by its family before it is used."""

_LAYOUT = 4
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    RatchetError,
)

_Node: TypeAlias = "dict[str, _Node] | list[_Node] | str | int | float | None"


@dataclass(frozen=True)
class FrozenPattern:
    """A pattern as used by a model; `evidence_end` is the label time of its last evidence."""

    id: str
    rule: Rule
    evidence_end: int

    @property
    def column(self) -> str:
        """The name of its 0/1 column."""
        return f"{RULE_PREFIX}{self.id}"


@dataclass(frozen=True, eq=False)
class ModelFile:
    """Content of a model file: the function, and the rules of its pattern columns.

    `history`: the number of bars from which its forecasts are those of the whole series, as ratchet.scoring.history
    measures it; 0: a forecast needs all bars of the series, as that of a model on the margin does.
    """

    series: str
    target: str
    horizon: int
    model_type: str
    function: Function
    patterns: tuple[FrozenPattern, ...]
    history: int

    @property
    def columns(self) -> tuple[str, ...]:
        return self.function.columns

    @property
    def on_margin(self) -> bool:
        """Whether its initial margin is the log-odds of online@baseline, which needs the whole history of the
        series."""
        return self.function.start is not None

    def trimmed(self) -> ModelFile:
        """The same model without the columns and patterns that its function does not read."""
        function = self.function.trimmed()
        patterns = tuple(pattern for pattern in self.patterns if pattern.column in function.columns)
        return replace(self, function=function, patterns=patterns)


def dump(model: ModelFile) -> bytes:
    """The bytes of a model; equal models give equal bytes with the same library versions."""
    import skops.io

    plain = {
        "layout": _LAYOUT,
        "series": model.series,
        "target": model.target,
        "horizon": model.horizon,
        "model_type": model.model_type,
        "columns": list(model.columns),
        "patterns": [[pattern.id, str(pattern.rule), pattern.evidence_end] for pattern in model.patterns],
        "start": model.function.start,
        "links": [_link_state(link) for link in model.function.links],
        "history": model.history,
    }
    return _canonical(skops.io.dumps(plain))


def load(content: bytes) -> ModelFile:
    """The model of these bytes; CorruptData for malformed or damaged bytes, or a type that isn't trusted."""
    import skops.io

    try:
        plain = skops.io.loads(content, trusted=list(TRUSTED))
        if plain["layout"] != _LAYOUT:
            raise CorruptData(f"layout {plain['layout']} is not {_LAYOUT}, which this version reads")
        kind = family(str(plain["model_type"]))
        links = tuple(
            Link(
                tuple(int(column) for column in link["reads"]),
                None if link["state"] is None else kind.restore(link["state"]),
                float(link["a"]),
                float(link["b"]),
                float(link["c"]),
            )
            for link in plain["links"]
        )
        patterns = tuple(FrozenPattern(str(id_), Rule.parse(rule), int(end)) for id_, rule, end in plain["patterns"])
        columns = tuple(str(name) for name in plain["columns"])
        start = None if plain["start"] is None else int(plain["start"])
        read = (*(column for link in links for column in link.reads), *(() if start is None else (start,)))
        if any(not 0 <= column < len(columns) for column in read):
            raise CorruptData("a link reads a column that is not named")
        history = int(plain["history"])
        if history < 0:
            raise CorruptData(f"a history of {history} bars")
        return ModelFile(
            str(plain["series"]),
            str(plain["target"]),
            int(plain["horizon"]),
            kind.name,
            Function(columns, links, start),
            patterns,
            history,
        )
    except _UNREADABLE as error:
        what = str(error).partition("\n")[0]
        raise CorruptData(f"these bytes are not a model of Ratchet: {what}; fetch the artifact again") from error


def _link_state(link: Link) -> Mapping[str, object]:
    state = None if link.fitted is None else link.fitted.state()
    return {"reads": list(link.reads), "a": link.a, "b": link.b, "c": link.c, "state": state}


def _canonical(content: bytes) -> bytes:
    """The same skops archive with parts named 0.npy, 1.npy, … in order of use, without traces of memory or time."""
    source = zipfile.ZipFile(io.BytesIO(content))
    names: dict[str, str] = {}
    schema = _renamed(json.loads(source.read("schema.json")), names)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for old, new in names.items():
            _write(archive, new, _settled(source.read(old)))
        _write(archive, "schema.json", json.dumps(schema, separators=(",", ":")).encode())
    return target.getvalue()


def _renamed(node: _Node, names: dict[str, str]) -> _Node:
    if isinstance(node, list):
        return [_renamed(child, names) for child in node]
    if not isinstance(node, dict):
        return node
    copy = {key: _renamed(child, names) for key, child in node.items() if key != "__id__"}
    file = node.get("file")
    if node.get("type") == "numpy" and isinstance(file, str):
        copy["file"] = names.setdefault(file, f"{len(names)}.npy")
    return copy


def _settled(part: bytes) -> bytes:
    """A stored array without uninitialised bytes: gaps between fields, and the missing-value direction of leaves."""
    array = np.load(io.BytesIO(part), allow_pickle=False)
    if array.dtype.names is None:
        return part
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    if "missing_go_to_left" in array.dtype.names:
        clean["missing_go_to_left"][array["left_child"] == -1] = 0
    target = io.BytesIO()
    np.save(target, clean, allow_pickle=False)
    return target.getvalue()


def _write(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    part = zipfile.ZipInfo(name, _EPOCH)
    part.external_attr = 0o600 << 16
    archive.writestr(part, content, compress_type=zipfile.ZIP_DEFLATED, compresslevel=6)
