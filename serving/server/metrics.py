"""Metrics of a server under TensorFlow Serving's names, and the page that Prometheus reads."""

from __future__ import annotations

import bisect
import re
import threading
from collections.abc import Iterator, Sequence

_PREFIX = "/tensorflow/serving"
Labels = tuple[str, ...]


def _exponential(first: float, factor: float, count: int) -> tuple[float, ...]:
    return tuple(first * factor**power for power in range(count))


_LATENCY_BOUNDS_US = _exponential(10, 1.8, 33)
_QUEUING_BOUNDS_US = _exponential(100, 1.2, 52)
# Clients choose some label values, such as the model's name; they must not fill the memory with them.
_MAX_CELLS = 1000


class Counter:
    """Numbers that only grow, one for each combination of label values.

    Args:
        name: TensorFlow Serving's name, with slashes.
        *labels: The names of the labels.
    """

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self.labels = labels
        self._lock = threading.Lock()
        self._cells: dict[Labels, int] = {}

    def increment(self, *label_values: str, by: int = 1) -> None:
        """Adds ``by`` to the cell of these label values, given in the order of ``labels``."""
        with self._lock:
            if label_values in self._cells or len(self._cells) < _MAX_CELLS:
                self._cells[label_values] = self._cells.get(label_values, 0) + by

    def cells(self) -> list[tuple[Labels, int]]:
        """The cells at this moment, sorted by label values."""
        with self._lock:
            return sorted(self._cells.items())

    def render(self) -> Iterator[str]:
        """The lines of the page."""
        name = _prometheus_name(self.name)
        yield f"# TYPE {name} counter"
        for label_values, value in self.cells():
            yield f"{name}{{{_render_labels(self.labels, label_values)}}} {value}"


class Histogram:
    """Distributions, one for each combination of label values.

    Args:
        name: TensorFlow Serving's name, with slashes.
        *labels: The names of the labels.
        bounds: Upper ends of the buckets, ascending; what lies above them has a bucket of its own. As in
            the real server a value equal to a bound counts above it.
    """

    def __init__(self, name: str, *labels: str, bounds: Sequence[float]) -> None:
        self.name = name
        self.labels = labels
        self._bounds = bounds
        self._ends = [*(f"{bound:g}" for bound in bounds), "+Inf"]
        self._lock = threading.Lock()
        self._cells: dict[Labels, tuple[list[int], float]] = {}

    def observe(self, value: float, *label_values: str) -> None:
        """Counts one value in the cell of these label values, given in the order of ``labels``."""
        bucket = bisect.bisect_right(self._bounds, value)
        with self._lock:
            if label_values not in self._cells and len(self._cells) >= _MAX_CELLS:
                return
            counts, total = self._cells.get(label_values) or ([0] * len(self._ends), 0.0)
            counts[bucket] += 1
            self._cells[label_values] = (counts, total + value)

    def render(self) -> Iterator[str]:
        """The lines of the page; the counts of the buckets are cumulative."""
        name = _prometheus_name(self.name)
        yield f"# TYPE {name} histogram"
        with self._lock:
            cells = sorted((values, (list(counts), total)) for values, (counts, total) in self._cells.items())
        for label_values, (counts, total) in cells:
            labels = _render_labels(self.labels, label_values)
            separator = "," if labels else ""
            cumulative = 0
            for end, count in zip(self._ends, counts, strict=True):
                cumulative += count
                yield f'{name}_bucket{{{labels}{separator}le="{end}"}} {cumulative}'
            # The real server cuts the sum to six digits, which hides what came last from a busy one.
            yield f"{name}_sum{{{labels}}} {repr(total).removesuffix('.0')}"
            yield f"{name}_count{{{labels}}} {cumulative}"


class Metrics:
    """Everything one server counts; latencies are in microseconds.

    Example:
        >>> metrics = Metrics()
        >>> metrics.request_count.increment("tandem", "OK")
        >>> metrics.value("/tensorflow/serving/request_count")
        1
    """

    def __init__(self) -> None:
        self.request_count = Counter(f"{_PREFIX}/request_count", "model_name", "status")
        self.request_latency = Histogram(
            f"{_PREFIX}/request_latency", "model_name", "API", "entrypoint", bounds=_LATENCY_BOUNDS_US
        )
        self.runtime_latency = Histogram(
            f"{_PREFIX}/runtime_latency", "model_name", "API", "runtime", bounds=_LATENCY_BOUNDS_US
        )
        self.model_warmup_latency = Histogram(
            f"{_PREFIX}/model_warmup_latency", "model_path", "status", bounds=_LATENCY_BOUNDS_US
        )
        self.model_warmup_records_read = Counter(
            f"{_PREFIX}/model_warmup_records_read", "model_path", "status"
        )
        self.queuing_latency = Histogram(
            f"{_PREFIX}/batching_session/queuing_latency", "thread_pool_name", bounds=_QUEUING_BOUNDS_US
        )
        self.wrapped_run_count = Counter(f"{_PREFIX}/batching_session/wrapped_run_count")
        # This one is TensorFlow's own: "success" or "fail", before any warm-up.
        self.load_attempt_count = Counter(
            "/tensorflow/cc/saved_model/load_attempt_count", "model_path", "status"
        )

    def render(self) -> str:
        """The page for Prometheus, sorted by name; a metric that never moved is only declared."""
        metrics = [metric for metric in vars(self).values() if isinstance(metric, Counter | Histogram)]
        metrics.sort(key=lambda metric: metric.name)
        return "".join(f"{line}\n" for metric in metrics for line in metric.render())

    def value(self, name: str) -> int:
        """The first cell of the counter called ``name``; 0 when there is none."""
        for metric in vars(self).values():
            if isinstance(metric, Counter) and metric.name == name:
                return next((value for _, value in metric.cells()), 0)
        return 0


def _prometheus_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]", ":", name)


def _render_labels(names: Sequence[str], values: Labels) -> str:
    pairs = zip(names, values, strict=True)
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)


def _escaped(value: str) -> str:
    # A name comes from whoever sends a request; a line break in it must not begin another line of the page.
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
