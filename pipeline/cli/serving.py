"""The commands that serve a model (``serve``, ``demo``) and those that ask one (``search``, ``recommend``,
…).

None of them imports TensorFlow, because servers are processes of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from dataset.errors import DataError
from pipeline.cli import names
from pipeline.cli.commands import add_command
from serving import launcher
from serving.client import Client, Results
from serving.client.context import Time
from serving.client.errors import ServingError
from serving.client.tls import TlsConfig
from serving.printing import as_json, as_table
from serving.pushed_model import RUNS, model_dir

_SHORTHAND = "given once, it may be several with commas between them if the model has them all"

# Those that change nothing if the model does not have them.
_OPTIONS_OF_IDS = ("history", "exclude", "pin", "cart")

_Value = TypeVar("_Value")


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the commands. Each sets ``func``, a function that takes the arguments and returns the exit code.

    The function raises ``DataError`` for a person's mistake, and also if the server cannot be reached.
    """
    serve = add_command(
        subparsers, "serve", launcher.run, "serve the model a run has pushed, over gRPC and REST"
    )
    launcher.add_arguments(serve)

    search = add_command(subparsers, "search", _search, "find items for a text")
    search.add_argument("text", help="the text to search for")
    _add_context(search)
    search.add_argument("--exclude-seen", action="store_true", help="leave out the items of the history")
    search.add_argument("--as-typed", action="store_true", help="do not correct the spelling")
    search.add_argument("--offset", type=int, default=0, metavar="N", help="leave out the first N results")
    search.add_argument(
        "--sort", default="", metavar="COLUMN", help="list what matches by a number; -COLUMN: highest first"
    )
    _add_list_options(search)
    _add_wishes(search)

    recommend = add_command(subparsers, "recommend", _recommend, "recommend items to a user or for a history")
    _add_context(recommend)
    recommend.add_argument("--include-seen", action="store_true", help="keep the items of the history")
    _add_list_options(recommend)
    _add_wishes(recommend)

    similar = add_command(subparsers, "similar", _similar, "find items that resemble one")
    similar.add_argument("item", help="an item id")
    _add_now(similar)
    _add_list_options(similar)

    complement = add_command(subparsers, "complement", _complement, "find items that go with a cart")
    complement.add_argument("cart", nargs="+", metavar="ID", help=f"item ids; {_SHORTHAND}")
    _add_now(complement)
    _add_list_options(complement)

    rank = add_command(subparsers, "rank", _rank, "order your own candidates")
    _add_ids(rank, "--candidates", "an item to order", required=True)
    rank.add_argument("--query", metavar="TEXT", help="the text that was searched for")
    _add_context(rank)
    _add_server_options(rank)

    demo = add_command(subparsers, "demo", _demo, "start a server, show what it answers, stop it")
    demo.add_argument("dataset", type=Path, help="the dataset's folder")
    demo.add_argument("--workdir", type=Path, help=f"the run's folder (default: {RUNS}/NAME)")


def _add_ids(
    parser: argparse.ArgumentParser, option: str, explanation: str, *, required: bool = False
) -> None:
    parser.add_argument(
        option,
        action="append",
        required=required,
        metavar="ID",
        help=f"the id of {explanation}; may be repeated; {_SHORTHAND}",
    )


def _add_context(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--user", metavar="U", help="the id of the user who asks")
    _add_ids(parser, "--history", "an item that was chosen, the most recent first")
    parser.add_argument(
        "--history-times",
        action="extend",
        type=_times,
        metavar="T1,T2",
        help="when each was chosen: ISO 8601 (UTC without a zone) or epoch seconds; nothing if unknown",
    )
    _add_now(parser)


def _add_now(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--now",
        type=_time,
        default=0,
        metavar="T",
        help="the moment that is asked for, which items must be available at (default: the time on the "
        "server, and to recommend by, the newest event that the model knows)",
    )


def _add_list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-k", type=int, default=10, help="the most results to answer with (default: 10)")
    _add_ids(parser, "--exclude", "an item that must not be in the answer")
    parser.add_argument(
        "--filter",
        action="append",
        metavar="COLUMN=VALUE",
        help="only items with this value; COLUMN!=VALUE leaves them out, and COLUMN<=NUMBER (or <, >=, >) is "
        "a range; may be repeated, and then one value of each column and all other filters must hold",
    )
    _add_server_options(parser)


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--diversity",
        type=float,
        default=0.0,
        metavar="D",
        help="from 0, the best items, to 1, items as unlike each other as possible (default: 0)",
    )
    parser.add_argument(
        "--boost",
        action="append",
        metavar="COLUMN=VALUE:FACTOR",
        help="items with this value count more by the factor, or less if it is below 1; may be repeated",
    )
    _add_ids(parser, "--pin", "an item that comes first")


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--server", default="localhost:8500", metavar="HOST:PORT", help="default: localhost:8500"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="seconds to wait for an answer (default: 10)",
    )
    parser.add_argument("--version", type=int, metavar="N", help="ask this version (default: the newest)")
    parser.add_argument("--label", metavar="NAME", help="ask the version with this label")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    tls = parser.add_argument_group("TLS", "any of these encrypts")
    tls.add_argument("--tls", action="store_true", help="the server's certificate is of a public authority")
    tls.add_argument("--tls-ca", metavar="FILE", help="PEM file of the authority of the server's certificate")
    tls.add_argument("--tls-certificate", metavar="FILE", help="PEM file of your own certificate")
    tls.add_argument("--tls-key", metavar="FILE", help="PEM file of its private key")
    tls.add_argument("--tls-server-name", metavar="NAME", help="the name in the server's certificate")


