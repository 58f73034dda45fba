"""The Kubernetes examples keep to what docs/containers.md says; `tools/test --stage manifests`
holds them to Kubernetes' own schema.
"""

import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((REPOSITORY / "packaging" / "kubernetes").glob("*.yaml"))
RECIPE = (REPOSITORY / "packaging" / "container" / "Containerfile").read_text()
SOCKETS = "/run/kfast"


def pods(example: Path) -> list:
    documents = list(yaml.safe_load_all(example.read_text()))
    specs = [each["spec"] for each in documents if "spec" in each]
    return [spec["template"]["spec"] for spec in specs]


def containers(pod: dict) -> list:
    return [*pod.get("initContainers", []), *pod["containers"]]


def is_kfastd(container: dict) -> bool:
    return container["name"] == "kfastd"


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def example(request):
    return request.param


def test_there_are_examples():
    assert [path.name for path in EXAMPLES] == ["daemonset.yaml", "sidecar.yaml"]


def test_sockets_are_shared_as_a_directory_and_never_one_by_one(example):
    for pod in pods(example):
        kinds = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in kinds.values():
            kind = volume.get("hostPath", {}).get("type", "Directory")
            assert kind in ("Directory", "DirectoryOrCreate")
        shared = [
            kinds[mount["name"]]
            for container in containers(pod)
            for mount in container["volumeMounts"]
            if mount["mountPath"].startswith(SOCKETS)
        ]
        assert shared
        for container in containers(pod):
            for mount in container["volumeMounts"]:
                assert "subPath" not in mount, "it would never see a change"
                if mount["mountPath"].startswith(SOCKETS):
                    assert mount["mountPath"] == SOCKETS
        for volume in shared:
            assert "emptyDir" in volume or volume["hostPath"]["path"] == SOCKETS


def test_kfastd_sees_the_processes_of_its_workers(example):
    for pod in pods(example):
        if any(map(is_kfastd, containers(pod))):
            assert pod.get("hostPID") or pod.get("shareProcessNamespace")


def test_kfastd_has_no_right_that_it_does_not_need(example):
    for pod in pods(example):
        for container in filter(is_kfastd, containers(pod)):
            context = container["securityContext"]
            assert (context["runAsUser"], context["runAsNonRoot"]) == (10001, True)
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "memory" in container["resources"]["limits"]


def test_workers_are_users_of_their_own_whom_the_configuration_names(example):
    text = example.read_text()
    allowed = {int(uid) for uid in re.findall(r"^ +uid = (\d+)$", text, re.MULTILINE)}
    users = {
        container["securityContext"]["runAsUser"]
        for pod in pods(example)
        for container in containers(pod)
        if container["name"] == "worker"
    }
    assert users == allowed and not users & {0, 65534, 10001}


def test_brokers_that_are_away_restart_nothing(example):
    for pod in pods(example):
        for container in filter(is_kfastd, containers(pod)):
            for probe in ("startupProbe", "livenessProbe"):
                command = container[probe]["exec"]["command"]
                assert command[1:] == ["health", "--tolerate-warnings"]


def test_a_pod_has_time_to_flush(example):
    for pod in pods(example):
        if any(map(is_kfastd, containers(pod))):
            assert pod["terminationGracePeriodSeconds"] >= 10 + 10 + 10


def test_the_recipes_user_is_a_number_and_the_examples():
    assert re.search(r"^USER 10001:10001$", RECIPE, re.MULTILINE)


def test_the_recipe_needs_no_shell_to_run():
    for instruction in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        (line,) = re.findall(rf"^{instruction} .*$", RECIPE, re.MULTILINE)
        assert re.search(r"\[\"/?[^]]+\]$", line), line
