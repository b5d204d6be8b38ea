"""The command ``python -m serving.web``: the gateway, where only `dataset` and `serving` are installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dataset.errors import DataError
from serving.web.cli import add_arguments, run

_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Serves, or manages keys.

    Args:
        argv: The arguments after the module's name; ``None`` takes those of the process.

    Returns:
        The exit code: 0 if all went well, 2 for a mistake that standard error names, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m serving.web", description="Serve a JSON API and a page where people try a model."
    )
    parser.set_defaults(func=run)
    add_arguments(parser)
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.func(arguments))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except DataError as error:
        print(f"tandem: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
