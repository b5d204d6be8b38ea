"""The benchmark of the trained models on data sets: ``python -m benchmarks.quality FOLDER...``.

A folder has a ``dataset.toml``, or the name of a manifest in ``benchmarks/manifests``. The test split chooses
nothing: the epochs and the ranker are chosen on validation, and only the report looks at the test window.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

from benchmarks.dataset import find_manifest
from dataset.errors import DataError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="a data set")
    parser.add_argument(
        "--workdir", type=Path, default=Path("runs/benchmarks"), help="one folder a data set in it"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="as for tandem run"
    )
    options = parser.parse_args(arguments)
    from pipeline import local

    for folder in options.folders:
        started = time.monotonic()
        try:
            manifest = find_manifest(folder)
            local.run(manifest, workdir=options.workdir / manifest.name, overrides=options.set)
        except DataError as error:
            print(error, file=sys.stderr)
            return 2
        peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        minutes = (time.monotonic() - started) / 60
        print(f"\n{manifest.name}: {minutes:.1f} minutes, {peak_gb:.1f} GB at the peak.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
