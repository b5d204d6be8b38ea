"""How every command of ``tandem`` is declared, wherever it is implemented; imports nothing it starts."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: Callable[[argparse.Namespace], int],
    explanation: str,
) -> argparse.ArgumentParser:
    """Adds a command.

    Args:
        commands: Where to.
        name: What a person types.
        function: Takes the arguments and returns the exit code.
        explanation: One line for the list of commands, without capital and full stop.

    Returns:
        Its parser, for arguments of its own.
    """
    parser = commands.add_parser(
        name, help=explanation, description=f"{explanation[:1].upper()}{explanation[1:]}."
    )
    parser.set_defaults(func=function)
    add_debug(parser)
    return parser


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Adds ``--debug``, which may stand before the command and after it."""
    # Suppressed, as a command's own default would undo the flag given before the command.
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
