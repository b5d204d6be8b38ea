"""The command ``tandem compare``, which imports TFX when a variant runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from serving.pushed_model import RUNS

_EPILOG = """\
A variant is one or more settings with spaces or commas between them, perhaps with a name:
  --variants model.trainable=lora "small: model.behaviour_dim=64, model.history_dim=32"
A grid is some variants under one name:
  peft            model.trainable=frozen, lora, top_layers, full
  size            towers of 64 and 32, 128 and 64, 256 and 128, 512 and 256
  encoder         model.encoder=minilm, bge-small, e5-small-multilingual
  query_encoder   serve.query_encoder=auto, table, encoder
What is as the default already is left out of a grid. Exit code 1 says that a variant failed.
"""


def add_arguments(
    parser: argparse.ArgumentParser, *, shared: Sequence[Callable[[argparse.ArgumentParser], None]]
) -> None:
    """Adds the arguments.

    Args:
        parser: The parser of ``tandem compare``.
        shared: Functions that add the arguments which it shares with ``tandem run``.
    """
    for add in shared:
        add(parser)
    parser.add_argument(
        "--variants",
        nargs="+",
        action="extend",
        required=True,
        metavar="VARIANT",
        help="settings such as model.trainable=lora, or a grid: peft, size, encoder or query_encoder",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=1,
        metavar="N",
        help="how often each variant is trained, with seeds one after another (default: 1)",
    )
    parser.add_argument(
        "--workdir",
        type=Path,
        metavar="DIR",
        help=f"the folder of runs; the comparison is in its subfolder compare (default: {RUNS}/NAME)",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG


def run(arguments: argparse.Namespace) -> int:
    """Compares the variants with the default that ``--config`` and ``--set`` describe."""
    from dataset.manifest import load_manifest

    manifest = load_manifest(arguments.dataset)
    arguments.workdir = arguments.workdir or RUNS / manifest.name
    from pipeline.comparison.running import compare

    return compare(
        manifest,
        workdir=arguments.workdir,
        words=arguments.variants,
        config_path=arguments.config,
        overrides=arguments.overrides,
        num_seeds=arguments.seeds,
    )
