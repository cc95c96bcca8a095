"""Checkpoints: notes in the form of C2SP; who holds the public key accepts exactly what was signed."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import CorruptData, InvalidInput
from ratchet.transparency import checkpoints
from ratchet.transparency.checkpoints import LAST_SECOND, Checkpoint
from ratchet.transparency.keys import is_signed, key_hash, origin_of, public_bytes, vkey

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
PUBLIC = public_bytes(KEY)
ORIGIN = origin_of(PUBLIC)
ROOT = bytes(range(100, 132))
AT = 1_700_000_000

# Made from the text of the specifications with `cryptography` alone, with KEY, size 3, ROOT and AT.
NOTE = (
    "ratchet.log/56475aa75463474c\n"
    "3\n"
    "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=\n"
    "\n"
    "— ratchet.log/56475aa75463474c V9P+AfBK2ySxYtdwiL6QhT+nogWA+j14wELhgqdUHD5t5bQgUj8HcOITqxxuRbBMUjNST3Jg2OFyUTqif1"
    "TkdRSuLws=\n"
    "— ratchet.log/56475aa75463474c IeNwJwAAAABlU/EAd9dZJ/Y39PqNiDGerRnl49/j8TMYgckZhQ5kB7f6WJm4NhHKWF9kd140/7u9b2ClI"
    "El9UwevVRST9FPxX45JDQ==\n"
)
VKEY = "ratchet.log/56475aa75463474c+57d3fe01+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"

# The example of golang.org/x/mod/sumdb/note: another implementation's key and note.
GO_TEXT = b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_KEY = "ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_HASH = "c74f20a3"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

roots = st.binary(min_size=32, max_size=32)
sizes = st.integers(0, 2**63 - 1)
times = st.integers(0, LAST_SECOND)
origins = st.from_regex(r"ratchet\.log/[0-9a-f]{16}", fullmatch=True)


def line(name: str, data: bytes) -> str:
    return f"— {name} {b64encode(data).decode()}\n"


def test_a_known_checkpoint_is_made_read_and_verified() -> None:
    made = checkpoints.sign(KEY, ORIGIN, 3, ROOT, AT)
    assert made == Checkpoint(ORIGIN, 3, ROOT, AT, NOTE)
    assert Checkpoint.parse(NOTE) == made
    assert checkpoints.verify(made, PUBLIC)
    assert vkey(ORIGIN, PUBLIC) == VKEY
    assert made.key_hash.hex() == VKEY.split("+")[1]


@given(sizes, roots, times)
def test_signatures_are_those_of_the_specifications(size: int, root: bytes, at: int) -> None:
    """Recomputed from the texts of tlog-checkpoint, signed-note and tlog-cosignature."""
    name = "ratchet.log/" + hashlib.sha256(PUBLIC).hexdigest()[:16]
    body = f"{name}\n{size}\n{b64encode(root).decode()}\n"
    text, _, signatures = checkpoints.sign(KEY, ORIGIN, size, root, at).note.partition("\n\n")
    first, second = signatures.splitlines()
    assert f"{text}\n" == body
    key = Ed25519PublicKey.from_public_bytes(PUBLIC)
    for number, (found, kind, skipped, message) in enumerate(
        [
            (first, 0x01, 4, body),
            (second, 0x04, 12, f"cosignature/v1\ntime {at}\n{body}"),
        ]
    ):
        dash, key_name, base64 = found.split(" ")
        data = b64decode(base64)
        assert (dash, key_name) == ("\u2014", name), number
        assert data[:4] == hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + PUBLIC).digest()[:4], number
        assert data[4:skipped] == (at.to_bytes(8, "big") if kind == 0x04 else b""), number
        key.verify(data[skipped:], message.encode())


def test_the_key_hash_and_signature_of_another_implementation_are_accepted() -> None:
    kind, *key = b64decode(GO_KEY)
    signature = b64decode(GO_SIGNATURE)
    assert key_hash("PeterNeumann", kind, bytes(key)).hex() == GO_HASH == signature[:4].hex()
    assert is_signed(GO_TEXT, signature[4:], bytes(key))


@given(origins, sizes, roots, times)
def test_a_checkpoint_verifies_and_comes_back_the_same_from_its_note(
    origin: str, size: int, root: bytes, at: int
) -> None:
    made = checkpoints.sign(KEY, origin, size, root, at)
    assert checkpoints.verify(made, PUBLIC)
    assert Checkpoint.parse(made.note) == made
    assert (made.origin, made.size, made.root, made.time) == (origin, size, root, at)
    assert made.signed_at == datetime.fromtimestamp(at, UTC)


@given(st.lists(st.tuples(st.sampled_from(["w.example/1", "ζ/witness", ORIGIN]), st.binary(min_size=5, max_size=99))))
def test_signatures_of_other_keys_are_kept_and_change_nothing(others: list[tuple[str, bytes]]) -> None:
    if len({(name, data[:4]) for name, data in others}) < len(others):
        others = others[:1]
    note = NOTE + "".join(line(name, data) for name, data in others)
    found = Checkpoint.parse(note)
    assert found == replace(Checkpoint.parse(NOTE), note=note)
    assert checkpoints.verify(found, PUBLIC)


@given(st.data())
def test_one_flipped_bit_anywhere_is_refused_or_does_not_verify(data: st.DataObject) -> None:
    changed = bytearray(NOTE.encode())
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = Checkpoint.parse(changed.decode(errors="surrogateescape"))
    except InvalidInput:
        return
    assert not checkpoints.verify(found, PUBLIC)


@given(st.data())
def test_a_changed_field_does_not_verify(data: st.DataObject) -> None:
    made = checkpoints.sign(KEY, ORIGIN, 5, ROOT, AT)
    bit = 1 << data.draw(st.integers(0, 62))
    root = bytearray(ROOT)
    root[data.draw(st.integers(0, 31))] ^= data.draw(st.integers(1, 255))
    assert not checkpoints.verify(replace(made, size=made.size ^ bit), PUBLIC)
    assert not checkpoints.verify(replace(made, time=made.time ^ bit), PUBLIC)
    assert not checkpoints.verify(replace(made, root=bytes(root)), PUBLIC)
    assert not checkpoints.verify(replace(made, origin=origin_of(public_bytes(NEXT))), PUBLIC)
    public = bytearray(PUBLIC)
    public[data.draw(st.integers(0, 31))] ^= data.draw(st.integers(1, 255))
    assert not checkpoints.verify(made, bytes(public))


@given(st.binary(max_size=40))
def test_a_malformed_key_verifies_nothing_and_raises_nothing(public: bytes) -> None:
    assert not checkpoints.verify(Checkpoint.parse(NOTE), public)


def test_another_key_does_not_do() -> None:
    assert not checkpoints.verify(checkpoints.sign(NEXT, ORIGIN, 5, ROOT, AT), PUBLIC)
    assert not checkpoints.verify(checkpoints.sign(NEXT, ORIGIN, 5, ROOT, AT, PUBLIC), PUBLIC)


def test_the_cosignature_is_verified_too() -> None:
    """The time is not under the first signature: another one under the same key hash must not pass."""
    lines = NOTE.splitlines(keepends=True)
    later = checkpoints.sign(KEY, ORIGIN, 4, ROOT, AT + 1).note.splitlines(keepends=True)[5]
    moved = Checkpoint.parse("".join([*lines[:5], later]))
    assert moved.time == AT + 1
    assert not checkpoints.verify(moved, PUBLIC)


LINES = NOTE.splitlines(keepends=True)
BODY, FIRST, SECOND = "".join(LINES[:4]), LINES[4], LINES[5]
OTHER = line("w.example/1", bytes(76))

MALFORMED: dict[str, tuple[str, str]] = {
    "nothing": ("", "line end"),
    "no text": ("\n", "line 1, the origin"),
    "no line end": (NOTE[:-1], "line end"),
    "windows line ends": (NOTE.replace("\n", "\r\n"), "line 1, the origin"),
    "no signatures": (BODY, "line 5, the signature, is missing"),
    "no cosignature": (BODY + FIRST, "line 6, the cosignature, is missing"),
    "another order": (BODY + SECOND + FIRST, "line 5, the signature, is"),
    "no empty line": (NOTE.replace("\n\n", "\n"), "line 4, the separator"),
    "an empty line more": (NOTE + "\n", "line 7, a signature"),
    "an extension": (NOTE.replace("\n\n", "\nextension\n\n"), "line 4, the separator"),
    "another origin's form": (NOTE.replace("ratchet.log/", "example.com/"), "line 1, the origin"),
    "a long origin": (NOTE.replace("ratchet.log/", "ratchet.log/0"), "line 1, the origin"),
    "capital digits of the origin": (NOTE.replace("56475aa7", "56475AA7"), "line 1, the origin"),
    "a signature of another name": (NOTE.replace("— ratchet.log/5", "— ratchet.log/6"), "not of the origin"),
    "no size": (NOTE.replace("\n3\n", "\n\n"), "line 2, the size"),
    "a leading zero": (NOTE.replace("\n3\n", "\n03\n"), "line 2, the size"),
    "two zeros": (NOTE.replace("\n3\n", "\n00\n"), "line 2, the size"),
    "a sign": (NOTE.replace("\n3\n", "\n+3\n"), "line 2, the size"),
    "a negative size": (NOTE.replace("\n3\n", "\n-3\n"), "line 2, the size"),
    "a space": (NOTE.replace("\n3\n", "\n3 \n"), "line 2, the size"),
    "digits of another script": (NOTE.replace("\n3\n", "\n\u0663\n"), "line 2, the size"),
    "a size too large": (NOTE.replace("\n3\n", f"\n{2**63}\n"), "not below"),
    "a short root": (NOTE.replace(LINES[2], b64encode(ROOT[1:]).decode() + "\n"), "line 3, the root"),
    "a long root": (NOTE.replace(LINES[2], b64encode(ROOT + b"x").decode() + "\n"), "line 3, the root"),
    "a root in hex": (NOTE.replace(LINES[2], ROOT.hex() + "\n"), "line 3, the root"),
    "base64 for urls": (NOTE.replace("fH1+f4", "fH1-f4"), "line 3, the root"),
    "no padding": (NOTE.replace("BgoM=\n", "BgoM\n"), "line 3, the root"),
    "bits after the root": (NOTE.replace("BgoM=\n", "BgoN=\n"), "line 3, is not canonical"),
    "bits after the signature": (NOTE.replace("uLws=\n", "uLwt=\n"), "line 5, is not canonical"),
    "bits after the cosignature": (NOTE.replace("5JDQ==\n", "5JDR==\n"), "line 6, is not canonical"),
    "a hyphen for the dash": (NOTE.replace("—", "-"), "line 5, the signature"),
    "two spaces": (NOTE.replace("4c V9", "4c  V9"), "line 5, the signature"),
    "a short signature": (BODY + line(ORIGIN, bytes(67)) + SECOND, "line 5, the signature"),
    "a long signature": (BODY + line(ORIGIN, bytes(69)) + SECOND, "line 5, the signature"),
    "a short cosignature": (BODY + FIRST + line(ORIGIN, bytes(75)), "line 6, the cosignature"),
    "a time after the year 9999": (
        BODY + FIRST + line(ORIGIN, bytes(4) + (LAST_SECOND + 1).to_bytes(8, "big") + bytes(64)),
        "year 9999",
    ),
    "a key twice": (NOTE + OTHER + OTHER, "twice"),
    "the log's key twice": (NOTE + FIRST, "twice"),
    "a nameless witness": (NOTE + OTHER.replace("w.example/1", ""), "line 7, a signature"),
    "a plus in a name": (NOTE + OTHER.replace("w.", "w+"), "line 7, a signature"),
    "a space in a name": (NOTE + OTHER.replace("w.", "w\u2003"), "line 7, a signature"),
    "a control character in a name": (NOTE + OTHER.replace("w.", "w\x1b"), "line 7, a signature"),
    "base64 of another length": (NOTE + OTHER.replace("A", "", 1), "line 7, is not base64"),
    "a witness without a signature": (NOTE + line("w.example/1", bytes(4)), "not more than 4"),
    "text after the signatures": (NOTE + "text\n", "line 7, a signature"),
    "two notes": (NOTE + NOTE, "line 7, a signature"),
    "half a character": (NOTE + "\ud800\n", "not UTF-8"),
    "too many signatures": (NOTE + "".join(line(f"w{n}", bytes(2500)) for n in range(20)), "at most"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_note_is_refused_with_its_line(name: str) -> None:
    note, reason = MALFORMED[name]
    assert note != NOTE
    for parse, error in ((Checkpoint.parse, InvalidInput), (checkpoints.received, CorruptData)):
        with pytest.raises(error, match=f"no checkpoint: .*{reason}"):
            parse(note)


@given(st.text(max_size=200) | st.text(alphabet="ratchet.log/0123456789abf=\n— ", max_size=200))
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="no checkpoint"):
        Checkpoint.parse(text)


@given(st.data())
def test_a_note_without_some_of_its_text_is_refused(data: st.DataObject) -> None:
    start, stop = sorted(data.draw(st.lists(st.integers(0, len(NOTE)), min_size=2, max_size=2, unique=True)))
    with pytest.raises(InvalidInput, match="no checkpoint"):
        Checkpoint.parse(NOTE[:start] + NOTE[stop:])


@pytest.mark.parametrize(
    "made",
    [
        lambda: checkpoints.sign(KEY, ORIGIN, 3, ROOT[1:], AT),
        lambda: checkpoints.sign(KEY, ORIGIN, -1, ROOT, AT),
        lambda: checkpoints.sign(KEY, ORIGIN, 2**63, ROOT, AT),
        lambda: checkpoints.sign(KEY, ORIGIN, 3, ROOT, -1),
        lambda: checkpoints.sign(KEY, ORIGIN, 3, ROOT, LAST_SECOND + 1),
        lambda: checkpoints.sign(KEY, "example.com/log", 3, ROOT, AT),
        lambda: checkpoints.sign(KEY, f"{ORIGIN}\n", 3, ROOT, AT),
    ],
)
def test_no_note_is_signed_that_could_not_be_read(made: Callable[[], Checkpoint]) -> None:
    with pytest.raises(InvalidInput):
        made()


def test_the_newest_is_the_one_of_the_largest_size() -> None:
    known = [checkpoints.sign(KEY, ORIGIN, size, ROOT, AT) for size in (3, 9, 7)]
    assert checkpoints.newest(known) == known[1]
    assert checkpoints.newest([]) is None
