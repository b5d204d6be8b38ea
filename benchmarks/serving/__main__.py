"""The benchmark of serving, its latency and throughput: ``python -m benchmarks.serving MODEL_DIR``.

Closed-loop clients ask the embedded server over loopback. The server is started as ``tandem serve`` starts
it, with the pushed model and with models over synthetic catalogues. In the same minutes the clients ask a
peer (ONNX Runtime with the same encoder, faiss over the same vectors, gRPC; see ``benchmarks.serving.peer``).
The SavedModel is also called alone, inside one process. Further requirements are in
``requirements/benchmarks.in``.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.serving.load import OPERATIONS, Ask, Clients, Measured, make_asks, read_ids
from benchmarks.serving.tables import CatalogueResult, served_table, where_time_goes_table
from dataset.errors import DataError
from models.pretrained import DEFAULT_ENCODER, resolve_encoder
from serving.launcher import BATCHING_PARAMETERS
from serving.process import ServerProcess
from serving.pushed_model import newest_version_dir

SAMPLE = "sample"
_REQUIRED = ("faiss", "onnx", "onnxruntime", "tokenizers")
_ROUNDS = 2
# A version of a million items takes long to read from disk and to warm up.
_START_TIMEOUT_S = 900.0
_FLAGS = (
    "--enable_batching=true",
    f"--batching_parameters_file={BATCHING_PARAMETERS}",
    "--max_num_load_retries=0",
)


def measure_catalogue(
    name: str,
    model_dir: Path,
    folder: Path,
    clients: Clients,
    *,
    numbers_of_clients: Sequence[int],
    seconds: float,
) -> CatalogueResult:
    """Measures everything about one catalogue.

    Args:
        name: The catalogue's name in the tables.
        model_dir: The directory of its model's versions.
        folder: The folder that ``benchmarks.serving.catalogue`` wrote.
        clients: The clients that ask.
        numbers_of_clients: The numbers of clients that ask at once, one measurement each.
        seconds: The seconds of each measurement.
    """
    version_dir = newest_version_dir(model_dir)
    asks = make_asks(version_dir, read_ids(folder))
    with (
        _peer(folder) as peer,
        ServerProcess(model_dir, flags=_FLAGS, start_timeout_s=_START_TIMEOUT_S) as server,
    ):
        addresses = {"tandem": server.address, "peer": peer}
        served = {
            (operation, count): _in_turns(clients, addresses, operation, asks, count, seconds)
            for operation in OPERATIONS
            for count in numbers_of_clients
        }
    called = _inside("called", version_dir, folder, seconds)
    session = _inside("session", version_dir, folder, seconds)
    return CatalogueResult(name=name, served=served, called=called, session=session)


def _in_turns(
    clients: Clients,
    addresses: Mapping[str, str],
    operation: str,
    asks: list[Ask],
    count: int,
    seconds: float,
) -> dict[str, Measured]:
    """Measures both systems in turn, round by round, so that other work on the machine slows both."""
    rounds: dict[str, list[Measured]] = {system: [] for system in addresses}
    for _ in range(_ROUNDS):
        for system, address in addresses.items():
            part = seconds / _ROUNDS
            rounds[system].append(
                clients.measure(system, address, operation, asks, clients=count, seconds=part)
            )
    say(f"  {operation}, {count} client{'s' if count > 1 else ''}")
    return {system: Measured.joined(parts) for system, parts in rounds.items()}


@contextlib.contextmanager
def _peer(folder: Path) -> Iterator[str]:
    """Runs the peer in a process of its own while the ``with`` block lasts, and yields its address."""
    arguments = [resolve_encoder(DEFAULT_ENCODER), str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.peer", *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("The peer must start. It ended instead; its own message is above.")
        yield address
    finally:
        process.terminate()
        process.wait()


def _inside(how: str, version_dir: Path, folder: Path, seconds: float) -> Any:
    say(f"  inside one process: {how}")
    return json.loads(run_module("benchmarks.serving.inside", how, version_dir, folder, seconds))


def run_module(module: str, *arguments: object) -> str:
    """The standard output of a module run in a process of its own.

    Raises:
        RuntimeError: If the module fails; the text has its last words.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} must succeed. It said: {done.stderr[-2000:]}")
    return done.stdout


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare(size: str, model_dir: Path, cache: Path) -> tuple[Path, Path]:
    """The directory of the versions and the folder of a catalogue of one size; both are made if missing."""
    version_dir = newest_version_dir(model_dir)
    # Another version is another model, so each version has a cache of its own.
    cache = cache / version_dir.name
    base = cache / SAMPLE
    if not (base / "vectors.npy").exists():
        run_module("benchmarks.serving.catalogue", version_dir, base)
    if size == SAMPLE:
        return model_dir, base
    folder = cache / size
    if not (folder / "approximate" / "1").exists():
        say(f"  making a model of {int(size):,} items")
        run_module(
            "benchmarks.serving.catalogue", version_dir, folder, f"--synthetic={size}", f"--base={base}"
        )
    return folder / "model", folder


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument(
        "model_dir", type=Path, help="a pushed model, such as runs/online_retail/serving/tandem"
    )
    parser.add_argument("--sizes", default=f"{SAMPLE},100000,1000000", help="the sample, or items to make")
    parser.add_argument("--clients", default="1,4,16", help="numbers of clients")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default: 10)")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "tandem-benchmarks",
        help="where synthetic models are kept; a million items take about 12 GB",
    )
    options = parser.parse_args(arguments)
    try:
        check_sizes(options.sizes)
        newest_version_dir(options.model_dir)
        _check_requirements()
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    numbers = [int(number) for number in options.clients.split(",")]
    started = time.monotonic()
    print(f"{machine()}; `python -m benchmarks.serving {' '.join(arguments or sys.argv[1:])}`\n")
    results = []
    with Clients(max(numbers)) as clients:
        for size in options.sizes.split(","):
            say(size)
            model_dir, folder = prepare(size, options.model_dir, options.cache)
            name = size if size == SAMPLE else f"{int(size):,}"
            result = measure_catalogue(
                name, model_dir, folder, clients, numbers_of_clients=numbers, seconds=options.seconds
            )
            results.append(result)
            print(served_table([result]), end="\n\n")
            print(where_time_goes_table(result), end="\n\n", flush=True)
    if len(results) > 1:
        print(served_table(results), end="\n\n")
    say(f"{(time.monotonic() - started) / 60:.0f} minutes")
    return 0


def _check_requirements() -> None:
    missing = [name for name in _REQUIRED if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(
            f"The peer must have {', '.join(missing)}. Got a Python without; "
            "install requirements/benchmarks.in into its environment."
        )


def check_sizes(sizes: str) -> None:
    for size in sizes.split(","):
        if size != SAMPLE and not size.isdecimal():
            raise DataError(f"A size must be {SAMPLE} or a number of items. Got {size!r}.")


if __name__ == "__main__":
    sys.exit(main())
