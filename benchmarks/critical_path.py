"""The critical path of a pipeline: ``python -m benchmarks.critical_path WORKDIR DATASET``.

It is the longest chain of nodes that wait for each other, in the times that the last runs took. The command
prints it beside the sum of all nodes. The difference is the most that running independent nodes at once could
save, on any number of machines.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)


def critical_path(durations: Mapping[str, float], upstream: Mapping[str, Sequence[str]]) -> list[str]:
    """The chain of nodes that takes longest, first node first.

    Args:
        durations: The seconds of each node.
        upstream: The nodes that each node waits for. A node must come after those it waits for.
    """
    ends: dict[str, float] = {}
    before: dict[str, str] = {}
    for name, waited_for in upstream.items():
        start = 0.0
        if waited_for:
            before[name] = max(waited_for, key=lambda earlier: ends[earlier])
            start = ends[before[name]]
        ends[name] = start + durations.get(name, 0.0)
    path = [max(ends, key=lambda name: ends[name])]
    while path[0] in before:
        path.insert(0, before[path[0]])
    return path


def upstream_nodes(dataset: str, workdir: Path) -> dict[str, list[str]]:
    """The graph of a dataset's pipeline, in the order in which the local runner runs it."""
    from dataset.manifest import load_manifest
    from pipeline.config import Config
    from pipeline.local import locations_in
    from pipeline.pipeline import create_pipeline

    manifest = load_manifest(dataset)
    pipeline = create_pipeline(manifest, Config(), locations=locations_in(workdir, manifest))
    return {node.id: [before.id for before in node.upstream_nodes] for node in pipeline.components}


def main() -> None:
    """Prints the path, its length and the sum of all nodes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workdir", type=Path, help="a run's folder")
    parser.add_argument("dataset", help="its dataset")
    arguments = parser.parse_args()
    durations = json.loads((arguments.workdir / "durations.json").read_text())
    path = critical_path(durations, upstream_nodes(arguments.dataset, arguments.workdir))
    for node in path:
        print(f"{durations.get(node, 0.0):8.1f} s  {node}")
    longest, total = sum(durations.get(node, 0.0) for node in path), sum(durations.values())
    ratio = total / longest
    print(f"{longest:8.1f} s  the longest chain, of {total:.1f} s one after another: {ratio:.2f} times")


if __name__ == "__main__":
    main()
