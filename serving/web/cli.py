"""The command ``tandem web``, which imports FastAPI only after it has checked the arguments."""

from __future__ import annotations

import argparse
import ipaddress
import os
import sys
from pathlib import Path

from dataset.errors import DataError
from serving.client.tls import TlsConfig
from serving.pushed_model import RUNS, model_dir

_DEFAULT_SERVER = "localhost:8500"
_LOG_KEY = "TANDEM_LOG_KEY"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``web``, and the commands of ``web keys``, which set their own ``func``."""
    parser.add_argument(
        "--server",
        metavar="HOST:PORT",
        help=f"gRPC address of the model server (default: {_DEFAULT_SERVER}, and the latest run in {RUNS}/)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: 8080)")
    parser.add_argument(
        "--workdir", type=Path, help="the run the model is from, for examples and the items' columns"
    )
    parser.add_argument(
        "--model-dir",
        type=Path,
        help="the directory of the model's versions, if there is no run",
    )
    access = parser.add_argument_group("access")
    access.add_argument("--keys", type=Path, metavar="FILE", help="ask for one of these API keys")
    access.add_argument(
        "--allow-anonymous",
        action="store_true",
        help="ask for no key, even if other machines can reach the gateway",
    )
    access.add_argument(
        "--rate", metavar="N/TIME", help="requests of one key or address, such as the default 600/minute"
    )
    access.add_argument("--tls-certificate", type=Path, metavar="FILE", help="PEM certificate with its chain")
    access.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM key of the certificate")
    access.add_argument(
        "--trusted-proxy",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="believe X-Forwarded-For of this address or network; may be repeated (default: none)",
    )
    access.add_argument(
        "--log-key",
        type=Path,
        metavar="FILE",
        help=f"secret of the pseudonyms in the log, else ${_LOG_KEY} (default: made up for this process)",
    )
    server = parser.add_argument_group("TLS to the model server", "any of these encrypts")
    server.add_argument("--server-ca", metavar="FILE", help="PEM file of the authority of its certificate")
    server.add_argument(
        "--server-certificate", metavar="FILE", help="PEM file of the gateway's certificate there"
    )
    server.add_argument("--server-key", metavar="FILE", help="PEM file of its private key")
    server.add_argument("--server-name", metavar="NAME", help="the name in the server's certificate")
    _add_keys(parser)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    # argparse by itself would show the subcommand as required.
    parser.usage = "%(prog)s [OPTION]...\n       %(prog)s keys {add,list,remove} ..."
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog=parser.prog)
    keys = commands.add_parser("keys", help="make, list and remove API keys", description="API keys.")
    actions = keys.add_subparsers(metavar="COMMAND", required=True)
    for name, function, explanation in (
        ("add", _add_key, "make a key and print it, this once"),
        ("list", _list_keys, "whose keys there are"),
        ("remove", _remove_key, "let a key count no more"),
    ):
        action = actions.add_parser(name, help=explanation, description=f"{explanation.capitalize()}.")
        action.set_defaults(func=function)
        if name != "list":
            action.add_argument("name", metavar="NAME", help="the name of the key's owner")
        action.add_argument("--keys", type=Path, metavar="FILE", required=True, help="the file of keys")


def run(args: argparse.Namespace) -> int:
    """Serves until it is told to stop.

    Raises:
        DataError: If an argument is wrong.
    """
    if not 0 <= args.port <= 65535:
        raise DataError(f"--port must be between 0 and 65535. Got {args.port}.")
    if args.workdir and args.model_dir:
        raise DataError("Either --workdir or --model-dir must be given. Got both.")
    if args.model_dir and not args.model_dir.is_dir():
        raise DataError(f"--model-dir must be a directory. Got {args.model_dir}.")
    for proxy in args.trusted_proxy:
        _check_network(proxy)
    if (args.tls_certificate is None) != (args.tls_key is None):
        raise DataError("--tls-certificate and --tls-key must be given together. Got one of them.")
    log_key = _log_key(args.log_key)
    from serving.web.config import GatewayConfig
    from serving.web.request_log import Pseudonyms
    from serving.web.server import HttpConfig, serve

    config = GatewayConfig(
        server=args.server or _DEFAULT_SERVER,
        server_tls=_server_tls(args),
        model_dir=model_files_dir(args),
        host=args.host,
        keys=args.keys,
        allow_anonymous=args.allow_anonymous,
        rate=args.rate,
        pseudonyms=Pseudonyms(key=log_key) if log_key else Pseudonyms.of_this_process(),
    )
    if not log_key:
        print(
            f"Pseudonyms in the log are of this process only; --log-key or ${_LOG_KEY} keeps them.",
            file=sys.stderr,
        )
    http = HttpConfig(
        port=args.port,
        tls_certificate=args.tls_certificate,
        tls_key=args.tls_key,
        trusted_proxies=tuple(args.trusted_proxy),
    )
    serve(config, http)
    return 0


def model_files_dir(args: argparse.Namespace) -> Path | None:
    """The directory of the model's versions: the given one, or the one that ``tandem serve`` would serve."""
    if args.model_dir:
        return Path(args.model_dir)
    if args.workdir:
        return model_dir(args.workdir)
    if args.server:
        return None
    try:
        return model_dir(None)
    except DataError:
        return None


def _check_network(proxy: str) -> None:
    try:
        ipaddress.ip_network(proxy, strict=False)
    except ValueError as error:
        raise DataError(f"--trusted-proxy must be an address or a network. Got {proxy!r}.") from error


def _server_tls(args: argparse.Namespace) -> TlsConfig | None:
    files = {"ca": args.server_ca, "certificate": args.server_certificate, "key": args.server_key}
    if not any([*files.values(), args.server_name]):
        return None
    try:
        return TlsConfig(**files, server_name=args.server_name)
    except ValueError as error:
        raise DataError(str(error)) from error


def _log_key(path: Path | None) -> bytes | None:
    try:
        key = path.read_bytes().strip() if path else os.environ.get(_LOG_KEY, "").encode()
    except OSError as error:
        raise DataError(f"The file of --log-key must be readable. Got {path}.") from error
    if not key and path is None:
        return None
    if len(key) < 16:
        raise DataError(
            "The secret of the log's pseudonyms must be at least 16 bytes, such as those of "
            f"`openssl rand -hex 32`. Got {len(key)}."
        )
    return key


def _add_key(args: argparse.Namespace) -> int:
    from serving.web.keys import add_key

    key = add_key(args.keys, args.name)
    print(
        f"This is the key of {args.name}. It is shown only once; {args.keys} has its hash:", file=sys.stderr
    )
    print(key)
    return 0


def _list_keys(args: argparse.Namespace) -> int:
    from serving.web.keys import read_keys

    for key in read_keys(args.keys):
        print(f"{key.name}  {key.created}")
    return 0


def _remove_key(args: argparse.Namespace) -> int:
    from serving.web.keys import remove_key

    remove_key(args.keys, args.name)
    print(f"The key of {args.name} is removed.", file=sys.stderr)
    return 0
