"""Names are told apart and found again, whatever their order."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from ratchet.transparency.references import ArtifactReferences, NamePositions, StreamVersions, unresolved

NAMES = st.lists(st.sampled_from([f"name {number}" for number in range(12)]), max_size=40)


def named(names: list[str], start: int = 1) -> NamePositions:
    found = NamePositions()
    for position, name in enumerate(names, start):
        found.add(name, position)
    return found


@given(NAMES)
def test_a_name_that_comes_again_is_reported_with_the_one_before(names: list[str]) -> None:
    last: dict[str, int] = {}
    expected = []
    for position, name in enumerate(names, 1):
        if name in last:
            expected.append((last[name], position))
        last[name] = position
    assert list(named(names).repeated()) == expected


@given(NAMES, NAMES, NAMES)
def test_a_name_is_missing_unless_it_was_given_before(given_: list[str], others: list[str], wanted: list[str]) -> None:
    asked, known = named(wanted, 10), (named(given_), named(others, 5))
    expected = [
        position
        for position, name in enumerate(wanted, 10)
        if not any(name in names[: max(0, position - start)] for names, start in ((given_, 1), (others, 5)))
    ]
    assert list(unresolved(asked, *known)) == expected


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 5)), max_size=30))
def test_versions_that_are_not_the_next_are_reported(events: list[tuple[str, int]]) -> None:
    versions, seen, expected = StreamVersions(), dict.fromkeys("abc", 0), []
    for position, (stream, version) in enumerate(events, 1):
        versions.add(stream, version, position)
        seen[stream] += 1
        if version != seen[stream]:
            expected.append((position, version, seen[stream]))
    assert list(versions.violations()) == expected


def test_references_are_told_once_with_their_first_mention() -> None:
    one, other = (hashlib.sha256(bytes([number])).hexdigest() for number in range(2))
    references = ArtifactReferences()
    for position, digest in enumerate([other, one, other, "d1", "d1", one.upper()], 1):
        references.add(digest, position, 10 * position)
    assert list(references) == [(other, 1, 10), (one, 2, 20), ("d1", 4, 40), (one.upper(), 6, 60)]
