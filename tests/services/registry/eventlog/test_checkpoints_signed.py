"""Every commit signs a checkpoint; proofs lead from any event to a signed root, and agree with pymerkle."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymerkle import InmemoryTree, verify_consistency, verify_inclusion

from ratchet.errors import InvalidInput, PreconditionFailed, StreamConflict
from ratchet.events.v1 import facts_pb2
from ratchet.transparency import checkpoints, merkle
from ratchet.transparency.keys import KEYS_STREAM, Key, check_introduction, key_in_force, origin_of
from services.registry.eventlog import Log
from services.registry.eventlog.checkpoints import Signer
from services.registry.eventlog.commit import leaf
from services.registry.eventlog.database import Database
from tests.support.log_samples import append, assert_sound, everything, fact, make_log

OLD = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
NEW = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))


@pytest.fixture
def signed(open_database: Callable[[], Database]) -> Log:
    log = make_log(open_database(), tables=())
    log.sign_with(OLD)
    return log


def introduced(log: Log) -> list[tuple[int, facts_pb2.KeyIntroduced]]:
    found = [(each.position, each.fact.message) for each in everything(log) if each.stream == KEYS_STREAM]
    return [(position, fact) for position, fact in found if isinstance(fact, facts_pb2.KeyIntroduced)]


def replayed_keys(log: Log) -> list[Key]:
    """The keys as a stranger finds them: each introduction checked on the tree before it."""
    tree, keys = merkle.Frontier(), list[Key]()
    for each in everything(log):
        if each.stream == KEYS_STREAM:
            fact = each.fact.message
            assert isinstance(fact, facts_pb2.KeyIntroduced)
            replaced = keys[-1].public_key if keys else None
            keys.append(check_introduction(fact, tree.size, tree.root(), replaced))
        tree.append(leaf(each))
    return keys


def checkpoints_of(log: Log, from_size: int = 0, limit: int = 10_000) -> list[checkpoints.Checkpoint]:
    return [checkpoints.Checkpoint.parse(note) for note in log.notes(from_size, limit)]


def assert_signed(log: Log) -> None:
    """Each checkpoint is of the key in force then, over the root of then; the newest covers the whole log."""
    leaves = [leaf(each) for each in everything(log)]
    keys = replayed_keys(log)
    assert keys == log.keys()
    found = checkpoints_of(log)
    assert found[-1].size == len(leaves) == log.head().position
    for each in found:
        key = key_in_force(keys, each.size)
        assert key is not None
        assert each.origin == origin_of(keys[0].public_key)
        assert each.root == merkle.root(leaves[: each.size])
        assert checkpoints.verify(each, key.public_key)


def test_the_first_fact_of_a_new_log_introduces_its_key(signed: Log) -> None:
    [(position, fact)] = introduced(signed)
    assert (position, fact.key_id, fact.replaces) == (1, OLD.key_id, "")
    assert check_introduction(fact, 0, merkle.EMPTY_ROOT, None) == Key(1, OLD.public_key)
    assert_signed(signed)


def test_a_log_from_before_gets_its_key_at_the_next_position(open_database: Callable[[], Database]) -> None:
    log = make_log(open_database(), tables=())
    log.commit(append("r1", fact("session/1", 1), fact("session/2", 1)))
    assert log.checkpoint() is None
    log.sign_with(OLD)
    assert log.keys() == [Key(3, OLD.public_key)]
    assert_signed(log)


def test_each_transaction_signs_one_checkpoint_of_the_whole_log(signed: Log) -> None:
    for number in range(5):
        signed.commit(append(f"r{number}", fact(f"session/{number}", 1), fact(f"session/{number}", 2)))
    assert [each.size for each in checkpoints_of(signed, 0, 100)] == [1, 3, 5, 7, 9, 11]
    assert [each.size for each in checkpoints_of(signed, 4, 2)] == [5, 7]
    assert_signed(signed)
    assert_sound(signed)


def test_what_appends_nothing_signs_nothing(signed: Log) -> None:
    first = append("r1", fact("session/1", 1))
    signed.commit(first)
    signed.commit(first)
    with pytest.raises(StreamConflict):
        signed.commit(append("r2", fact("session/1", 1)))
    assert [each.size for each in checkpoints_of(signed, 0, 100)] == [1, 2]


def test_opened_again_with_its_key_the_log_goes_on(signed: Log, open_database: Callable[[], Database]) -> None:
    again = make_log(open_database(), tables=())
    again.sign_with(OLD)
    again.commit(append("r1", fact("session/1", 1)))
    assert len(introduced(again)) == 1
    assert_signed(again)


def test_another_key_is_refused_with_both_ids(signed: Log, open_database: Callable[[], Database]) -> None:
    again = make_log(open_database(), tables=())
    with pytest.raises(PreconditionFailed, match=f"{OLD.key_id} since position 1.*{NEW.key_id}.*RATCHET_SIGNING_KEY"):
        again.sign_with(NEW)
    assert len(everything(again)) == 1


def test_a_rotation_is_signed_by_both_keys_and_the_new_one_signs_from_there(signed: Log) -> None:
    signed.commit(append("r1", fact("session/1", 1)))
    assert signed.rotate(NEW, "ann@desk", "the yearly one") == 3
    signed.commit(append("r2", fact("session/2", 1)))
    assert signed.keys() == [Key(1, OLD.public_key), Key(3, NEW.public_key)]
    by_the_old_key = [checkpoints.verify(each, OLD.public_key) for each in checkpoints_of(signed)]
    assert by_the_old_key == [True] * 2 + [False] * 2
    _, (_, rotation) = introduced(signed)
    assert (rotation.replaces, rotation.reason) == (OLD.key_id, "the yearly one")
    assert_signed(signed)
    assert_sound(signed)


def test_a_registry_that_still_has_the_old_key_appends_nothing_after_a_rotation(
    signed: Log, open_database: Callable[[], Database]
) -> None:
    signed.commit(append("r1", fact("session/1", 1)))
    other = make_log(open_database(), tables=())
    other.sign_with(OLD)
    other.rotate(NEW, "ann@desk", "the yearly one")
    with pytest.raises(PreconditionFailed, match=NEW.key_id):
        signed.commit(append("r2", fact("session/2", 1)))
    with pytest.raises(PreconditionFailed):
        signed.rotate(Signer(Ed25519PrivateKey.generate()), "bob@desk", "too late")
    other.commit(append("r2", fact("session/2", 1)))
    assert_signed(other)


def test_a_key_that_was_replaced_does_not_come_back(signed: Log) -> None:
    signed.rotate(NEW, "ann@desk", "the yearly one")
    with pytest.raises(PreconditionFailed, match="introduced at position 1 already"):
        signed.rotate(OLD, "ann@desk", "back")
    signed.commit(append("r1", fact("session/1", 1)))
    assert_signed(signed)


def test_proofs_are_for_what_is_there(signed: Log) -> None:
    signed.commit(append("r1", fact("session/1", 1)))
    for position, size in ((0, 0), (3, 0), (2, 1), (-1, 0), (1, 3), (1, -1)):
        with pytest.raises(InvalidInput):
            signed.prove_inclusion(position, size)
    for old, new in ((3, 0), (-1, 0), (2, 1), (1, 3)):
        with pytest.raises(InvalidInput):
            signed.prove_consistency(old, new)


@pytest.mark.parametrize("seed", range(4))
def test_roots_and_proofs_agree_with_pymerkle(open_database: Callable[[], Database], seed: int) -> None:
    """Same roots and same inclusion paths; each one's proofs, whose forms differ, verify against the other's roots."""
    chance = random.Random(seed)
    log = make_log(open_database(), tables=())
    log.sign_with(OLD)
    for number in range(chance.randint(1, 12)):
        log.commit(append(f"r{number}", *(fact(f"session/{number}", at + 1) for at in range(chance.randint(1, 9)))))
    oracle = InmemoryTree(algorithm="sha256")
    for each in everything(log):
        oracle.append_entry(merkle.canonical_leaf(each.position, each.stream, each.version, each.topic, each.state))
    size = oracle.get_size()
    for each in checkpoints_of(log, 0, 100):
        assert oracle.get_root(each.size) == each.root
    for _ in range(40):
        new = chance.randint(1, size)
        position, old = chance.randint(1, new), chance.randint(1, new)
        found, proof = log.prove_inclusion(position, new)
        theirs = oracle.prove_inclusion(position, new)
        verify_inclusion(leaf(found), proof.root, theirs)
        assert theirs.path == [leaf(found), *proof.hashes]
        assert merkle.verify_inclusion(leaf(found), position - 1, new, proof.hashes, proof.root)
        grown = log.prove_consistency(old, new)
        verify_consistency(oracle.get_root(old), grown.root, oracle.prove_consistency(old, new))
        assert merkle.verify_consistency(old, new, grown.hashes, oracle.get_root(old), oracle.get_root(new))
