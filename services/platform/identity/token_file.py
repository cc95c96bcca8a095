"""The file of tokens (RATCHET_TOKENS), one JSON object per line: name, role and expiry.

The file holds hashes, never a token: a token is shown once, to its creator.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from ratchet.atomic_file import write_atomically
from ratchet.errors import InvalidInput, NotAllowed, NotFound

FILE_NAME = "tokens.jsonl"

Role: TypeAlias = Literal["viewer", "trainer", "promoter", "admin", "service:trainer", "service:knowledge"]
ROLES: tuple[Role, ...] = get_args(Role)

PREFIX = "ratchet_"
"""Lets secret scanners recognise a token."""
RANDOM_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.@_-]{0,63}")
SHA256 = re.compile(r"[0-9a-f]{64}")
ID_LENGTH = 8


@dataclass(frozen=True)
class Token:
    """The record of a token: owner, role, hash and expiry.

    Every fact carries the owner's `name` as actor; `sha256` is the hash of the token's text in hex.
    """

    name: str
    role: Role
    sha256: str
    created: datetime
    expires: datetime | None = None

    @property
    def id(self) -> str:
        """Distinguishes the tokens of one name."""
        return self.sha256[:ID_LENGTH]

    def has_expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


def digest(token: str) -> str:
    """The SHA-256 of a token, in hex.

    A plain hash is enough: a token has 256 random bits, beyond any brute force. Salts and slow hashes protect passwords
    chosen by people. A lookup by hash leaks nothing through its duration.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def read(file: Path) -> tuple[Token, ...]:
    """The tokens of a file. NotFound, NotAllowed (others may write it) or InvalidInput, which names the line."""
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            content = opened.read()
    except FileNotFoundError:
        make = f"ratchet tokens add NAME --role ROLE --file {file}"
        raise NotFound(f"the file of tokens {file} is not there; make the first token with {make}") from None
    except OSError as error:
        raise NotAllowed(
            f"the file of tokens {file} can't be read ({error.strerror}); let this user read it"
        ) from error
    if mode & 0o022:
        raise NotAllowed(f"others may write the file of tokens {file}, and so let anybody in; run: chmod 600 {file}")
    lines = enumerate(content.decode(errors="replace").splitlines(), start=1)
    return tuple(_parse_token(line, f"{file}, line {number}") for number, line in lines if line.strip())


def add(file: Path, name: str, role: Role, now: datetime, days: int | None = None) -> tuple[str, Token]:
    """Adds a token for `name`, besides its existing tokens; returns its text and its record.

    The text is stored nowhere.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} can't own a token: a name is 1 to 64 of A-Z a-z 0-9 . @ _ - and begins with a letter or digit",
            fields={"name": "not a name"},
        )
    text = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    created = now.replace(microsecond=0)
    made = Token(name, role, digest(text), created, created + timedelta(days=days) if days else None)
    with _file_lock(file, make=True):
        write_atomically(file, "".join(map(_to_line, [*(read(file) if file.exists() else ()), made])))
    return text, made


def revoke(file: Path, name: str, older: bool = False) -> Sequence[Token]:
    """Removes the tokens of `name`, with `older` all but the newest; returns the removed ones. NotFound without any."""
    with _file_lock(file):
        known = read(file)
        own = [token for token in known if token.name == name]
        if not own:
            raise NotFound(f"{name} has no token in {file}; see ratchet tokens list --file {file}")
        revoked = own[:-1] if older else own
        write_atomically(file, "".join(_to_line(token) for token in known if token not in revoked))
    return revoked


def _parse_token(line: str, where: str) -> Token:
    try:
        found = json.loads(line)
        expires = found.get("expires")
        made = Token(
            name=found["name"],
            role=found["role"],
            sha256=found["sha256"],
            created=datetime.fromisoformat(found["created"]).astimezone(UTC),
            expires=datetime.fromisoformat(expires).astimezone(UTC) if expires else None,
        )
        sound = NAME.fullmatch(made.name) and made.role in ROLES and SHA256.fullmatch(made.sha256)
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = None
    if not sound:
        raise InvalidInput(
            f"{where}: not a token: name, role ({', '.join(ROLES)}), sha256 (64 hex digits), created and, if it ends,"
            " expires (RFC 3339); take the line out and make the token anew with ratchet tokens add NAME --role ROLE"
        )
    return made


def _to_line(token: Token) -> str:
    written = {
        "name": token.name,
        "role": token.role,
        "sha256": token.sha256,
        "created": _time(token.created),
        **({"expires": _time(token.expires)} if token.expires else {}),
    }
    return json.dumps(written) + "\n"


def _time(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


@contextmanager
def _file_lock(file: Path, make: bool = False) -> Iterator[None]:
    """Serialises changes of the file; `make` creates the folder.

    The lock is on the folder, since each change replaces the file.
    """
    try:
        if make:
            file.parent.mkdir(parents=True, exist_ok=True)
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)
    except OSError as error:
        raise NotAllowed(
            f"the file of tokens {file} can't be changed ({error.strerror}); name another with --file"
        ) from error
