"""The interceptor that authenticates a caller by token and authorizes the method by role."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ratchet.client.channel import AUTHORIZATION_KEY, SCHEME
from ratchet.client.credentials import FILE_VARIABLE, TOKEN_VARIABLE
from ratchet.client.services import SERVICES
from ratchet.errors import NotAllowed, PreconditionFailed, Unauthenticated
from services.platform.identity import roles
from services.platform.identity.token_cache import TokenCache
from services.platform.identity.token_file import Token
from services.platform.interceptors import Call, Caller

NEW_TOKEN = f"ratchet tokens add NAME --role ROLE makes one, and {TOKEN_VARIABLE} holds it"


class Identity:
    """An interceptor of every call; `clock` decides the expiry of tokens.

    Unauthenticated without a valid token, NotAllowed without the role. The caller's name is the token's; only a service
    may act in the name of another caller, whom that service has authenticated.
    """

    def __init__(self, tokens: TokenCache, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tokens, self._clock = tokens, clock

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Identity | None:
        """Loads the tokens of the file that RATCHET_TOKENS names; None if the variable is not set."""
        file = environ.get(FILE_VARIABLE)
        return cls(TokenCache(Path(file))) if file else None

    def require_service(self, service: str, environ: Mapping[str, str] = os.environ) -> None:
        """PreconditionFailed unless RATCHET_TOKEN holds a valid token of the role of `service`."""
        needed = SERVICES[service].role
        text = environ.get(TOKEN_VARIABLE, "").strip()
        known = self._tokens.find(text)
        expired = known is not None and known.has_expired(self._clock())
        if known is not None and known.role == needed and not expired:
            return
        found = f"that of {known.name}, {known.role}" if known else "not in force" if text else "not set"
        if expired:
            found += ", and has expired"
        raise PreconditionFailed(
            f"{TOKEN_VARIABLE} is {found}; the {service} needs a token of role {needed} to call the others: put what"
            f" ratchet tokens add {service} --role {needed} prints into its {TOKEN_VARIABLE}"
        )

    @contextmanager
    def __call__(self, call: Call) -> Iterator[None]:
        claimed = Caller.claimed(call.context)
        Caller("anonymous", claimed.correlation_id).identify(call.context)
        token = self._token(call)
        acting = roles.is_service(token.role) and claimed.actor != "anonymous"
        actor = claimed.actor if acting else token.name
        Caller(actor, claimed.correlation_id, token.role).identify(call.context)
        if not roles.may(token.role, call.method):
            raise _refusal(call.method, token)
        yield

    def _token(self, call: Call) -> Token:
        """The token of the call; Unauthenticated unless it is valid."""
        sent = [str(value) for key, value in call.context.invocation_metadata() if key == AUTHORIZATION_KEY]
        scheme, _, text = sent[0].partition(" ") if len(sent) == 1 else ("", "", "")
        if scheme.lower() != SCHEME:
            raise Unauthenticated(f"{call.method} needs a token; {NEW_TOKEN}")
        token = self._tokens.find(text)
        if token is None:
            raise Unauthenticated(
                f"{call.method}: this token is not in force: it was revoked, or never made; {NEW_TOKEN}"
            )
        if token.expires is not None and token.has_expired(self._clock()):
            raise Unauthenticated(
                f"{call.method}: the token of {token.name} expired at {token.expires.isoformat()}; make another with"
                f" ratchet tokens add {token.name} --role {token.role}"
            )
        return token


def _refusal(method: str, token: Token) -> NotAllowed:
    least = roles.METHODS.get(method)
    if roles.is_service(token.role):
        step = "a service may not do that: use the token of a person"
    elif least is None or roles.is_service(least):
        step = "only services do that, for those whom they have let in: use the trainer's and knowledge's methods"
    else:
        step = f"an administrator gives it with ratchet tokens add {token.name} --role {least}"
    return NotAllowed(
        f"{method} needs the role {least or 'of nobody'}, {token.name} has {token.role}; {step}",
        metadata={"method": method, "caller": token.name, "role": token.role, "needed": least or ""},
    )
