from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from serving.server.config_protos import MonitoringConfig, parse_text
from serving.server.metrics import Counter, Histogram, Metrics
from tests.deploy.files import COMPOSE, DEPLOY, SERVER

PROMETHEUS = DEPLOY / "prometheus"
JOB = "tandem-server"
# What a target adds to a metric, and what Prometheus makes itself.
TARGET_LABELS = {"job", "instance"}
PROMETHEUS_METRICS = {"up": set[str](), "ALERTS": {"alertname", "alertstate"}}


def read(name: str) -> Any:
    return yaml.safe_load((PROMETHEUS / name).read_text(encoding="utf-8"))


ALERTS: list[dict[str, Any]] = read("alerts.yml")["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "dashboards" / "tandem.json").read_text(encoding="utf-8"))


def exported() -> dict[str, set[str]]:
    """Every series of the server's metrics page and the labels it has."""
    series = {}
    for metric in vars(Metrics()).values():
        if isinstance(metric, Counter | Histogram):
            name = re.sub(r"[^A-Za-z0-9_]", ":", metric.name)
            if isinstance(metric, Counter):
                series[name] = {*metric.labels}
            else:
                series |= {f"{name}_{part}": {*metric.labels} for part in ("sum", "count")}
                series[f"{name}_bucket"] = {*metric.labels, "le"}
    return series


def expressions() -> Iterator[tuple[str, str]]:
    """Each expression with where it is, Grafana's variables replaced by what they may stand for."""
    for alert in ALERTS:
        yield alert["alert"], alert["expr"]
    found = [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]
    found += [(note["name"], note["expr"]) for note in DASHBOARD["annotations"]["list"]]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            expression = re.sub(r"label_values\((.*), \w+\)", r"\1", variable["query"]["query"])
            found.append((variable["name"], expression))
    for where, expression in found:
        yield where, expression.replace("$__rate_interval", "1m").replace("$instance", ".*")


def selectors(expression: str) -> list[Any]:
    found = []
    promql_parser.walk(
        promql_parser.parse(expression),
        lambda node: found.append(node) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    return found


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_expression_asks_for_metrics_and_labels_the_server_exports(where: str, expression: str) -> None:
    known = exported() | PROMETHEUS_METRICS
    asked = selectors(expression)

    assert asked
    for selector in asked:
        labels = {matcher.name for matcher in selector.matchers.matchers}
        assert labels <= {*known[selector.name], *TARGET_LABELS}


def test_parser_refuses_what_prometheus_would() -> None:
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum(rate(up[5m])")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_says_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "runbook"}
    assert alert["annotations"]["runbook"].endswith(".")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_is_shown_to_fire(alert: dict[str, Any]) -> None:
    cases = [case for test in read("alerts_test.yml")["tests"] for case in test["alert_rule_test"]]

    assert any(case["alertname"] == alert["alert"] and case["exp_alerts"] for case in cases)


@pytest.mark.parametrize("name", ["prometheus.yml", "kubernetes.yml"])
def test_prometheus_gives_the_server_the_job_that_is_asked_for(name: str) -> None:
    jobs = [job["job_name"] for job in read(name)["scrape_configs"]]

    assert jobs == [JOB]
    asked = {
        matcher.value
        for _, expression in expressions()
        for selector in selectors(expression)
        for matcher in selector.matchers.matchers
        if matcher.name == "job"
    }
    assert asked == {JOB}


def test_prometheus_scrapes_where_the_server_serves() -> None:
    [job] = read("prometheus.yml")["scrape_configs"]
    config = parse_text(SERVER / "monitoring.config", MonitoringConfig)

    assert job["metrics_path"] == config.prometheus_config.path
    assert job["static_configs"] == [{"targets": ["server:8501"]}]
    assert "server" in COMPOSE["services"]


def test_dashboard_s_panels_do_not_overlap() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_grafana_finds_dashboard_and_prometheus() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    [provider] = yaml.safe_load((provisioning / "dashboards" / "tandem.yaml").read_text())["providers"]
    [source] = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text())["datasources"]
    grafana = COMPOSE["services"]["grafana"]

    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in COMPOSE["services"]
