"""The Kubernetes manifests as values: what is there by name, what a pod is told, whom a selector and a policy take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ratchet.client.services import SERVICES

Manifest = dict[str, Any]

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"


def manifests(path: Path) -> list[Manifest]:
    return [document for document in YAML(typ="safe", pure=True).load_all(path) if document]


def folder(name: str) -> list[Path]:
    return sorted(path for path in (KUBERNETES / name).iterdir() if path.name != "kustomization.yaml")


FILES = [path for path in (*folder("base"), *folder("dask")) if not path.name.endswith(".patch.yaml")]
PATCHES = [path for path in folder("dask") if path.name.endswith(".patch.yaml")]
ALL = [document for path in FILES for document in manifests(path)]
KUSTOMIZATIONS = [manifests(KUBERNETES / name / "kustomization.yaml")[0] for name in ("base", "dask")]


def of(kind: str) -> dict[str, Manifest]:
    """The manifests of a kind, by name."""
    return {found["metadata"]["name"]: found for found in ALL if found["kind"] == kind}


def templates() -> dict[str, Manifest]:
    """The pod template of each workload."""
    jobs = {name: job["spec"]["jobTemplate"]["spec"]["template"] for name, job in of("CronJob").items()}
    return {name: each["spec"]["template"] for name, each in of("Deployment").items()} | jobs


PODS: dict[str, Manifest] = {name: template["spec"] for name, template in templates().items()}
SERVERS = sorted(SERVICES)


def main_container(name: str) -> Manifest:
    [container] = PODS[name]["containers"]
    return dict(container)


def containers() -> Iterator[Manifest]:
    for pod in PODS.values():
        yield from (*pod.get("initContainers", ()), *pod["containers"])


def settings(name: str) -> dict[str, str]:
    """The variables of a workload with their values; those from secrets are empty."""
    container = main_container(name)
    maps = [of("ConfigMap")[source["configMapRef"]["name"]]["data"] for source in container.get("envFrom", ())]
    return {**dict(chain.from_iterable(each.items() for each in maps)), **{each["name"]: "" for each in secrets(name)}}


def secrets(name: str) -> list[Manifest]:
    return list(main_container(name).get("env", ()))


def selected(selector: Manifest) -> set[str]:
    """The workloads whose pods a label selector takes."""

    def takes(labels: Mapping[str, str]) -> bool:
        return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
            (labels.get(each["key"]) in each["values"]) and each["operator"] == "In"
            for each in selector.get("matchExpressions", ())
        )

    return {name for name, template in templates().items() if takes(template["metadata"]["labels"])}


def port_of(name: str, port: int | str) -> int:
    """A container's port by its number or name."""
    known = {each["name"]: each["containerPort"] for each in main_container(name)["ports"]}
    return known[port] if isinstance(port, str) else port


def peers(direction: str, side: str) -> Iterator[tuple[str, Manifest | None, int | str]]:
    """Each workload with each peer and port that a policy lets through; a peer of None is any."""
    for policy in of("NetworkPolicy").values():
        for rule in policy["spec"].get(direction, ()):
            for name in selected(policy["spec"]["podSelector"]):
                for port in rule["ports"]:
                    for peer in rule.get(side, [None]):
                        yield name, peer, port["port"]


def between_pods(direction: str, side: str) -> Iterator[tuple[str, str, int | str]]:
    for name, peer, port in peers(direction, side):
        if peer is not None and "namespaceSelector" not in peer:
            yield from ((name, other, port) for other in selected(peer["podSelector"]))
