"""Both distributions have one version, and each needs the other in that version."""

import re
import tomllib

from packaging.requirements import Requirement

from tests.support.running import ROOT

CLIENT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SERVER = tomllib.loads((ROOT / "services/pyproject.toml").read_text())["project"]
OURS = {CLIENT["name"], SERVER["name"]}


def requirements(project: dict[str, dict[str, list[str]]]) -> list[Requirement]:
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for group in groups for text in group]


def test_there_is_one_version() -> None:
    assert CLIENT["version"] == SERVER["version"]
    pins = {str(each.specifier) for each in requirements(SERVER) if each.name in OURS}
    pins |= {str(each.specifier) for each in requirements(CLIENT) if each.name == SERVER["name"]}
    assert pins == {f"=={CLIENT['version']}"}


def test_dependencies_are_ranges_that_hold_the_locked_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    locked = {name.lower().replace("_", "-"): version for name, _, version in (line.partition("==") for line in lines)}
    dev = set(CLIENT["optional-dependencies"]["dev"])
    for need in (*requirements(CLIENT), *requirements(SERVER)):
        if need.name in OURS or str(need) in dev or need.extras:
            continue
        assert {each.operator for each in need.specifier} <= {">=", "<"}, need
        assert need.specifier.contains(locked[need.name.lower()]), need


def test_every_direct_dependency_has_its_licence_in_the_notices() -> None:
    dev = set(CLIENT["optional-dependencies"]["dev"])
    for project, notices in ((CLIENT, "THIRD_PARTY.md"), (SERVER, "services/THIRD_PARTY.md")):
        listed = set(re.findall(r"^\| ([a-z-]+) \|", (ROOT / notices).read_text(), re.MULTILINE)) - {"package"}
        assert listed == {need.name for need in requirements(project) if str(need) not in dev} - OURS


def test_the_client_names_no_module_of_the_server() -> None:
    files = [path for path in (ROOT / "ratchet").rglob("*.py") if "_pb2" not in path.name]
    assert files
    assert [path for path in files if re.search(r"\bservices\.[a-z]+\.|import_module\(f", path.read_text())] == []
