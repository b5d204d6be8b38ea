"""The commands that ask a server, run in this process."""

from __future__ import annotations

import argparse

from pipeline.cli.serving import add_commands


def run_command(*arguments: str) -> int:
    """The exit code of a command; what it refuses is raised."""
    parser = argparse.ArgumentParser(prog="tandem")
    add_commands(parser.add_subparsers(required=True))
    args = parser.parse_args(arguments)
    code: int = args.func(args)
    return code
