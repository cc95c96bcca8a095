"""The tree is RFC 6962's, grows node by node, and its proofs hold for nothing but the truth."""

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import InvalidInput
from ratchet.transparency.merkle import (
    EMPTY_ROOT,
    Frontier,
    NodeGetter,
    canonical_leaf,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    peak_positions,
    root,
    verify_consistency,
    verify_inclusion,
)

REFERENCE_ENTRIES = [
    bytes.fromhex(entry)
    for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
"""The reference tree of certificate-transparency (merkle_tree_test), with the roots of its first 0 to 8 entries."""
REFERENCE_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
REFERENCE_INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
REFERENCE_CONSISTENCY = {
    (1, 1): [],
    (1, 8): REFERENCE_INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}

number, word = st.integers(0, 300), st.text(max_size=4)
event = st.tuples(number, word, number, word, st.binary(max_size=4))


def leaves(n: int) -> list[bytes]:
    return [leaf_hash(b"entry %d" % k) for k in range(n)]


def stored(hashes: list[bytes]) -> NodeGetter:
    """The nodes that appending leaves behind, as a database would keep them."""
    frontier, rows = Frontier(), {}
    for leaf in hashes:
        for level, index, node in frontier.append(leaf):
            assert (level, index) not in rows
            rows[level, index] = node
    return lambda level, index: rows[level, index]


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


REFERENCE_LEAVES = [leaf_hash(entry) for entry in REFERENCE_ENTRIES]


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_reference_tree(size: int) -> None:
    frontier = Frontier()
    for leaf in REFERENCE_LEAVES[:size]:
        frontier.append(leaf)
    assert root(REFERENCE_LEAVES[:size]).hex() == REFERENCE_ROOTS[size]
    assert frontier.root().hex() == REFERENCE_ROOTS[size]


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    assert hashlib.sha256().digest() == EMPTY_ROOT == root([])


@pytest.mark.parametrize(("index", "size"), REFERENCE_INCLUSION)
def test_audit_paths_of_the_reference_tree(index: int, size: int) -> None:
    proof = inclusion_proof(stored(REFERENCE_LEAVES), index, size)
    assert [node.hex() for node in proof] == REFERENCE_INCLUSION[index, size]


@pytest.mark.parametrize(("old", "new"), REFERENCE_CONSISTENCY)
def test_consistency_proofs_of_the_reference_tree(old: int, new: int) -> None:
    proof = consistency_proof(stored(REFERENCE_LEAVES), old, new)
    assert [node.hex() for node in proof] == REFERENCE_CONSISTENCY[old, new]
    assert verify_consistency(old, new, proof, bytes.fromhex(REFERENCE_ROOTS[old]), bytes.fromhex(REFERENCE_ROOTS[new]))


def test_every_proof_of_every_small_tree_verifies() -> None:
    hashes = leaves(33)
    get = stored(hashes)
    roots = [root(hashes[:n]) for n in range(34)]
    for new in range(34):
        for old in range(new + 1):
            assert verify_consistency(old, new, consistency_proof(get, old, new), roots[old], roots[new])
        for index in range(new):
            assert verify_inclusion(hashes[index], index, new, inclusion_proof(get, index, new), roots[new])


@given(st.integers(1, 300), st.data())
def test_a_flipped_bit_anywhere_breaks_an_inclusion_proof(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(stored(hashes), index, size)
    parts = [hashes[index], root(hashes), *proof]
    which, at = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 31))
    assert verify_inclusion(parts[0], index, size, parts[2:], parts[1])
    parts[which] = flipped(parts[which], at)
    assert not verify_inclusion(parts[0], index, size, parts[2:], parts[1])


@given(st.integers(1, 300), st.data())
def test_a_flipped_bit_anywhere_breaks_a_consistency_proof(new: int, data: st.DataObject) -> None:
    hashes = leaves(new)
    old = data.draw(st.integers(1, new))
    proof = consistency_proof(stored(hashes), old, new)
    parts = [root(hashes[:old]), root(hashes), *proof]
    which, at = data.draw(st.integers(0, len(parts) - 1)), data.draw(st.integers(0, 31))
    assert verify_consistency(old, new, parts[2:], parts[0], parts[1])
    parts[which] = flipped(parts[which], at)
    assert not verify_consistency(old, new, parts[2:], parts[0], parts[1])


@given(st.integers(1, 100), st.data())
def test_a_proof_holds_for_one_index_and_no_other(size: int, data: st.DataObject) -> None:
    hashes = leaves(size)
    index, other = data.draw(st.integers(0, size - 1)), data.draw(st.integers(-2, size + 2))
    verified = verify_inclusion(hashes[index], other, size, inclusion_proof(stored(hashes), index, size), root(hashes))
    assert verified == (other == index)


