"""The declaration of a command of ``tandem``; the module imports none of the commands."""

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
        commands: The commands to add it to.
        name: The name that a person types.
        function: The function that takes the arguments and returns the exit code.
        explanation: One line for the list of commands, without a capital letter and a full stop.

    Returns:
        The parser of the command, for arguments of its own.
    """
    parser = commands.add_parser(
        name, help=explanation, description=f"{explanation[:1].upper()}{explanation[1:]}."
    )
    parser.set_defaults(func=function)
    add_debug(parser)
    return parser


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Adds ``--debug``, which may stand before or after the command."""
    # The default is suppressed, because a command's default would undo the flag given before the command.
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
    )
