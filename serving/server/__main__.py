"""Command that runs the server: ``python -m serving.server --port=8500 --model_base_path=/models/tandem``."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import sys

from serving.server.flags import FlagError, UnsupportedFlagError, parse_flags, usage

_EXIT_FAILED = 255
# The release of TensorFlow Serving whose protocol this server speaks.
_PROTOCOL_VERSION = "2.20.0"


def main(arguments: list[str]) -> int:
    """Runs the server with TensorFlow-style flags and returns the process's exit code."""
    if "--help" in arguments:
        print(usage())
        return 0
    try:
        command_line = parse_flags(arguments)
    except FlagError as error:
        if not isinstance(error, UnsupportedFlagError):
            print(usage())
        print(error, file=sys.stderr)
        return _EXIT_FAILED
    if command_line.version:
        print(f"TensorFlow ModelServer: {_PROTOCOL_VERSION}+tandem")
        print(f"TensorFlow Library: {importlib.metadata.version('tensorflow')}")
        return 0
    if command_line.unknown:
        print(f"unknown argument: {command_line.unknown[0]}\n{usage()}", flush=True)

    # All fused products of a servable are of weights, which oneDNN may lay out once for all requests.
    # TensorFlow reads this when it starts.
    os.environ.setdefault("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
    # TensorFlow takes seconds to import; a mistake in the flags is told before that.
    from serving.server.model_server import StartError, run, set_up_logging

    set_up_logging()
    try:
        run(command_line.config)
    except StartError as error:
        print(f"Failed to start server. Error: {error}", flush=True)
        return _EXIT_FAILED
    return 0


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    sys.stdout.flush()
    # A request that outlasted the drain still has its thread, and an ordinary exit would wait for it.
    os._exit(code)
