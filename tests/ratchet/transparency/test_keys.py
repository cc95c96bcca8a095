"""Keys of the log: their introductions, and their files."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ratchet.errors import CorruptData, InvalidInput, NotAllowed, NotFound
from ratchet.transparency.keys import (
    ED25519,
    Key,
    TrustedKey,
    check_introduction,
    create_private,
    introduce,
    introduction,
    is_signed,
    key_id,
    key_in_force,
    load_private,
    load_trusted,
    origin_of,
    parse_vkey,
    public_bytes,
    vkey,
    write_public,
)

# RFC 8032, section 7.1: secret key, public key, message, signature.
VECTORS = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NEXT = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
PUBLIC = public_bytes(KEY)
ROOT = bytes(range(100, 132))


@pytest.mark.parametrize(("secret", "public", "message", "signature"), VECTORS)
def test_signatures_are_those_of_the_rfc(secret: str, public: str, message: str, signature: str) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert public_bytes(key).hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert is_signed(bytes.fromhex(message), bytes.fromhex(signature), bytes.fromhex(public))


def test_the_id_of_a_key_is_its_sha256() -> None:
    assert key_id(b"\0" * 32) == "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925"


def test_the_key_in_force_is_the_last_one_introduced_at_the_size_or_before() -> None:
    first, second = Key(2, PUBLIC), Key(9, public_bytes(NEXT))
    found = [key_in_force([first, second], size) for size in (1, 2, 8, 9, 10)]
    assert found == [None, first, first, second, second]


def test_an_introduction_is_signed_by_the_new_key_and_the_one_before() -> None:
    first = introduce(KEY, None, 0, ROOT, "first")
    assert check_introduction(first, 0, ROOT, None) == Key(1, PUBLIC)
    second = introduce(NEXT, KEY, 7, ROOT, "yearly")
    assert check_introduction(second, 7, ROOT, PUBLIC) == Key(8, public_bytes(NEXT))


@pytest.mark.parametrize("place", [(8, ROOT), (7, ROOT[::-1])], ids=["another position", "another log"])
def test_an_introduction_fits_no_other_place(place: tuple[int, bytes]) -> None:
    fact = introduce(NEXT, KEY, 7, ROOT, "yearly")
    with pytest.raises(CorruptData, match="did not sign"):
        check_introduction(fact, *place, PUBLIC)


def test_an_introduction_without_the_key_before_it_is_refused() -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
    alone = introduce(NEXT, None, 7, ROOT, "")
    with pytest.raises(CorruptData, match="replaces no key"):
        check_introduction(alone, 7, ROOT, PUBLIC)
    with pytest.raises(CorruptData, match="replaces"):
        check_introduction(introduce(NEXT, stranger, 7, ROOT, ""), 7, ROOT, PUBLIC)
    forged = introduce(NEXT, KEY, 7, ROOT, "")
    forged.signature_of_replaced = stranger.sign(introduction(public_bytes(NEXT), "", 7, ROOT, ""))
    with pytest.raises(CorruptData, match="did not sign the introduction of its successor"):
        check_introduction(forged, 7, ROOT, PUBLIC)
    excess = introduce(KEY, None, 0, ROOT, "")
    excess.signature_of_replaced = b"x"
    with pytest.raises(CorruptData, match="is the first"):
        check_introduction(excess, 0, ROOT, None)


@given(st.data())
def test_one_flipped_byte_of_an_introduction_fails(data: st.DataObject) -> None:
    fact = introduce(NEXT, KEY, 7, ROOT, "because")
    name = data.draw(
        st.sampled_from(["key_id", "public_key", "replaces", "signature", "signature_of_replaced", "reason"])
    )
    value = getattr(fact, name)
    text = isinstance(value, str)
    changed = bytearray(value.encode() if text else value)
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 127 if text else 255))
    setattr(fact, name, changed.decode() if text else bytes(changed))
    with pytest.raises(CorruptData):
        check_introduction(fact, 7, ROOT, PUBLIC)


def test_keys_are_kept_in_the_files_of_openssl(tmp_path: Path) -> None:
    key = create_private(tmp_path / "key")
    write_public(tmp_path / "pub", public_bytes(key))
    (tmp_path / "raw").write_bytes(public_bytes(key))
    assert (tmp_path / "key").read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----")
    assert (tmp_path / "pub").read_bytes().startswith(b"-----BEGIN PUBLIC KEY-----")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert public_bytes(load_private(tmp_path / "key")) == public_bytes(key)
    expected = TrustedKey(public_bytes(key))
    assert load_trusted(tmp_path / "pub") == load_trusted(str(tmp_path / "raw")) == expected
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "key")


def test_a_private_key_that_others_may_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    create_private(tmp_path / "key")
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(NotAllowed, match=f"chmod 600 {tmp_path / 'key'}"):
        load_private(tmp_path / "key")


def test_files_that_are_not_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="ratchet log key new"):
        load_private(tmp_path / "none")
    with pytest.raises(NotFound, match=r"signing\.pub"):
        load_trusted(tmp_path / "none")
    (tmp_path / "junk").write_text("junk")
    (tmp_path / "junk").chmod(0o600)
    with pytest.raises(InvalidInput, match="not a private key"):
        load_private(tmp_path / "junk")
    with pytest.raises(InvalidInput, match="not a public key"):
        load_trusted(tmp_path / "junk")


ORIGIN = origin_of(PUBLIC)
VKEY = "ratchet.log/56475aa75463474c+57d3fe01+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"


def test_a_vkey_is_accepted_where_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "vkey").write_text(VKEY + "\n")
    assert vkey(ORIGIN, PUBLIC) == VKEY
    assert load_trusted(VKEY) == load_trusted(tmp_path / "vkey") == TrustedKey(PUBLIC, ORIGIN)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_a_vkey_comes_back_the_same(first: bytes, key: bytes) -> None:
    text = vkey(origin_of(first), key)
    assert parse_vkey(text) == TrustedKey(key, origin_of(first))
    assert text.split("+", 2)[2] == b64encode(bytes([ED25519]) + key).decode()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (VKEY[:-1], "not a vkey"),
        (VKEY + "A", "not a vkey"),
        (VKEY.replace("+57d3fe01", ""), "not a vkey"),
        ("example.com/log+57d3fe01+" + VKEY[-44:], "not a vkey"),
        (VKEY.replace("57d3fe01", "57d3fe02"), "not copied whole"),
        (VKEY.replace("56475aa7", "56475aa8"), "not copied whole"),
        (VKEY.replace("VTG4", "VTG5"), "not copied whole"),
        (VKEY.replace("+AQOh", "+BAOh"), "type 0x04"),
    ],
)
def test_a_vkey_that_was_changed_is_refused(tmp_path: Path, wrong: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_vkey(wrong)
    (tmp_path / "vkey").write_text(wrong)
    with pytest.raises(InvalidInput):
        load_trusted(tmp_path / "vkey")


def test_a_key_with_an_origin_is_trusted_for_that_log_alone() -> None:
    assert TrustedKey(PUBLIC, ORIGIN).admits(ORIGIN)
    assert not TrustedKey(PUBLIC, ORIGIN).admits(origin_of(public_bytes(NEXT)))
    assert TrustedKey(PUBLIC).admits(ORIGIN)
