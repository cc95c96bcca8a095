"""The set-up commands of docs/deployment.md run as printed, and make what compose file and manifests ask for."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography import x509
from ruamel.yaml import YAML

from ratchet.client.credentials import Credentials
from ratchet.client.services import SERVICES
from ratchet.transparency.keys import load_private, load_trusted, public_bytes
from services.platform.identity import token_file
from tests.support.manifests import PODS, ROOT, manifests, secrets

DOCUMENT = (ROOT / "docs/deployment.md").read_text()
COMPOSE = (ROOT / "deploy/compose.yaml").read_text()

ROLES = {name: service.role for name, service in SERVICES.items() if service.role}
"""Of the services that call others."""

DOCKER = """#!{python}
# In place of docker: `docker run` runs the program of the image here, on the folder that is mounted.
import os, sys
words = sys.argv[1:]
if words[0] != "run":
    sys.exit(0)
at = words.index("ratchet-service:0.1.0")
options, given = words[:at], words[at + 1:]
folder, mounted = options[options.index("--volume") + 1].split(":")
program = options[options.index("--entrypoint") + 1] if "--entrypoint" in options else "ratchet"
if program != "chown":
    os.execvp(program, [program, *(word.replace(mounted, folder) for word in given)])
"""

KUBECTL = """#!/bin/sh
# In place of kubectl: secrets are rendered, and nothing is sent.
case "$*" in *"create secret"*) {kubectl} "$@" --dry-run=client --output yaml; echo ---;; esac >> "$HOME/secrets.yaml"
"""


def block(name: str) -> str:
    """The commands behind the mark `tested: name`."""
    found = re.search(rf"<!-- tested: {name} -->\n```bash\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found, name
    return found[1]


class Person:
    """Who types the commands in a checkout; docker and kubectl are stand-ins."""

    def __init__(self, folder: Path) -> None:
        self.home, self.checkout, self._programs = folder / "home", folder / "checkout", folder / "bin"
        for made in (self.home, self.checkout / "deploy", self._programs):
            made.mkdir(parents=True)
        self.install("docker", DOCKER.format(python=sys.executable))

    def install(self, name: str, program: str) -> None:
        (self._programs / name).write_text(program)
        (self._programs / name).chmod(0o755)

    def types(self, *blocks: str) -> dict[str, str]:
        """Runs the blocks in one shell, which ends at the first failure; the variables that they export."""
        path = f"{self._programs}:{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
        given = {name: f"of-{name}" for name in ("DATABASE_PASSWORD", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        done = subprocess.run(
            ["bash", "-c", "\n".join(("set -euo pipefail", *blocks, "env --null > exported"))],
            env={"PATH": path, "HOME": str(self.home), **given},
            cwd=self.checkout,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        exported = (self.checkout / "exported").read_text().rstrip("\0")
        return dict(line.split("=", 1) for line in exported.split("\0"))


def test_the_set_up_of_compose_makes_every_secret_that_it_asks_for(tmp_path: Path) -> None:
    person = Person(tmp_path)
    exported = person.types(block("compose"), block("caller").replace("ratchet doctor\n", ""))
    written = person.checkout / "deploy/.env"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    made = dict(line.split("=", 1) for line in written.read_text().splitlines())
    assert set(made) == set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE))
    assert all(len(value) >= 7 for value in made.values())
    for secret in YAML(typ="safe", pure=True).load(COMPOSE)["secrets"].values():
        assert (person.checkout / "deploy" / secret["file"]).is_file(), secret
    book = {token.sha256: token for token in token_file.read(person.checkout / "deploy/identity/tokens/tokens.jsonl")}
    for name, role in ROLES.items():
        found = book[token_file.digest(made[f"{name.upper()}_TOKEN"])]
        assert (found.name, found.role) == (name, role)
    assert set(SERVICES) <= names_in(person.checkout / "deploy/identity/certs/server.pem")
    caller = Credentials.load(exported)
    assert caller.tls is not None
    assert book[token_file.digest(caller.token)].role == "admin"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_the_set_up_of_kubernetes_makes_every_secret_that_the_manifests_name(tmp_path: Path) -> None:
    person = Person(tmp_path)
    person.install("kubectl", KUBECTL.format(kubectl=shutil.which("kubectl")))
    person.types(block("kubernetes"), block("dask"))
    made = {
        found["metadata"]["name"]: {key: b64decode(value) for key, value in found["data"].items()}
        for found in manifests(person.home / "secrets.yaml")
    }
    named = {(source["name"], source["key"]) for pod in PODS for source in secret_keys(pod)}
    mounted = {
        volume["secret"]["secretName"] for pod in PODS.values() for volume in pod["volumes"] if "secret" in volume
    }
    assert set(made) == {name for name, _ in named} | mounted
    assert [pair for pair in named if pair[1] not in made[pair[0]]] == []
    for name in ("services-tls", "callers-tls", "dask-tls"):
        assert set(made[name]) == {"tls.crt", "tls.key", "ca.crt"}
    identity = person.home / "ratchet-identity"
    assert load_trusted(identity / "signing.key.pub").public_key == public_bytes(load_private(identity / "signing.key"))
    book = {token.sha256: (token.name, token.role) for token in token_file.read(identity / "tokens.jsonl")}
    for name, role in {**ROLES, "auditor": "viewer", "backup": "viewer"}.items():
        assert book[token_file.digest(made[name]["token"].decode())] == (name, role)
    assert set(SERVICES) <= names_in(identity / "tls/server.pem")


def test_an_upgrade_takes_every_container_and_begins_with_who_is_called() -> None:
    steps = re.findall(r"set image deployment/(\S+) ([^#\n]+)", DOCUMENT)
    order = ["registry", "knowledge", "predictor", "dask-scheduler", "dask-worker", "trainer"]
    assert [name for name, _ in steps] == order
    for name, images in steps:
        pod = PODS[name]
        containers = {each["name"] for each in (*pod.get("initContainers", ()), *pod["containers"])}
        assert {image.partition("=")[0] for image in images.split()} == containers


def names_in(certificate: Path) -> set[str]:
    """The host names of a certificate."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names.get_values_for_type(x509.DNSName))


def secret_keys(pod: str) -> list[dict[str, str]]:
    of_variables = [variable["valueFrom"]["secretKeyRef"] for variable in secrets(pod)]
    of_volumes = [
        {"name": volume["secret"]["secretName"], "key": item["key"]}
        for volume in PODS[pod]["volumes"]
        if "secret" in volume
        for item in volume["secret"].get("items", ())
    ]
    return of_variables + of_volumes
