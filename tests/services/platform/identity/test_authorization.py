"""Who is let in: each role against each method, over real servers; who it is cannot be chosen."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ratchet.client import Client
from ratchet.client.credentials import Credentials
from ratchet.client.transport import ACTOR_KEY, CORRELATION_KEY
from ratchet.errors import NotAllowed, Unauthenticated
from services.platform.identity import Identity, roles, token_file
from services.platform.identity.token_cache import TokenCache
from services.platform.identity.token_file import ROLES, Role
from services.platform.interceptors import Call, Caller
from tests.support.every_method import METHODS, Callee, bearer, call, serving
from tests.support.identity import OWNERS, Secured

GET_MODEL = "/ratchet.registry.v1.RegistryService/GetModel"
PROMOTE = "/ratchet.registry.v1.RegistryService/PromoteModel"
APPEND = "/ratchet.eventlog.v1.EventLogService/Append"
ACTING = ("ratchet-actor", "somebody@else")
WRITES = sorted(method for method, role in roles.METHODS.items() if role != "viewer")
REFUSED = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED


@pytest.fixture(scope="module")
def callee(secured: Secured) -> Iterator[Callee]:
    with serving(Identity(TokenCache(secured.file))) as made:
        yield made


@pytest.fixture(scope="module")
def channel(callee: Callee) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(callee.address) as made:
        yield made


@pytest.mark.parametrize("role", ROLES)
def test_a_role_gets_through_to_its_methods_and_no_further(
    callee: Callee, channel: grpc.Channel, secured: Secured, role: Role
) -> None:
    for method, least in roles.METHODS.items():
        before = len(callee.callers)
        code, said = call(channel, method, bearer(secured.token[role]))
        assert (code is grpc.StatusCode.OK) == roles.may(role, method), (method, said)
        assert len(callee.callers) - before == roles.may(role, method)
        if not roles.may(role, method):
            assert code is grpc.StatusCode.PERMISSION_DENIED
            assert said.startswith(f"{method} needs the role {least}, {OWNERS[role]} has {role}; ")


@pytest.mark.parametrize("method", METHODS)
def test_without_a_token_nobody_gets_through(callee: Callee, channel: grpc.Channel, method: str) -> None:
    before = len(callee.callers)
    code, said = call(channel, method)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "ratchet tokens add NAME --role ROLE" in said
    assert len(callee.callers) == before


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_may_be_written_in_any_case(channel: grpc.Channel, secured: Secured, scheme: str) -> None:
    sent = "authorization", f"{scheme} {secured.token['viewer']}"
    assert call(channel, GET_MODEL, sent)[0] is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer guessed", "Basic {}", "bearer{}", "{}", "Bearer {} "]
)
def test_what_is_no_token_in_force_is_refused(channel: grpc.Channel, secured: Secured, header: str) -> None:
    sent = header.format(secured.token["admin"])
    code, said = call(channel, GET_MODEL, ("authorization", sent))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert secured.token["admin"] not in said
    assert "guessed" not in said


def test_two_tokens_are_one_too_many(channel: grpc.Channel, secured: Secured) -> None:
    both = bearer(secured.token["viewer"]), bearer(secured.token["admin"])
    assert call(channel, GET_MODEL, *both)[0] is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", WRITES)
def test_a_person_cannot_write_in_another_name(
    callee: Callee, channel: grpc.Channel, secured: Secured, method: str
) -> None:
    for role in roles.PERSONS:
        if roles.may(role, method):
            assert call(channel, method, ACTING, bearer(secured.token[role]))[0] is grpc.StatusCode.OK
            assert (callee.callers[-1].actor, callee.callers[-1].role) == (OWNERS[role], role)


@pytest.mark.parametrize("method", [method for method in WRITES if roles.is_service(roles.METHODS[method])])
def test_a_service_writes_in_the_name_of_its_caller_or_in_its_own(
    callee: Callee, channel: grpc.Channel, secured: Secured, method: str
) -> None:
    role = roles.METHODS[method]
    for metadata, actor in (((ACTING,), "somebody@else"), ((), OWNERS[role])):
        assert call(channel, method, *metadata, bearer(secured.token[role]))[0] is grpc.StatusCode.OK
        assert callee.callers[-1].actor == actor


def test_whoever_is_refused_is_not_seen_as_who_it_says_it_is(secured: Secured) -> None:
    seen: list[Caller] = []

    @contextmanager
    def watching(made: Call) -> Iterator[None]:
        try:
            yield
        finally:
            seen.append(Caller.of(made.context))

    with (
        serving(Identity(TokenCache(secured.file)), watching) as callee,
        grpc.insecure_channel(callee.address) as channel,
    ):
        call(channel, PROMOTE, ACTING)
        call(channel, PROMOTE, ACTING, bearer(secured.token["viewer"]))
    assert [(caller.actor, caller.role) for caller in seen] == [("anonymous", ""), ("vera", "viewer")]


def test_the_client_brings_its_token_and_raises_what_was_meant(callee: Callee, secured: Secured) -> None:
    def client(role: Role) -> Client:
        return Client(
            callee.address, callee.address, callee.address, credentials=Credentials(None, secured.token[role])
        )

    with client("viewer") as viewer:
        viewer.get_model("A/range/logistic/v1")
        list(viewer.read_log())
        list(viewer.watch_training("s"))
        assert {caller.actor for caller in callee.callers[-3:]} == {"vera"}
        with pytest.raises(NotAllowed, match="ratchet tokens add vera --role promoter"):
            viewer.promote_model("A/range/logistic/v1", "reason", "")
        with viewer.acting_as("ada") as other, pytest.raises(NotAllowed):
            other.promote_model("A/range/logistic/v1", "reason", "")
    with client("promoter") as promoter:
        promoter.promote_model("A/range/logistic/v1", "reason", "")
        assert callee.callers[-1].actor == "pia"
    with Client(callee.address, credentials=Credentials()) as nobody, pytest.raises(Unauthenticated):
        nobody.get_model("A/range/logistic/v1")


def test_an_expired_token_is_told_so(secured: Secured, tmp_path: Path) -> None:
    made, now = datetime(2026, 1, 1, tzinfo=UTC), [datetime(2026, 1, 30, 23, 59, 59, tzinfo=UTC)]
    token, _ = token_file.add(tmp_path / "tokens", "ann", "viewer", made, days=30)
    with (
        serving(Identity(TokenCache(tmp_path / "tokens"), lambda: now[0])) as callee,
        grpc.insecure_channel(callee.address) as channel,
    ):
        assert call(channel, GET_MODEL, bearer(token))[0] is grpc.StatusCode.OK
        now[0] += timedelta(seconds=1)
        code, said = call(channel, GET_MODEL, bearer(token))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "the token of ann expired at 2026-01-31T00:00:00+00:00" in said
    assert "ratchet tokens add ann --role viewer" in said


def test_the_file_is_followed_without_a_restart(
    secured: Secured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file, now = tmp_path / "tokens", datetime.now(UTC)
    first, _ = token_file.add(file, "ann", "viewer", now)

    def state(token: str) -> grpc.StatusCode:
        return call(channel, GET_MODEL, bearer(token))[0]

    with serving(Identity(TokenCache(file))) as callee, grpc.insecure_channel(callee.address) as channel:
        second, _ = token_file.add(file, "ann", "viewer", now)
        assert [state(first), state(second)] == [grpc.StatusCode.OK] * 2
        token_file.revoke(file, "ann", older=True)
        assert [state(first), state(second)] == [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OK]
        good = file.read_bytes()
        file.write_text("{ half a line")
        assert state(second) is grpc.StatusCode.OK
        assert "what it said before stays in force" in caplog.text
        file.write_bytes(good.replace(token_file.digest(second).encode(), b"0" * 64))
        assert state(second) is grpc.StatusCode.UNAUTHENTICATED, "another file of the same size"
        file.write_bytes(good)
        assert state(second) is grpc.StatusCode.OK
        file.chmod(0o666)
        file.write_bytes(good + b"\n")
        assert state(second) is grpc.StatusCode.OK
        file.unlink()
        assert state(second) is grpc.StatusCode.OK
        file.write_bytes(good)
        file.chmod(0o600)
        token_file.revoke(file, "ann")
        assert [state(first), state(second)] == [grpc.StatusCode.UNAUTHENTICATED] * 2


def test_without_tokens_the_caller_says_who_it_is() -> None:
    with serving(None) as callee, grpc.insecure_channel(callee.address) as channel:
        assert call(channel, PROMOTE, ACTING)[0] is grpc.StatusCode.OK
        assert call(channel, PROMOTE)[0] is grpc.StatusCode.OK
        assert call(channel, PROMOTE, *((key, "x" * 200) for key in (ACTOR_KEY, CORRELATION_KEY)))
    said, nothing, too_long = callee.callers
    assert (said.actor, nothing.actor) == ("somebody@else", "anonymous")
    assert {caller.role for caller in callee.callers} == {""}
    assert (len(too_long.actor), len(too_long.correlation_id)) == (128, 128)


def test_health_and_the_public_contract_are_open(channel: grpc.Channel) -> None:
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    [listed] = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(iter([asked]), timeout=10)
    assert "ratchet.registry.v1.RegistryService" in {found.name for found in listed.list_services_response.service}


def test_tokens_reach_no_log_line_and_no_error(
    channel: grpc.Channel, secured: Secured, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = [call(channel, method, ACTING, bearer(token))[1] for method in METHODS for token in secured.token.values()]
    assert sum(bool(text) for text in said) > 20
    file = tmp_path / "tokens"
    shutil.copy(secured.file, file)
    tokens = TokenCache(file)
    unknown = token_file.revoke(file, OWNERS["viewer"])
    assert unknown
    with serving(Identity(tokens)) as callee, grpc.insecure_channel(callee.address) as other:
        said.append(call(other, APPEND, bearer(secured.token["viewer"]))[1])
    assert "is not in force" in said[-1]
    for token in secured.token.values():
        assert token not in caplog.text
        assert not [text for text in said if token in text]
        assert token not in repr(Credentials(None, token))
        assert token not in file.read_text() + repr(token_file.read(file))