def _times(text: str) -> list[Time]:
    return [_time(part) if part.strip() else 0 for part in text.split(",")]


def _time(text: str) -> Time:
    with contextlib.suppress(ValueError):
        return float(text)
    with contextlib.suppress(ValueError):
        return datetime.datetime.fromisoformat(text.strip())
    raise argparse.ArgumentTypeError(f"A time must be ISO 8601 or epoch seconds. Got {text.strip()!r}.")


def _context(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of a call that say who asks, and when."""
    return {
        "user_ids": _row(args.user),
        "histories": _row(args.history),
        "history_times": _row(args.history_times),
        "now": args.now,
    }


def _wishes(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments of a call that rearrange its answer."""
    return {"diversity": args.diversity, "boost": _row(args.boost), "pin": _row(args.pin)}


def _search(args: argparse.Namespace) -> int:
    with _asking(args) as client:
        results = client.search(
            [args.text],
            **_context(args),
            k=args.k,
            exclude=_row(args.exclude),
            exclude_seen=args.exclude_seen,
            filters=_row(args.filter),
            **_wishes(args),
            spell=not args.as_typed,
            offset=args.offset,
            sort=args.sort,
        )
        if results[0].corrected_query and not args.json:
            print(
                f'Showing results for "{results[0].corrected_query}"; --as-typed searches for "{args.text}".'
            )
        return _show(client, results[0], args)


def _recommend(args: argparse.Namespace) -> int:
    if args.user is None and args.history is None:
        raise DataError("recommend must have --user or --history. Got neither.")
    with _asking(args) as client:
        results = client.recommend(
            **_context(args),
            exclude_seen=not args.include_seen,
            k=args.k,
            exclude=_row(args.exclude),
            filters=_row(args.filter),
            **_wishes(args),
        )
        return _show(client, results[0], args)


def _similar(args: argparse.Namespace) -> int:
    with _asking(args) as client:
        names.require_item(client, args.item)
        results = client.similar(
            [args.item], k=args.k, exclude=_row(args.exclude), filters=_row(args.filter), now=args.now
        )
        return _show(client, results[0], args)


def _complement(args: argparse.Namespace) -> int:
    with _asking(args) as client:
        results = client.complement(
            [args.cart], k=args.k, exclude=_row(args.exclude), filters=_row(args.filter), now=args.now
        )
        return _show(client, results[0], args)


def _rank(args: argparse.Namespace) -> int:
    with _asking(args) as client:
        results = client.rank(
            [args.candidates],
            queries=_row(args.query),
            **_context(args),
        )
        return _show(client, results[0], args)


def _demo(args: argparse.Namespace) -> int:
    from dataset.manifest import load_manifest
    from serving.demo import demo

    workdir = args.workdir or RUNS / load_manifest(args.dataset).name
    try:
        demo(model_dir(workdir))
    except ServingError as error:
        raise DataError(str(error)) from error
    return 0


def _row(value: _Value | None) -> list[_Value] | None:
    """A batch of one row."""
    return None if value is None else [value]


@contextlib.contextmanager
def _asking(args: argparse.Namespace) -> Iterator[Client]:
    """Yields a client of the server that ``args`` names, and raises its errors as ``DataError``.

    The options of ``args`` that hold ids are read first, which may need the model.
    """
    try:
        with Client(
            args.server,
            version=args.version,
            version_label=args.label,
            timeout_s=args.timeout,
            tls=_tls(args),
        ) as client:
            for name in ("candidates", *_OPTIONS_OF_IDS):
                if texts := getattr(args, name, None):
                    option = name if name == "cart" else f"--{name}"
                    setattr(args, name, names.read_ids(client, option, texts))
            yield client
    except (ServingError, ValueError) as error:
        raise DataError(str(error)) from error


def _tls(args: argparse.Namespace) -> TlsConfig | None:
    files = {"ca": args.tls_ca, "certificate": args.tls_certificate, "key": args.tls_key}
    if not (args.tls or args.tls_server_name or any(files.values())):
        return None
    return TlsConfig(**files, server_name=args.tls_server_name)


def _show(client: Client, results: Results, args: argparse.Namespace) -> int:
    if not results:
        filters, sort = getattr(args, "filter", None) or [], getattr(args, "sort", "")
        names.require_columns(client, filters, sort, args.now)
    if boosts := getattr(args, "boost", None):
        names.require_boosts(client, boosts, args.now)
    names.note_unknown_ids(client, [i for name in _OPTIONS_OF_IDS for i in getattr(args, name, None) or []])
    print(as_json(results) if args.json else as_table(results))
    return 0
