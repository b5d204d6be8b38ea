"""The benchmark of catalogue sizes: what a search over more items costs, exact and approximate.

``python -m benchmarks.serving.sizes MODEL_DIR`` makes synthetic catalogues around that of a pushed model and
prints a row for each size and index: CPU time of a search in one thread beside that of the encoder alone,
recall@100 against the exact index, the seconds from start to ready and the memory of the embedded server.
With faiss installed (``requirements/benchmarks.in``), rows of its flat and its HNSW index over the same
vectors, which search by meaning alone, come below.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from benchmarks.serving.__main__ import SAMPLE, check_sizes, prepare, run_module, say
from benchmarks.serving.tables import markdown_table
from dataset.errors import DataError
from serving.process import ServerProcess
from serving.pushed_model import newest_version_dir

_K = 100
_NUM_TIMES = 5
_START_TIMEOUT_S = 1800.0
_INDEXES = {"exact": "model", "approximate": "approximate"}
# What two ways to compute a score may differ by.
_ROUNDING = 1e-5
_HNSW_LINKS = 32
_HEADER = ["items", "index", "encoder CPU ms", "search CPU ms", "recall@100", "ready s", "RSS GB"]


def cpu_ms(call: Callable[[Any], Any], asks: Sequence[Any]) -> float:
    """The median over requests of the least CPU time of a few calls: other work on a machine slows some."""
    times = []
    for ask in asks:
        call(ask)
        spent = []
        for _ in range(_NUM_TIMES):
            before = time.process_time()
            call(ask)
            spent.append(1e3 * (time.process_time() - before))
        times.append(min(spent))
    return float(np.median(times))


def recall(found: np.ndarray, due: np.ndarray) -> float:
    """The mean share of the places that an item with as high a score as is due takes.

    Args:
        found: float32 ``[num_queries, k]``, exact scores of what was found.
        due: float32 ``[num_queries, k]``, those of the best items, best first.
    """
    return float((found >= due[:, -1:] - _ROUNDING).mean())


def measure(version_dir: Path, folder: Path) -> dict[str, Any]:
    """The CPU times in ms of the encoder and of a search, and the scores of the searches, in one thread."""
    import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

    import tensorflow as tf

    from benchmarks.serving.inside import Session, encoder_caller, inputs_of
    from benchmarks.serving.load import make_asks, read_ids

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    asks = make_asks(version_dir, read_ids(folder))[:40]
    session = Session(version_dir)

    def search(ask: Any) -> Any:
        return session.run("search", inputs_of("search", ask) | {"k": np.array([_K], np.int32)})

    return {
        "encoder_ms": cpu_ms(encoder_caller(), asks),
        "search_ms": cpu_ms(session.caller("search"), asks),
        "scores": [search(ask)["scores"][0].tolist() for ask in asks],
    }


def measure_faiss(folder: Path, kind: str) -> dict[str, Any]:
    """The same of a faiss index over the vectors of a catalogue, asked for what is like some of its items."""
    import faiss

    faiss.omp_set_num_threads(os.cpu_count() or 1)
    vectors = np.load(folder / "vectors.npy")
    before, started = _rss_gb(os.getpid()), time.monotonic()
    index = (
        faiss.IndexFlatIP(vectors.shape[1])
        if kind == "flat"
        else faiss.IndexHNSWFlat(vectors.shape[1], _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    )
    index.add(vectors)
    ready_s, gigabytes = time.monotonic() - started, _rss_gb(os.getpid()) - before
    faiss.omp_set_num_threads(1)
    if kind != "flat":
        index.hnsw.efSearch = 2 * _K
    asked = vectors[:: max(len(vectors) // 40, 1)][:40]
    return {
        "search_ms": cpu_ms(lambda ask: index.search(ask[None], _K), list(asked)),
        "scores": [index.search(ask[None], _K)[0][0].tolist() for ask in asked],
        "ready_s": ready_s,
        "rss_gb": gigabytes,
    }


def rows_of(size: str, model_dir: Path, cache: Path, *, with_faiss: bool) -> list[list[str]]:
    """The rows of one size."""
    _, folder = prepare(size, model_dir, cache)
    rows, due = [], np.zeros((0, _K))
    for index, name in _INDEXES.items():
        say(f"  {size}: {index}")
        found = json.loads(run_module("benchmarks.serving.sizes", "--measure", folder / name / "1", folder))
        started = time.monotonic()
        with ServerProcess(folder / name, start_timeout_s=_START_TIMEOUT_S) as server:
            ready_s, gigabytes = time.monotonic() - started, _rss_gb(server.pid)
        scores = np.array(found["scores"])
        due = scores if index == "exact" else due
        rows.append(
            [
                f"{int(size):,}",
                index,
                f"{found['encoder_ms']:.1f}",
                f"{found['search_ms']:.1f}",
                f"{recall(scores, due):.3f}",
                f"{ready_s:.0f}",
                f"{gigabytes:.2f}",
            ]
        )
    for kind in ("flat", "HNSW") if with_faiss else ():
        say(f"  {size}: faiss {kind}")
        found = json.loads(run_module("benchmarks.serving.sizes", "--faiss", kind, folder))
        scores = np.array(found["scores"])
        due = scores if kind == "flat" else due
        rows.append(
            [
                f"{int(size):,}",
                f"faiss {kind}",
                "",
                f"{found['search_ms']:.1f}",
                f"{recall(scores, due):.3f}",
                f"{found['ready_s']:.0f}",
                f"{found['rss_gb']:.2f}",
            ]
        )
    return rows


def _rss_gb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1e6 if found else 0.0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving.sizes", description=__doc__)
    parser.add_argument("model_dir", type=Path, help="a pushed model")
    parser.add_argument("folder", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--sizes", default="2000,100000,1000000", help="numbers of items")
    parser.add_argument(
        "--cache", type=Path, default=Path(tempfile.gettempdir()) / "tandem-benchmarks", help="for the models"
    )
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--faiss", choices=("flat", "HNSW"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    # Each measure runs in a process of its own, which gives its memory back.
    if options.measure:
        json.dump(measure(options.model_dir, options.folder), sys.stdout)
        return 0
    if options.faiss:
        json.dump(measure_faiss(options.model_dir, options.faiss), sys.stdout)
        return 0
    try:
        check_sizes(options.sizes)
        if SAMPLE in options.sizes.split(","):
            raise DataError(f"A size must be a number of items here. Got {SAMPLE!r}.")
        newest_version_dir(options.model_dir)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{machine()}; `python -m benchmarks.serving.sizes {' '.join(arguments or sys.argv[1:])}`\n")
    rows: list[list[str]] = []
    for size in options.sizes.split(","):
        with_faiss = importlib.util.find_spec("faiss") is not None
        rows += rows_of(size, options.model_dir, options.cache, with_faiss=with_faiss)
        print(markdown_table(_HEADER, rows), end="\n\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
