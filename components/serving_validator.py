"""ServingValidator: starts the server as production does, asks it, and blesses the servable or not."""

import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the ops of the servable)
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts
from tfx.utils import io_utils, path_utils
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter, component

from serving.client import Client
from serving.compatibility.check import check_compatibility
from serving.process import ServerProcess
from serving.servable.extra_assets import ExtraAssets
from serving.servable.warmup_requests import example_inputs

REASON_FILE = "reason.txt"
_NUM_TIMED = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequestCost:
    """What one request takes, over gRPC on this machine.

    Attributes:
        latency_ms: Milliseconds until the answer, at the median.
        cpu_ms: Milliseconds of all processor cores together that the server worked, on average. What else
            runs on the machine disturbs them less than the latency.
    """

    latency_ms: float
    cpu_ms: float


@component
def ServingValidator(
    model: InputArtifact[standard_artifacts.Model],
    blessing: OutputArtifact[standard_artifacts.InfraBlessing],
    max_latency_ms: Parameter[float],
    tf_serving_version: Parameter[str],
) -> None:
    """Compares what the server answers with what the model says in process, and measures it.

    Args:
        model: The servable.
        blessing: Standard InfraBlessing, and the reason in words.
        max_latency_ms: Median latency of one search above which the servable is refused.
        tf_serving_version: The stock TF Serving that must be able to load the servable.
    """
    folder = path_utils.serving_model_path(model.uri)
    reasons, facts, costs = validate_servable(folder, max_latency_ms, tf_serving_version)
    is_blessed = not reasons
    blessing.set_int_custom_property("blessed", int(is_blessed))
    fileio.makedirs(blessing.uri)
    name = "INFRA_BLESSED" if is_blessed else "INFRA_NOT_BLESSED"
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    written = {
        "reasons": reasons,
        "facts": facts,
        "costs": {request: dataclasses.asdict(cost) for request, cost in costs.items()},
    }
    io_utils.write_string_file(os.path.join(blessing.uri, REASON_FILE), json.dumps(written, indent=1))


def validate_servable(
    folder: str, max_latency_ms: float, tf_serving_version: str
) -> tuple[list[str], list[str], dict[str, RequestCost]]:
    """Checks a SavedModel.

    Args:
        folder: The SavedModel.
        max_latency_ms: As above.
        tf_serving_version: As above.

    Returns:
        Reasons to refuse it, and facts for the report, as sentences; and what a request costs, ``search`` or
        ``recommend``. The latter is left out where the servable knows no user, and both where it cannot be
        served.
    """
    with tempfile.TemporaryDirectory() as base:
        # The server wants a folder of versions on its own disk.
        version = os.path.join(base, "tandem", "1")
        io_utils.copy_dir(folder, version)
        compatibility = check_compatibility(Path(version))
        facts = [compatibility.verdict()]
        reasons = compatibility.refusals(tf_serving_version)
        if reasons:
            # Our own server may not load it either.
            return reasons, facts, {}
        examples = ExtraAssets(version).read_examples()
        started = time.monotonic()
        with (
            ServerProcess(os.path.dirname(version)) as server,
            Client(server.address, timeout_s=60) as client,
        ):
            facts.append(f"The server was ready after {time.monotonic() - started:.1f} s.")
            reasons += _compare(tf.saved_model.load(folder), client, examples)
            costs = _costs(server.pid, client, examples)
    latency_ms = costs["search"].latency_ms
    facts.append(f"One search took {latency_ms:.1f} ms at the median of {_NUM_TIMED}, over gRPC.")
    if latency_ms > max_latency_ms:
        reasons.append(f"One search must take at most {max_latency_ms:g} ms. Got {latency_ms:.1f} ms.")
    return reasons, facts, costs


def _compare(loaded: tf.Module, client: Client, examples: dict[str, Any]) -> list[str]:
    reasons = []
    for num_rows in (1, 3):
        for signature, inputs in example_inputs(examples, num_rows).items():
            if "now" in inputs:
                # By the clock, an item might come or go between the two answers.
                inputs |= {"now": tf.fill([num_rows], np.int64(time.time()))}
            expected = {k: v.numpy() for k, v in loaded.signatures[signature](**inputs).items()}
            answered = client.predict(signature, {name: value.numpy() for name, value in inputs.items()})
            for name, value in expected.items():
                if not _equal(value, np.asarray(answered[name])):
                    reasons.append(
                        f"{signature}, {num_rows} rows: {name} from the server must equal the model's own."
                    )
            if "scores" in expected and not np.isfinite(expected["scores"]).all():
                reasons.append(f"{signature}: scores must be finite.")
    return reasons


def _equal(expected: np.ndarray, answered: np.ndarray) -> bool:
    if expected.shape != answered.shape:
        return False
    if expected.dtype == object:
        return bool((expected == answered).all())
    return bool(np.allclose(expected, answered, rtol=1e-4, atol=1e-5))


def _costs(pid: int, client: Client, examples: dict[str, Any]) -> dict[str, RequestCost]:
    queries, users = examples["queries"], [user["user_id"] for user in examples["users"]]
    costs = {"search": _cost(pid, lambda i: client.search([queries[i % len(queries)]], k=10))}
    if users:
        costs["recommend"] = _cost(pid, lambda i: client.recommend(user_ids=[users[i % len(users)]], k=10))
    return costs


def _cost(pid: int, ask: Callable[[int], Any]) -> RequestCost:
    """The cost of a request of a server that is warm."""
    times, before = [], _cpu_s(pid)
    for i in range(_NUM_TIMED):
        started = time.perf_counter()
        ask(i)
        times.append((time.perf_counter() - started) * 1000)
    return RequestCost(latency_ms=float(np.median(times)), cpu_ms=(_cpu_s(pid) - before) * 1000 / _NUM_TIMED)


def _cpu_s(pid: int) -> float:
    """Seconds that a process and its children have worked so far."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))
