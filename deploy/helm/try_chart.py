"""Renders the chart with default and with odd values, by Helm's own library: try_chart.py FOLDER.

Each rendering must hang together, the default one must be the plain manifests of deploy/kubernetes, and what makes no sense
must be refused with a word that helps. FOLDER gets the renderings, for whatever validates manifests, and the chart as an
archive. Of the objects of the Prometheus Operator nobody here knows the schema: they are compared with what they must be.
"""

import copy
import difflib
import os
import pathlib
import re
import sys

import helm_python as helm
import yaml

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = HERE / "oncall-grants"
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
OPERATOR = "monitoring.coreos.com/v1"
WORKLOADS = ("Deployment", "StatefulSet")
LONG = "a-very-long-name-of-a-release-that-somebody-chose-xyz"
ODD = "it's \"quoted\": {{ .Release.Name }}, 50 % # and\na second line\n"


def rendered(chart, values, name="oncall-grants"):
    """The objects by their kind, each of which there is once."""
    texts = chart.render(values, name=name, namespace="access")
    objects = [
        document
        for path, text in texts.items()
        if not path.endswith("NOTES.txt")
        for document in yaml.safe_load_all(text)
        if document
    ]
    by_kind = {found["kind"]: found for found in objects}
    assert len(by_kind) == len(objects), [found["kind"] for found in objects]
    return by_kind, texts["oncall-grants/templates/NOTES.txt"]


def pod_of(objects):
    """The workload's pod template, whatever the workload."""
    (workload,) = [objects[kind] for kind in WORKLOADS if kind in objects]
    return workload, workload["spec"]["template"]


