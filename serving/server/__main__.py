"""The server as a command: ``python -m serving.server --port=8500 --model_base_path=/models/tandem``."""

from __future__ import annotations

import sys

from serving.server.flags import FlagError, parse_flags, usage
from serving.server.model_server import StartError, run, set_up_logging

_EXIT_FAILED = 255


def main(arguments: list[str]) -> int:
    """Runs the server with TensorFlow-style flags and returns the process's exit code."""
    if "--help" in arguments:
        print(usage())
        return 0
    set_up_logging()
    try:
        run(parse_flags(arguments))
    except FlagError as error:
        print(f"{error}\n{usage()}", file=sys.stderr)
        return _EXIT_FAILED
    except StartError as error:
        print(f"Failed to start server. Error: {error}", flush=True)
        return _EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
