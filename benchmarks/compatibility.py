"""The comparison of a pushed model's answers under the TensorFlow of every stock TF Serving.

    python -m benchmarks.compatibility runs/online_retail

For each version it unpacks the wheels of TensorFlow and TF-Text into a temporary folder (2 GB, removed
again). It loads the model by the function that TF Serving itself calls, and sends one request of two rows to
every signature. The answers must equal those of the TensorFlow installed here: the same items in the same
order, and numbers within a relative 1e-4. It takes five to ten minutes on two cores.

TF Serving up to 2.19 links TF-Text 2.12.1, whose wheel loads only into TensorFlow 2.12. So the first row
tries the tokeniser of those servers in that TensorFlow. The rows of 2.16 to 2.19 use the TF-Text of their own
TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from benchmarks import stock_loader
from dataset.errors import DataError
from serving.compatibility.check import check_compatibility
from serving.compatibility.doctor import find_version
from serving.compatibility.stock_ops.wheels import unpacked
from serving.servable.extra_assets import ExtraAssets
from serving.servable.warmup_requests import example_inputs

# Each case is a TensorFlow, a TF-Text that loads into it, and the TF Serving that they stand for.
CASES = (
    ("2.12.1", "2.12.1", "the TF-Text of 2.16 to 2.19"),
    ("2.16.1", "2.16.1", "2.16"),
    ("2.17.0", "2.17.0", "2.17"),
    ("2.18.0", "2.18.1", "2.18"),
    ("2.19.0", "2.19.0", "2.19"),
    ("2.20.0", "2.20.0", "2.20"),
)
_COLUMNS = (
    *("TF Serving", "TensorFlow", "TF-Text", "`tandem doctor` says", "it loads"),
    *("signatures with the same answer", "largest difference of a number"),
)
_NUM_ROWS = 2
_INSTALLED = Path(tf.__file__).parent.parent


def outcomes(folder: Path) -> Iterator[tuple[str, ...]]:
    """Yields a row of the table for each case.

    Raises:
        DataError: If the model lacks the examples to ask it with.
        RuntimeError: If the TensorFlow installed here cannot load the model.
    """
    requests = _requests(folder)
    expected = _ask(_INSTALLED, folder, requests)
    if "error" in expected:
        raise RuntimeError(expected["error"])
    loading = check_compatibility(folder).versions
    for tensorflow, text, server in CASES:
        print(f"TensorFlow {tensorflow} with TF-Text {text} …", file=sys.stderr)
        # This is not tensorflow-cpu, because tensorflow-cpu 2.19 lacks a symbol that TF-Text needs.
        with unpacked(f"tensorflow=={tensorflow}", f"tensorflow-text=={text}") as wheels:
            answered = _ask(wheels, folder, requests)
        doctor = "" if " " in server else "yes" if server in loading else "no"
        if "error" in answered:
            yield (server, tensorflow, text, doctor, f"no: {answered['error']}", "", "")
        else:
            same, difference = _compare(expected["answers"], answered["answers"])
            total = f"{same} of {len(requests)}"
            yield (server, tensorflow, text, doctor, "yes", total, f"{difference:.1e}")


def _requests(folder: Path) -> dict[str, Any]:
    """The tensors to feed and to fetch, by signature and by their names in the graph."""
    try:
        examples = ExtraAssets(folder).read_examples()
    except FileNotFoundError:
        raise DataError(f"{folder} must hold assets.extra/examples.json. Got no such file.") from None
    saved_model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = saved_model.meta_graphs[0].signature_def
    requests = {}
    for name, tensors in example_inputs(examples, _NUM_ROWS).items():
        inputs = {}
        for key, tensor in tensors.items():
            values = tensor.numpy()
            inputs[signatures[name].inputs[key].name] = {
                "dtype": tensor.dtype.as_datatype_enum,
                "shape": list(values.shape),
                "values": [v.decode() if isinstance(v, bytes) else v.item() for v in values.flat],
            }
        outputs = {key: info.name for key, info in signatures[name].outputs.items()}
        requests[name] = {"inputs": inputs, "outputs": outputs}
    return requests


def _ask(wheels: Path, folder: Path, requests: dict[str, Any]) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(requests, file)
        file.flush()
        command = [sys.executable, "-m", stock_loader.__name__, str(wheels), str(folder), file.name]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        printed = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, timeout=600)
    answers: dict[str, Any] = json.loads(printed.stdout)
    return answers


def _compare(expected: dict[str, Any], answered: dict[str, Any]) -> tuple[int, float]:
    """The number of signatures with the same answer, and the largest difference of a number."""
    same, largest = 0, 0.0
    for signature, outputs in expected.items():
        is_same = True
        for name, output in outputs.items():
            values, others = output["values"], answered[signature][name]["values"]
            is_same &= output["shape"] == answered[signature][name]["shape"]
            if values and isinstance(values[0], float) and len(values) == len(others):
                largest = max(largest, float(np.abs(np.subtract(values, others)).max()))
                is_same &= bool(np.allclose(values, others, rtol=1e-4, atol=1e-5))
            else:
                is_same &= values == others
        same += is_same
    return same, largest


def main() -> int:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "model", type=Path, help="a version's folder, a folder of versions, or a run's folder"
    )
    try:
        folder = find_version(parser.parse_args().model)
        print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}")
        for row in outcomes(folder):
            print(f"| {' | '.join(row)} |", flush=True)
    except DataError as error:
        print(f"compatibility: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
