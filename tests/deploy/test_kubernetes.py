"""The Kubernetes manifests follow their schemas, agree with the services and each other, and let little through."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
import tomllib
from collections import Counter
from itertools import chain
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import distributed.config  # noqa: F401 its settings are among dask.config's
import pytest
from dask import config as dask_config
from psycopg.pq import Conninfo

from ratchet.client.services import SERVICES
from services.platform.server import CLOSING_SECONDS, GRACE_SECONDS
from tests.support.manifests import (
    ALL,
    FILES,
    KUBERNETES,
    KUSTOMIZATIONS,
    PATCHES,
    PODS,
    ROOT,
    SERVERS,
    Manifest,
    between_pods,
    containers,
    folder,
    main_container,
    manifests,
    of,
    peers,
    port_of,
    secrets,
    selected,
    settings,
    templates,
)

VERSION = "1.37"

CALLS = {
    *((name, called, SERVICES[called].port) for name, service in SERVICES.items() for called in service.calls),
    ("auditor", "registry", 7301),
    ("backup", "registry", 7301),
    ("trainer", "dask-scheduler", 8786),
    ("dask-worker", "dask-scheduler", 8786),
    ("dask-scheduler", "dask-worker", 8788),
}
"""Who calls whom, and on which port; nobody else calls anybody."""

OF_ARTIFACTS = {"registry", *(name for name, service in SERVICES.items() if "artifacts" in service.checks)}
STORES = {("registry", 5432), *((name, 9000) for name in OF_ARTIFACTS)}
"""Who reaches PostgreSQL and the object store."""

OF_ML = {"trainer", "predictor", "dask-scheduler", "dask-worker"}
"""Pods that need the ML libraries."""

REPLICATED = sorted(set(SERVICES) - {"trainer"})


def tool(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = Path(sysconfig.get_path("scripts"), program)
    return subprocess.run([path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


# Schemas and kustomizations


def test_every_manifest_follows_the_schema_of_its_kind() -> None:
    done = tool("kubernetes-validate", "--strict", "--quiet", "--kubernetes-version", VERSION, *map(str, FILES))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("name", "own"), [("base", KUSTOMIZATIONS[0]), ("dask", KUSTOMIZATIONS[1])])
def test_a_kustomization_lists_every_file_beside_it_once(name: str, own: Manifest) -> None:
    listed = [*own["resources"], *(patch["path"] for patch in own.get("patches", ()))]
    assert Counter(listed) - Counter(["../base"]) == Counter(path.name for path in folder(name))
    assert own["namespace"] == next(iter(of("Namespace")))


def test_no_two_manifests_have_one_name() -> None:
    named = Counter((found["kind"], found["metadata"]["name"]) for found in ALL)
    assert [key for key, count in named.items() if count > 1] == []


def test_a_patch_changes_what_is_there_and_keeps_the_settings_that_it_replaces() -> None:
    [config, deployment] = [document for path in PATCHES for document in manifests(path)]
    assert set(config["data"]) <= set(of("ConfigMap")[config["metadata"]["name"]]["data"])
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    before = main_container(deployment["metadata"]["name"])["envFrom"]
    assert container["name"] in PODS
    assert [source for source in before if source not in container["envFrom"]] == []


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_renders_what_follows_the_schemas(tmp_path: Path) -> None:
    rendered = tmp_path / "rendered.yaml"
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES / "dask"], capture_output=True, text=True, check=True)
    rendered.write_text(done.stdout)
    checked = tool("kubernetes-validate", "--strict", "--quiet", "--kubernetes-version", VERSION, str(rendered))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    made = {(each["kind"], each["metadata"]["name"]): each for each in manifests(rendered)}
    assert set(made) == {(each["kind"], each["metadata"]["name"]) for each in ALL}
    assert made["ConfigMap", "training"]["data"]["RATCHET_WORKERS"] == "dask://dask-scheduler:8786"
    [trainer] = made["Deployment", "trainer"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "dask", "mountPath": "/identity/dask", "readOnly": True} in trainer["volumeMounts"]


# Images and secrets


def test_images_bear_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    used = {container["image"] for container in containers()}
    assert used == {f"ratchet-service:{version}", f"ratchet-trainer:{version}"}
    for name in PODS:
        image = "trainer" if name in OF_ML else "service"
        of_pod = {each["image"] for each in (*PODS[name].get("initContainers", ()), *PODS[name]["containers"])}
        assert of_pod == {f"ratchet-{image}:{version}"}, "the ML libraries are where models are trained or asked"
    assert {str(image["newTag"]) for own in KUSTOMIZATIONS for image in own["images"]} == {version}
    assert {image["name"] for image in KUSTOMIZATIONS[0]["images"]} == {name.partition(":")[0] for name in used}


def test_no_secret_is_written() -> None:
    assert of("Secret") == {}
    for name in PODS:
        for variable in secrets(name):
            assert set(variable) == {"name", "valueFrom"}, variable
            assert set(variable["valueFrom"]) == {"secretKeyRef"}, variable
    for config in of("ConfigMap").values():
        for variable, value in config["data"].items():
            assert not re.search(r"PASSWORD|TOKEN$|ACCESS_KEY|SECRET", variable), variable
            assert "@" not in value or urlsplit(value).password is None, variable


def test_every_secret_that_is_referred_to_is_documented() -> None:
    documented = (ROOT / "docs/deployment.md").read_text()
    keys = {
        (source["secretKeyRef"]["name"], source["secretKeyRef"]["key"])
        for name in PODS
        for source in (variable["valueFrom"] for variable in secrets(name))
    }
    for pod in PODS.values():
        for volume in pod["volumes"]:
            if "secret" in volume:
                keys |= {
                    (volume["secret"]["secretName"], item["key"]) for item in volume["secret"].get("items", ())
                } or {(volume["secret"]["secretName"], "")}
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|([^|]+)\|", documented, re.MULTILINE))
    assert [(name, key) for name, key in sorted(keys) if key not in rows.get(name, " ")] == []
    assert [name for name, _ in sorted(keys) if name not in rows] == []


def test_secrets_are_mounted_to_be_read_and_by_their_pod_alone() -> None:
    for name, pod in PODS.items():
        of_secrets = {each["name"]: each["secret"] for each in pod["volumes"] if "secret" in each}
        # YAML 1.1, which kubectl reads, has octal numbers with a leading zero; the reader of these tests has not.
        assert {each["defaultMode"] for each in of_secrets.values()} == {440}, name
        for container in (*pod.get("initContainers", ()), *pod["containers"]):
            mounts = [each for each in container["volumeMounts"] if each["name"] in of_secrets]
            assert all(mount["readOnly"] for mount in mounts), name


# Settings


def test_every_variable_that_is_set_is_read() -> None:
    code = "".join(path.read_text() for package in ("ratchet", "services") for path in (ROOT / package).rglob("*.py"))
    known = {(option.envvar or b"").decode() for option in Conninfo.get_defaults()}
    known |= {service.variable for service in SERVICES.values()}
    for variable in sorted(set(chain.from_iterable(map(settings, PODS)))):
        if variable.startswith("DASK_"):
            dask_config.get(variable.removeprefix("DASK_").lower().replace("__", "."))
        else:
            assert variable in known or re.search(rf"""["']{variable}["'=]""", code), f"nothing reads {variable}"


def test_ports_are_those_of_the_services() -> None:
    for name, service in SERVICES.items():
        container = main_container(name)
        ports = {each["name"]: each["containerPort"] for each in container["ports"]}
        assert ports["grpc"] == service.port
        serve, served, *options = container["args"]
        assert (serve, served) == ("serve", name)
        assert options[options.index("--port") + 1] == str(service.port)
        assert "--insecure" not in options
        [exposed] = of("Service")[name]["spec"]["ports"]
        assert (exposed["port"], exposed["targetPort"]) == (service.port, "grpc")
        assert settings(name)["RATCHET_METRICS"] == f"0.0.0.0:{ports['metrics']}"
        assert templates()[name]["metadata"]["annotations"] == {
            "prometheus.io/scrape": "true",
            "prometheus.io/port": str(ports["metrics"]),
            "prometheus.io/scheme": "https",
        }


def test_an_address_is_told_to_those_who_call_it_and_to_no_one_else() -> None:
    """Without its own, `ratchet health` in a service's pod asks that very pod, not the other replica."""
    for called, service in SERVICES.items():
        told = {name: settings(name)[service.variable] for name in PODS if service.variable in settings(name)}
        assert told == {name: f"{called}:{port}" for name, other, port in CALLS if other == called}


def test_services_speak_tls_and_know_their_callers() -> None:
    for name in (*SERVERS, "auditor", "backup"):
        assert {"RATCHET_TLS_CERT", "RATCHET_TLS_KEY", "RATCHET_TLS_CA"} <= set(settings(name)), name
        assert ("RATCHET_TOKENS" in settings(name)) == (name in SERVERS)
        assert ("RATCHET_TOKEN" in settings(name)) == (name != "registry"), "everyone but the registry calls somebody"


def test_stores_are_reached_under_tls() -> None:
    [endpoint] = parse_qs(urlsplit(settings("registry")["RATCHET_ARTIFACTS"]).query)["endpoint"]
    assert (settings("registry")["PGSSLMODE"], urlsplit(endpoint).scheme) == ("require", "https")


def test_programs_can_read_the_lines_of_the_services() -> None:
    assert {settings(name)["RATCHET_LOG_FORMAT"] for name in SERVERS} == {"json"}


def test_every_volume_is_mounted_and_every_mount_has_a_volume() -> None:
    for name, pod in PODS.items():
        mounts = [
            mount for each in (*pod.get("initContainers", ()), *pod["containers"]) for mount in each["volumeMounts"]
        ]
        assert {each["name"] for each in mounts} == {each["name"] for each in pod["volumes"]}, name
        claims = {
            each["persistentVolumeClaim"]["claimName"] for each in pod["volumes"] if "persistentVolumeClaim" in each
        }
        assert claims == ({name} & set(of("PersistentVolumeClaim"))), "what one keeps, no other mounts"
    assert set(of("PersistentVolumeClaim")) == {"auditor", "backup"}


def test_files_that_settings_name_are_those_of_secrets() -> None:
    for name, pod in PODS.items():
        mounts = {each["mountPath"]: each["name"] for each in main_container(name)["volumeMounts"]}
        volumes = {each["name"]: each for each in pod["volumes"]}
        copied = {Path(each["command"][-1]) for each in pod.get("initContainers", ())}
        for variable, value in settings(name).items():
            if value.startswith("/"):
                volume = volumes[mounts[str(Path(value).parent)]]
                assert "secret" in volume or Path(value) in copied, f"{name}: {variable}"


def test_the_registry_alone_has_the_database_and_the_signing_key() -> None:
    assert [name for name in PODS if {"PGPASSWORD", "RATCHET_LOG"} & set(settings(name))] == ["registry"]
    of_signing = {
        (name, item["key"])
        for name, pod in PODS.items()
        for volume in pod["volumes"]
        if volume.get("secret", {}).get("secretName") == "signing"
        for item in volume["secret"].get("items", [{"key": "everything"}])
    }
    assert of_signing == {("registry", "signing.key"), ("auditor", "signing.pub"), ("backup", "signing.pub")}


# Who is found, who may call


def test_selectors_take_the_pods_of_their_workload_and_no_others() -> None:
    for name, deployment in of("Deployment").items():
        assert selected(deployment["spec"]["selector"]) == {name}
        for spread in PODS[name].get("topologySpreadConstraints", ()):
            assert selected(spread["labelSelector"]) == {name}
    for name, service in of("Service").items():
        assert selected({"matchLabels": service["spec"]["selector"]}) == {name}
    for name, budget in of("PodDisruptionBudget").items():
        assert selected(budget["spec"]["selector"]) == {name}
    assert {pod["serviceAccountName"]: name for name, pod in PODS.items()} == {
        name: name for name in of("ServiceAccount")
    }


def test_nothing_is_let_through_that_no_policy_names() -> None:
    default = of("NetworkPolicy")["nothing-else"]["spec"]
    assert default == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for policy in of("NetworkPolicy").values():
        for direction, kind in (("ingress", "Ingress"), ("egress", "Egress")):
            assert direction not in policy["spec"] or kind in policy["spec"]["policyTypes"]


def test_pods_may_make_and_take_the_calls_of_the_design_and_no_others() -> None:
    made = {(name, other, port_of(other, port)) for name, other, port in between_pods("egress", "to")}
    taken = {(other, name, port_of(name, port)) for name, other, port in between_pods("ingress", "from")}
    assert made == CALLS
    assert taken == CALLS


def test_only_who_needs_them_reaches_the_stores() -> None:
    assert {(name, port) for name, peer, port in peers("egress", "to") if peer is None} == STORES
    log, artifacts = (urlsplit(settings("registry")[key]) for key in ("RATCHET_LOG", "RATCHET_ARTIFACTS"))
    [endpoint] = parse_qs(artifacts.query)["endpoint"]
    assert {log.port, urlsplit(endpoint).port} == {port for _, port in STORES}
    assert {name for name in PODS if "RATCHET_ARTIFACTS" in settings(name)} == OF_ARTIFACTS


def test_from_other_namespaces_come_clients_and_metrics_and_to_them_go_names_alone() -> None:
    def foreign(direction: str, side: str) -> set[tuple[str, str, int | str]]:
        return {
            (name, *next(iter(peer["namespaceSelector"]["matchLabels"].values())).split("\n"), port)
            for name, peer, port in peers(direction, side)
            if peer is not None and "namespaceSelector" in peer
        }

    served = {(name, "yes", "grpc") for name in SERVERS} | {(name, "monitoring", "metrics") for name in SERVERS}
    assert foreign("ingress", "from") == served
    assert foreign("egress", "to") == {(name, "kube-system", 53) for name in PODS}
    for _, peer, port in peers("egress", "to"):
        if port == 53:
            assert peer is not None
            assert peer["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
    assert all(peer is not None for _, peer, _ in peers("ingress", "from"))


# How pods run


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    [namespace] = of("Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, pod in PODS.items():
        assert pod["automountServiceAccountToken"] is False, name
        assert of("ServiceAccount")[name]["automountServiceAccountToken"] is False
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    for container in containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_containers_say_what_they_need_and_take_no_more() -> None:
    for container in containers():
        for bound in ("requests", "limits"):
            assert set(container["resources"][bound]) == {"cpu", "memory"}, container["name"]


def test_there_is_one_trainer_and_the_old_one_ends_before_the_new_one_begins() -> None:
    trainer = of("Deployment")["trainer"]["spec"]
    assert (trainer["replicas"], trainer["strategy"]) == (1, {"type": "Recreate"})
    scaled = [each["spec"]["scaleTargetRef"] for each in of("HorizontalPodAutoscaler").values()]
    assert {(target["kind"], target["name"]) for target in scaled} == {("Deployment", "dask-worker")}
    assert all("replicas" not in of("Deployment")[target["name"]]["spec"] for target in scaled)


def test_what_has_replicas_keeps_one_while_nodes_are_drained() -> None:
    for name, deployment in of("Deployment").items():
        replicas = deployment["spec"].get("replicas", 2)
        assert (replicas > 1) == (name in of("PodDisruptionBudget")), "a budget of the only pod would block a drain"
        assert (replicas > 1) == ("topologySpreadConstraints" in PODS[name])
    for name in REPLICATED:
        assert of("Deployment")[name]["spec"]["replicas"] == 2
        assert of("PodDisruptionBudget")[name]["spec"]["minAvailable"] == 1


def test_what_has_replicas_is_replaced_one_by_one_and_the_new_one_comes_first() -> None:
    for name in REPLICATED:
        strategy = of("Deployment")[name]["spec"]["strategy"]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


def test_what_runs_by_night_runs_every_night_and_once_at_a_time() -> None:
    for job in of("CronJob").values():
        assert re.fullmatch(r"[0-5]?[0-9] [0-5] \* \* \*", job["spec"]["schedule"])
        assert (job["spec"]["concurrencyPolicy"], job["spec"]["timeZone"]) == ("Forbid", "Etc/UTC")


def test_a_service_has_the_time_to_drain() -> None:
    for name in SERVERS:
        waits = main_container(name)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert PODS[name]["terminationGracePeriodSeconds"] > waits + GRACE_SECONDS + CLOSING_SECONDS


def test_a_missing_dependency_takes_a_pod_out_of_service_and_restarts_nothing() -> None:
    for name, deployment in of("Deployment").items():
        container = main_container(deployment["metadata"]["name"])
        [port, *_] = container["ports"]
        for probe in ("startupProbe", "livenessProbe"):
            assert container[probe]["tcpSocket"] == {"port": port["name"]}, f"{name}: {probe}"
        assert ("exec" in container["readinessProbe"]) == (name in SERVERS)
