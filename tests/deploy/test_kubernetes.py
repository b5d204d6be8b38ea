from __future__ import annotations

from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.deploy.files import KUBERNETES, KUSTOMIZATION, MANIFESTS, SERVER, container_of, manifest, pods

KUBERNETES_VERSIONS = ["1.32", "1.37"]
DEPLOYMENTS = ["tandem-server", "tandem-gateway"]
# Made by hand, as docs/deploy.md says.
SECRETS = {"tandem-gateway"}
PODS = dict(pods())
Manifest = dict[str, Any]


def named(one: Manifest) -> str:
    return f"{one['kind']}/{one['metadata']['name']}"


@pytest.mark.parametrize("version", KUBERNETES_VERSIONS)
@pytest.mark.parametrize("one", MANIFESTS, ids=named)
def test_manifest_is_valid(one: Manifest, version: str) -> None:
    kubernetes_validate.validate(one, version, strict=True)


def test_validation_refuses_a_misspelt_field() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"port": []}}

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSIONS[0], strict=True)


def test_kustomization_has_every_manifest_but_the_writer() -> None:
    files = {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml", "models_writer.yaml"}

    assert {*KUSTOMIZATION["resources"]} == {*files, "../server"}
    assert (KUBERNETES / "../server/kustomization.yaml").exists()


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_pod_meets_the_restricted_standard(pod: Manifest) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_pod_has_limits_and_what_it_mounts(pod: Manifest) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    claims = {one["metadata"]["name"] for one in MANIFESTS if one["kind"] == "PersistentVolumeClaim"}
    generated = yaml.safe_load((SERVER / "kustomization.yaml").read_text(encoding="utf-8"))
    config_maps = {one["name"] for one in generated["configMapGenerator"]}

    for container in pod["containers"]:
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
        assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
        assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys()
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in claims
        elif "configMap" in volume:
            assert volume["configMap"]["name"] in config_maps
        elif "secret" in volume:
            assert volume["secret"]["secretName"] in SECRETS


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_memory_that_is_asked_for_is_the_limit(name: str) -> None:
    # With less a busy node would end the pod in the middle of a swap of versions.
    resources = container_of(name)["resources"]

    assert resources["requests"]["memory"] == resources["limits"]["memory"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_everything_about_a_deployment_selects_its_pods(name: str) -> None:
    deployment = manifest("Deployment", name)["spec"]
    labels = {"app.kubernetes.io/name": name}

    assert deployment["template"]["metadata"]["labels"] == labels
    assert deployment["selector"]["matchLabels"] == labels
    assert manifest("Service", name)["spec"]["selector"] == labels
    assert manifest("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    assert manifest("NetworkPolicy", name)["spec"]["podSelector"]["matchLabels"] == labels
    for spread in deployment["template"]["spec"]["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == labels


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_autoscaler_alone_sets_the_replicas_and_keeps_two(name: str) -> None:
    autoscaler = manifest("HorizontalPodAutoscaler", name)["spec"]

    assert autoscaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert autoscaler["minReplicas"] >= 2
    assert "replicas" not in manifest("Deployment", name)["spec"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_roll_out_never_takes_a_pod_away_before_another_is_ready(name: str) -> None:
    deployment = manifest("Deployment", name)["spec"]

    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "readinessProbe" in container_of(name)


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_service_and_probes_ask_ports_the_container_has(name: str) -> None:
    container = container_of(name)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}

    assert {port["targetPort"] for port in manifest("Service", name)["spec"]["ports"]} == ports.keys()
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = container.get(probe, {})
        assert asked.get("httpGet", {"port": "rest"})["port"] in {*ports, "rest"}
        assert asked.get("grpc", {"port": 8500})["port"] in {*ports.values(), 8500}


def test_liveness_asks_for_less_than_readiness() -> None:
    container = container_of("tandem-server")

    # A server without a version must be left out, not restarted: it is waiting for one.
    assert container["livenessProbe"]["grpc"]["service"] == "PredictionService"
    assert "--enable_grpc_healthcheck_service=true" in container["args"]
    assert container["readinessProbe"]["httpGet"]["port"] == "rest"


def test_only_gateway_and_prometheus_reach_the_server() -> None:
    rules = manifest("NetworkPolicy", "tandem-server")["spec"]["ingress"]

    reached = {port["port"]: rule["from"] for rule in rules for port in rule["ports"]}
    assert reached.keys() == {"grpc", "rest"}
    assert reached["grpc"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "tandem-gateway"}}}]
    [prometheus] = reached["rest"]
    assert prometheus.keys() == {"namespaceSelector", "podSelector"}


def test_what_no_policy_allows_is_denied() -> None:
    policy = manifest("NetworkPolicy", "default-deny")["spec"]

    assert policy == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
