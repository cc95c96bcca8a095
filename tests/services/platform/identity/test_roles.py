"""The table of roles is complete, documented, and gives no role more than it says."""

import re
from itertools import pairwise
from pathlib import Path
from typing import get_args

import pytest

from services.platform.identity import roles
from services.platform.identity.token_file import Role
from tests.support.every_method import METHODS

ROOT = Path(__file__).parents[4]
WRITTEN_BY_SERVICES = {
    "Append",
    "RegisterDataset",
    "RequestTraining",
    "FailTraining",
    "RecordTraining",
    "RecordEvidence",
}


def test_every_method_of_every_service_has_a_role_and_nothing_else_has_one() -> None:
    assert set(roles.METHODS) == set(METHODS)


def test_no_contract_is_left_out_of_that_comparison() -> None:
    declared = re.findall(
        r"^service (\w+)", "\n".join(file.read_text() for file in (ROOT / "protos").rglob("*.proto")), re.MULTILINE
    )
    assert sorted(declared) == sorted({method.split("/")[1].rpartition(".")[2] for method in METHODS})


def test_each_person_may_do_what_the_one_below_may_and_more() -> None:
    may = [{method for method in METHODS if roles.may(role, method)} for role in roles.PERSONS]
    assert roles.PERSONS == ("viewer", "trainer", "promoter", "admin")
    assert all(lower < higher for lower, higher in pairwise(may))


def test_what_services_write_no_person_writes() -> None:
    own = {method for method in METHODS if roles.is_service(roles.METHODS[method])}
    assert {method.rpartition("/")[2] for method in own} >= WRITTEN_BY_SERVICES
    assert not [method for method in own for role in roles.PERSONS if roles.may(role, method)]


@pytest.mark.parametrize("role", [role for role in get_args(Role) if roles.is_service(role)])
def test_a_service_reads_and_writes_its_own_facts_alone(role: Role) -> None:
    assert {roles.METHODS[method] for method in METHODS if roles.may(role, method)} == {role, "viewer"}


@pytest.mark.parametrize("role", get_args(Role))
def test_a_method_that_the_table_does_not_have_is_nobodys(role: Role) -> None:
    assert not roles.may(role, "/ratchet.registry.v1.RegistryService/ForgetEverything")


def test_a_viewer_changes_nothing() -> None:
    reads = ("Get", "List", "Read", "Subscribe", "Compare", "Prove", "Export", "Verify", "Watch", "Predict")
    may = [method.rpartition("/")[2] for method in METHODS if roles.may("viewer", method)]
    assert [name for name in may if not name.startswith(reads)] == []


def test_the_documented_table_is_that_of_the_code() -> None:
    text = (ROOT / "docs/security.md").read_text()
    rows = re.findall(r"^\| `([\w:]+)` \| (.+) \|$", text, re.MULTILINE)
    documented = {
        f"{service}/{method}": role
        for role, cell in rows
        for service, methods in re.findall(r"(\w+): ((?:`\w+`(?:, )?)+)", cell)
        for method in re.findall(r"`(\w+)`", methods)
    }
    assert documented == {method.rpartition(".")[2]: role for method, role in roles.METHODS.items()}