def test_a_rewritten_history_has_no_consistency_proof() -> None:
    honest = leaves(13)
    forged = [*honest[:4], leaf_hash(b"forged"), *honest[5:]]
    proof = consistency_proof(stored(forged), 9, 13)
    assert not verify_consistency(9, 13, proof, root(honest[:9]), root(forged))


def test_a_longer_path_can_not_smuggle_a_leaf_into_a_smaller_tree() -> None:
    a, b = leaves(2)
    assert not verify_inclusion(b, 0, 1, [a], node_hash(a, b))


def test_proofs_that_are_too_long_too_short_or_no_hashes_fail() -> None:
    hashes = leaves(7)
    get = stored(hashes)
    path, top = inclusion_proof(get, 2, 7), root(hashes)
    steps, before = consistency_proof(get, 3, 7), root(hashes[:3])
    for wrong in (path[:-1], [*path, path[-1]], [], [path[0][:31], *path[1:]]):
        assert not verify_inclusion(hashes[2], 2, 7, wrong, top)
    for wrong in (steps[:-1], [*steps, steps[-1]], [], [steps[0] + b"\0", *steps[1:]]):
        assert not verify_consistency(3, 7, wrong, before, top)
    assert not verify_consistency(7, 3, steps, top, before)
    assert not verify_consistency(7, 7, steps, top, top)
    assert not verify_consistency(7, 7, [], top, before)
    assert not verify_consistency(0, 7, [], before, top)


@given(st.lists(st.binary(max_size=8), max_size=200))
def test_the_frontier_has_the_root_of_the_definition_after_every_append(entries: list[bytes]) -> None:
    hashes = [leaf_hash(entry) for entry in entries]
    frontier = Frontier()
    for n, leaf in enumerate(hashes):
        created = frontier.append(leaf)
        assert created[0] == (0, n, leaf)
        assert created[-1][2] == root(hashes[created[-1][1] << created[-1][0] : n + 1])
    assert frontier.root() == root(hashes)
    assert frontier.size == len(hashes)


@given(st.integers(0, 200), st.integers(0, 50))
def test_a_frontier_loaded_from_stored_nodes_goes_on_as_if_never_interrupted(size: int, more: int) -> None:
    hashes = leaves(size + more)
    loaded = Frontier.load(stored(hashes[:size]), size)
    assert Frontier(loaded.size, loaded.peaks).root() == root(hashes[:size])
    for leaf in hashes[size:]:
        loaded.append(leaf)
    assert loaded.root() == root(hashes)


def test_appending_names_the_subtrees_it_completes() -> None:
    frontier, (a, b, c, d) = Frontier(), leaves(4)
    assert frontier.append(a) == [(0, 0, a)]
    assert frontier.append(b) == [(0, 1, b), (1, 0, node_hash(a, b))]
    assert frontier.append(c) == [(0, 2, c)]
    assert frontier.append(d) == [(0, 3, d), (1, 1, node_hash(c, d)), (2, 0, root([a, b, c, d]))]


def test_peaks_of_a_size() -> None:
    assert peak_positions(0) == []
    assert peak_positions(11) == [(3, 0), (1, 4), (0, 10)]


def test_a_frontier_needs_as_many_peaks_as_its_size_has_bits() -> None:
    with pytest.raises(InvalidInput, match="11 leaves has 3 peaks; 1 given"):
        Frontier(11, [EMPTY_ROOT])
    with pytest.raises(InvalidInput):
        Frontier(-1)


def test_proofs_outside_the_tree_are_refused() -> None:
    get = stored(leaves(3))
    with pytest.raises(InvalidInput, match="leaf 3 is not in a tree of 3 leaves"):
        inclusion_proof(get, 3, 3)
    with pytest.raises(InvalidInput, match="from 4 to 3"):
        consistency_proof(get, 4, 3)


def test_the_canonical_bytes_of_an_event() -> None:
    expected = struct.pack(">QI3sQI2sI1s", 7, 3, "aé".encode(), 2, 2, b"tt", 1, b"s")
    assert canonical_leaf(7, "aé", 2, "tt", b"s") == expected


@given(event, event)
def test_different_events_have_different_bytes(
    one: tuple[int, str, int, str, bytes], other: tuple[int, str, int, str, bytes]
) -> None:
    assert (canonical_leaf(*one) == canonical_leaf(*other)) == (one == other)


def test_moving_a_byte_between_fields_changes_the_bytes() -> None:
    assert canonical_leaf(1, "ab", 1, "c", b"") != canonical_leaf(1, "a", 1, "bc", b"")
    assert canonical_leaf(1, "a", 1, "bc", b"") != canonical_leaf(1, "a", 1, "b", b"c")


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="version -1"):
        canonical_leaf(1, "s", -1, "t", b"")
    with pytest.raises(InvalidInput, match="position"):
        canonical_leaf(2**64, "s", 0, "t", b"")
