"""Monitoring file of the server, which says whether and where the REST port shows the metrics."""

from __future__ import annotations

from pathlib import Path

from serving.server.config_protos import MonitoringConfig, parse_text

DEFAULT_PATH = "/monitoring/prometheus/metrics"


def read_metrics_path(config_file: Path) -> str | None:
    """Reads a text proto ``MonitoringConfig``.

    Returns:
        The path of the page for Prometheus; None when the file does not enable it.

    Raises:
        StatusError: If the file cannot be read or is no text form of the message.
    """
    prometheus = parse_text(config_file, MonitoringConfig).prometheus_config
    return (prometheus.path or DEFAULT_PATH) if prometheus.enable else None