def hangs_together(objects):
    """Whatever selects pods selects these, every volume is there, and every name is one that Kubernetes takes."""
    workload, template = pod_of(objects)
    labels, pod = template["metadata"]["labels"], template["spec"]
    (container,) = pod["containers"]
    selectors = [workload["spec"]["selector"]["matchLabels"], objects["Service"]["spec"]["selector"]]
    selectors += [found["labelSelector"]["matchLabels"] for found in pod.get("topologySpreadConstraints", [])]
    if "PodDisruptionBudget" in objects:
        selectors.append(objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
    if "NetworkPolicy" in objects:
        selectors.append(objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
    assert all(selector and selector.items() <= labels.items() for selector in selectors), selectors
    if "ServiceMonitor" in objects:
        wanted = objects["ServiceMonitor"]["spec"]["selector"]["matchLabels"]
        assert wanted and wanted.items() <= objects["Service"]["metadata"]["labels"].items()

    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    for found in objects.values():
        metadata = found["metadata"]
        assert metadata["namespace"] == "access", metadata
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", metadata["name"]), metadata["name"]
        for value in metadata["labels"].values():
            assert re.fullmatch(r"([A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?", value), value
    assert not any(found["kind"] == "Secret" for found in objects.values())


def without_own_names(found):
    """What the plain manifests and the chart need not have in common: the release's name, and who made what."""
    found = copy.deepcopy(found)
    own = ("instance", "version", "managed-by")

    def strip(value):
        if isinstance(value, dict):
            for key in [f"app.kubernetes.io/{name}" for name in own] + ["helm.sh/chart", "checksum/config"]:
                value.pop(key, None)
            for inner in value.values():
                strip(inner)
        elif isinstance(value, list):
            for inner in value:
                strip(inner)

    strip(found)
    found["metadata"] = {"name": found["metadata"]["name"]}
    if found["kind"] == "Service":
        found["spec"].setdefault("type", "ClusterIP")
    if found["kind"] in WORKLOADS:
        (container,) = found["spec"]["template"]["spec"]["containers"]
        for key in ("image", "imagePullPolicy"):
            container.pop(key, None)
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"].pop("scheme", "HTTP") == "HTTP"
    return found


def default_is_the_plain_manifests(chart):
    objects, notes = rendered(chart, {"networkPolicy": {"enabled": True}})
    plain = {}
    for name in ("deployment", "service", "disruption-budget", "network-policy"):
        found = yaml.safe_load((ROOT / f"deploy/kubernetes/{name}.yaml").read_text())
        plain[found["kind"]] = without_own_names(found)
    config = objects.pop("ConfigMap")
    ours = {kind: without_own_names(found) for kind, found in objects.items()}
    texts = [yaml.safe_dump(found).splitlines() for found in (plain, ours)]
    assert ours == plain, "\n".join(difflib.unified_diff(*texts, "deploy/kubernetes", "chart", lineterm=""))

    text = (ROOT / "deploy/kubernetes/oncall-grants.toml").read_text()
    assert config["data"]["oncall-grants.toml"] == text.split("\n\n", 1)[1], "the configurations differ"
    assert "still the example" in notes

    kustomization = yaml.safe_load((ROOT / "deploy/kubernetes/kustomization.yaml").read_text())
    version = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    said = (chart.metadata["appVersion"], kustomization["images"][0]["newTag"])
    assert said == (version, version), (said, version)


def odd_values(chart):
    """By a name: values, the name of a release, and what must hold of the objects."""

    def default(objects, _):
        assert sorted(objects) == ["ConfigMap", "Deployment", "PodDisruptionBudget", "Service"]

    def on_sqlite(objects, notes):
        workload, template = pod_of(objects)
        (container,) = template["spec"]["containers"]
        assert sorted(objects) == ["ConfigMap", "Service", "StatefulSet"], "one pod has no disruption budget"
        assert workload["spec"]["replicas"] == 1 and workload["spec"]["serviceName"] == objects["Service"]["metadata"]["name"]
        assert container["env"] == [
            {"name": "ONCALL_GRANTS_STORE_URL", "value": "sqlite:/var/lib/oncall-grants/oncall-grants.db"}
        ]
        assert "statefulset/oncall-grants" in notes and "data-oncall-grants-0" in notes

    def on_a_claim(objects, _):
        workload, template = pod_of(objects)
        assert "volumeClaimTemplates" not in workload["spec"]
        claims = [volume.get("persistentVolumeClaim") for volume in template["spec"]["volumes"]]
        assert {"claimName": "there-already"} in claims

    def of_ipv6_alone(objects, _):
        assert objects["Service"]["spec"]["ipFamilies"] == ["IPv6"]
        to = objects["NetworkPolicy"]["spec"]["egress"][1]
        assert to["to"] == [{"ipBlock": {"cidr": "::/0"}}] and [port["port"] for port in to["ports"]] == [443]

    def closed(objects, _):
        policy = objects["NetworkPolicy"]["spec"]
        assert policy["ingress"] == [] and len(policy["egress"]) == 1

    def observed(objects, _):
        assert objects["ServiceMonitor"]["apiVersion"] == objects["PrometheusRule"]["apiVersion"] == OPERATOR
        (endpoint,) = objects["ServiceMonitor"]["spec"]["endpoints"]
        assert endpoint == {"port": "http", "path": "/metrics", "interval": "15s"}
        assert objects["Service"]["spec"]["ports"][0]["name"] == endpoint["port"]
        assert objects["PrometheusRule"]["spec"] == ALERTS
        assert objects["PrometheusRule"]["metadata"]["labels"]["release"] == "kube-prometheus"

    def over_tls(objects, _):
        (container,) = pod_of(objects)[1]["spec"]["containers"]
        schemes = {container[f"{probe}Probe"]["httpGet"]["scheme"] for probe in ("startup", "liveness", "readiness")}
        assert schemes == {"HTTPS"} and objects["ServiceMonitor"]["spec"]["endpoints"][0]["scheme"] == "https"

    def reached(objects, notes):
        (rule,) = objects["Ingress"]["spec"]["rules"]
        (path,) = rule["http"]["paths"]
        assert (rule["host"], path["path"], path["pathType"]) == ("grants.example.com", "/webhooks/pagerduty", "Exact")
        assert objects["Ingress"]["spec"]["tls"] == [{"hosts": ["grants.example.com"], "secretName": "grants-tls"}]
        assert objects["Ingress"]["metadata"]["annotations"] == {"example.com/odd": ODD}
        assert "https://grants.example.com" in notes

    def quoted(objects, _):
        template = pod_of(objects)[1]
        (container,) = template["spec"]["containers"]
        assert objects["ConfigMap"]["data"]["oncall-grants.toml"] == ODD
        assert objects["Service"]["metadata"]["annotations"] == {"odd": ODD}
        assert template["metadata"]["annotations"]["odd"] == ODD and template["metadata"]["labels"]["tier"] == "on"
        assert container["env"] == [
            {"name": "HTTPS_PROXY", "value": "http://[fd00::1]:3128"},
            {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        ]

    def elsewhere(objects, notes):
        template = pod_of(objects)[1]
        sources = [volume.get("configMap", {}).get("name") for volume in template["spec"]["volumes"]]
        assert "ConfigMap" not in objects and "shared" in sources
        assert "checksum/config" not in template["metadata"]["annotations"] and "still the example" not in notes
        assert template["spec"]["containers"][0]["image"] == "[fd00::1]:5000/grants@sha256:" + "0" * 64

    def placed(objects, _):
        spec = pod_of(objects)[1]["spec"]
        assert spec["nodeSelector"] and spec["tolerations"] and spec["affinity"] and spec["imagePullSecrets"]
        assert objects["Deployment"]["spec"]["replicas"] == 1 and "PodDisruptionBudget" not in objects

    sqlite = {"store": {"kind": "sqlite"}}
    policy = {"enabled": True, "toCidrs": ["::/0"]}
    term = {"matchExpressions": [{"key": "arch", "operator": "In", "values": ["arm64"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    return {
        "default": ({}, "oncall-grants", default),
        "sqlite": (sqlite, "oncall-grants", on_sqlite),
        "claim": ({"store": {"kind": "sqlite", "volume": {"existingClaim": "there-already"}}}, "x", on_a_claim),
        "ipv6": (
            {**sqlite, "service": {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}, "networkPolicy": policy},
            "x",
            of_ipv6_alone,
        ),
        "closed": ({"networkPolicy": {"enabled": True, "fromNamespaces": [], "toCidrs": []}}, "x", closed),
        "observed": (
            {
                "serviceMonitor": {"enabled": True, "interval": "15s"},
                "prometheusRule": {"enabled": True, "labels": {"release": "kube-prometheus"}},
            },
            "x",
            observed,
        ),
        "tls": ({"scheme": "HTTPS", "serviceMonitor": {"enabled": True}}, "x", over_tls),
        "ingress": (
            {
                "ingress": {
                    "enabled": True,
                    "className": "nginx",
                    "host": "grants.example.com",
                    "tlsSecret": "grants-tls",
                    "annotations": {"example.com/odd": ODD},
                }
            },
            "x",
            reached,
        ),
        "quotes": (
            {
                "config": ODD,
                "service": {"annotations": {"odd": ODD}},
                "podAnnotations": {"odd": ODD},
                "podLabels": {"tier": "on"},
                "extraEnv": [
                    {"name": "HTTPS_PROXY", "value": "http://[fd00::1]:3128"},
                    {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                ],
            },
            "x",
            quoted,
        ),
        "elsewhere": (
            {
                "existingConfigMap": "shared",
                "image": {"repository": "[fd00::1]:5000/grants", "digest": "sha256:" + "0" * 64},
            },
            "x",
            elsewhere,
        ),
        "placed": (
            {
                "replicas": 1,
                "nodeSelector": {"disk": "ssd"},
                "tolerations": [{"operator": "Exists"}],
                "affinity": affinity,
                "imagePullSecrets": [{"name": "registry"}],
                "priorityClassName": "high",
            },
            "x",
            placed,
        ),
        "long": (sqlite, LONG, lambda *_: None),
        "longer": ({"nameOverride": "b" + "-long" * 30, "podLabels": {}}, LONG, lambda *_: None),
        "full": ({"fullnameOverride": "c" + "-long" * 30}, "x", lambda *_: None),
    }


# What is refused, and a word of the reason.
REFUSED = [
    ({"replicas": 3, "store": {"kind": "sqlite"}}, "one process owns that file"),
    ({"replicaCount": 3}, "replicaCount"),
    ({"adminToken": "a-secret"}, "adminToken"),
    ({"store": {"kind": "mysql"}}, "'postgres', 'sqlite'"),
    ({"store": {"kind": "sqlite", "volume": {"size": "big"}}}, "/store/volume/size"),
    ({"replicas": "3"}, "/replicas"),
    ({"existingSecret": ""}, "/existingSecret"),
    ({"config": ""}, "/config"),
    ({"config": {"server": {}}}, "/config"),
    ({"service": {"port": 99999}}, "/service/port"),
    ({"service": {"ipFamilies": ["IPv6", "IPv6"]}}, "/service/ipFamilies"),
    ({"service": {"annotations": {"n": 1}}}, "/service/annotations/n"),
    ({"ingress": {"enabled": True}}, "ingress.host is missing"),
    ({"networkPolicy": {"toCidrs": ["fd00::/129"]}}, "/networkPolicy/toCidrs/0"),
    ({"networkPolicy": {"toCidrs": ["10.0.0.0"]}}, "/networkPolicy/toCidrs/0"),
    ({"podLabels": {"app.kubernetes.io/name": "other"}}, "away from its Service"),
    ({"extraEnv": [{"name": "A", "value": 1}]}, "/extraEnv/0/value"),
    ({"image": {"repository": "registry.example.com/oncall-grants:0.1.0"}}, "/image/repository"),
    ({"fullnameOverride": "Has Capitals"}, "/fullnameOverride"),
]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    with helm.Chart.load(CHART) as chart:
        default_is_the_plain_manifests(chart)
        odd = odd_values(chart)
        for name, (values, release, holds) in odd.items():
            objects, notes = rendered(chart, values, release)
            try:
                hangs_together(objects)
                holds(objects, notes)
            except AssertionError:
                print(f"with the values {name!r}:", file=sys.stderr)
                raise
            standard = [found for found in objects.values() if found["apiVersion"] != OPERATOR]
            (folder / f"{name}.yaml").write_text(yaml.safe_dump_all(standard))
        for values, reason in REFUSED:
            try:
                rendered(chart, values)
            except helm.HelmError as error:
                assert reason in str(error), (values, str(error))
            else:
                raise AssertionError(f"{values} is not refused")
    for values in ({}, {"store": {"kind": "sqlite"}}):
        messages = helm.lint(CHART, values, strict=True)["messages"]
        assert not [found for found in messages if found["severity"] > 1], messages
    archive = helm.package(CHART, destination=os.fspath(folder))
    with helm.Chart.load(archive) as packaged:
        assert rendered(packaged, {"prometheusRule": {"enabled": True}})[0]["PrometheusRule"]["spec"] == ALERTS
    print(f"Helm {helm.helm_sdk_version()}: {len(odd)} renderings hold, {len(REFUSED)} are refused; {archive}")


if __name__ == "__main__":
    main()
