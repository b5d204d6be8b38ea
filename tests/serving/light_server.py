"""A server that starts within a second: it has the flags and the status of one, and no model.

``python -m tests.serving.light_server --port=P [--end_with=CODE] [--stubborn=true]``
"""

from __future__ import annotations

import signal
import sys

from serving.engines import flag_value
from tests.serving.stub_server import StubServer


def main(flags: list[str]) -> int:
    """Serves until SIGTERM, unless a flag says otherwise."""
    print("starting", flush=True)
    if code := flag_value(flags, "end_with"):
        print("No space for the model.", flush=True)
        return int(code)
    if flag_value(flags, "stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with StubServer(port=int(flag_value(flags, "port"))):
        signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
