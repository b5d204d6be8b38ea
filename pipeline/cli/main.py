"""The command ``tandem``, with a subcommand for everything a person does with the project.

The parser is built without pyarrow, TensorFlow and TFX, so every ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import models.legacy_keras  # noqa: F401 (before TensorFlow is imported)

from dataset.errors import DataError
from pipeline.cli import compare
from pipeline.cli import kubeflow as kubeflow_commands
from pipeline.cli.commands import add_command, add_debug
from pipeline.cli.serving import add_commands
from serving.compatibility import doctor
from serving.pushed_model import RUNS
from serving.web import cli as web

_INTERRUPTED = 130
_DISK_FULL = ("No space left on device", "database or disk is full")


def command() -> NoReturn:
    """Runs `main` and ends the process.

    If a mistake ends the reading of a file early, Arrow's threads may still read ahead and call back into
    Python. Python's regular shutdown would turn that into an abort. So the process ends right after the exit
    handlers.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Not every terminal has every letter, as standard error has known all along.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = main()
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    atexit._run_exitfuncs()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments after the program's name; ``None`` takes those of the process.

    Returns:
        The exit code: 0 if all went well, 1 for a bug of ours or a variant that failed, 2 for a mistake that
        standard error names, 3 for a model that did not pass its gates, 130 if interrupted.
    """
    arguments = _parser().parse_args(argv)
    try:
        code = int(arguments.func(arguments))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has seen enough (`tandem check … | head`), which is no error at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # Whatever happens, a person sees one sentence.
        if getattr(arguments, "debug", False):
            traceback.print_exc()
        code, sentence = _explain(error, arguments)
        print(f"tandem: {sentence}", file=sys.stderr)
        return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tandem",
        description="Train and serve search and recommendation from a catalogue, an event log and judgments.",
    )
    add_debug(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    init = add_command(commands, "init", _init, "write a manifest by looking at the files")
    init.add_argument("folder", metavar="DIR", help="the folder with the tables")

    check = add_command(
        commands, "check", _check, "validate the data only: counts, orphans, duplicates, splits"
    )
    _add_dataset(check)
    _add_settings(check)

    run = add_command(commands, "run", _run, "train, evaluate and push a model")
    _add_dataset(run)
    run.add_argument("--workdir", type=Path, metavar="DIR", help=f"the run's folder (default: {RUNS}/NAME)")
    _add_settings(run)

    compare.add_arguments(
        add_command(
            commands, "compare", compare.run, "run variants of the settings, and measure them side by side"
        ),
        shared=(_add_dataset, _add_settings),
    )

    kubeflow = commands.add_parser(
        "kubeflow",
        help="run the pipeline on a Kubeflow cluster: compile, submit, status",
        description="Run the pipeline on a Kubeflow cluster.",
    )
    kubeflow_commands.add_commands(kubeflow, to_compile=(_add_dataset, _add_settings))

    refresh = add_command(
        commands, "refresh", _refresh, "put the current catalogue under the last model, without training"
    )
    _add_dataset(refresh)
    refresh.add_argument(
        "--workdir", type=Path, metavar="DIR", help=f"the run's folder (default: {RUNS}/NAME)"
    )

    forget = add_command(
        commands, "forget", _forget, "leave users out of what is served from the next refresh on"
    )
    _add_dataset(forget)
    forget.add_argument("users", nargs="+", metavar="USER", help="the id of a user, as the log has it")
    forget.add_argument(
        "--workdir", type=Path, metavar="DIR", help=f"the run's folder (default: {RUNS}/NAME)"
    )

    report = add_command(
        commands, "report", _report, "print the main table of a report, and the path of its page"
    )
    report.add_argument(
        "--workdir", type=Path, metavar="DIR", help=f"the run's folder (default: the latest under {RUNS}/)"
    )

    doctor.add_arguments(
        add_command(commands, "doctor", doctor.run, "tell which stock TF Serving can load a model, op by op")
    )

    add_commands(commands)
    web.add_arguments(
        add_command(commands, "web", web.run, "serve a JSON API and a page where people try a model")
    )
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="a TOML file with settings")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="KEY=VALUE",
        help="one setting, such as model.encoder=minilm; may be repeated",
    )


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="the dataset's folder, or its dataset.toml")


def _init(arguments: argparse.Namespace) -> int:
    from dataset.propose import write_manifest

    path = write_manifest(arguments.folder)
    print(path.read_text(encoding="utf-8"), end="")
    print(f"\nWrote {path}. Read it over, then: tandem check {arguments.folder}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from dataset.check import check_dataset
    from dataset.manifest import load_manifest
    from models.reading import text_reader
    from pipeline.config import load_config

    model = load_config(arguments.config, arguments.overrides).model
    reader = text_reader(model.encoder, model.max_text_tokens)
    check_dataset(load_manifest(arguments.dataset), stream=sys.stdout, reader=reader)
    if reader is None:
        print(f"  The texts were not tokenised, as the encoder {model.encoder} is no folder on this machine.")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from dataset.manifest import load_manifest

    manifest = load_manifest(arguments.dataset)
    arguments.workdir = arguments.workdir or RUNS / manifest.name
    # This imports TFX, so it comes after the check of the manifest.
    from pipeline import local

    return local.run(
        manifest,
        workdir=arguments.workdir,
        config_path=arguments.config,
        overrides=arguments.overrides,
    )


def _refresh(arguments: argparse.Namespace) -> int:
    from dataset.manifest import load_manifest

    manifest = load_manifest(arguments.dataset)
    arguments.workdir = arguments.workdir or RUNS / manifest.name
    from pipeline.refresh import refresh

    return refresh(manifest, workdir=arguments.workdir)


def _forget(arguments: argparse.Namespace) -> int:
    from dataset.manifest import load_manifest
    from pipeline.forgotten import forget, unknown_users, what_holds_them

    manifest = load_manifest(arguments.dataset)
    workdir = arguments.workdir or RUNS / manifest.name
    count = forget(workdir, arguments.users)
    # No error: who is erased from the tables already may still be in what is served.
    for user in unknown_users(manifest, arguments.users):
        print(f'The tables have nothing of a user "{user}".', file=sys.stderr)
    print(f"{count} user{'s are' if count > 1 else ' is'} left out from the next of these on:")
    print(f"  tandem refresh {arguments.dataset} --workdir {workdir}")
    print("What still holds them:")
    for line in what_holds_them(manifest, workdir):
        print(f"* {line}")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    workdir = arguments.workdir or _latest_report()
    from pipeline.report.terminal import print_report

    print_report(workdir)
    return 0


def _latest_report() -> Path:
    reports = sorted(RUNS.glob("*/report.html"), key=lambda path: path.stat().st_mtime)
    if not reports:
        raise DataError(
            f"There must be a finished run under {RUNS.resolve()}. Got none; train a model with "
            "`tandem run DATASET`, or name its folder with --workdir."
        )
    return reports[-1].parent


def _explain(error: BaseException, arguments: argparse.Namespace) -> tuple[int, str]:
    """The exit code and the sentence for an error, which a library may have wrapped in one of its own."""
    workdir = getattr(arguments, "workdir", None)
    for cause in _chain(error):
        if isinstance(cause, DataError):
            return 2, str(cause)
        is_full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
        # TensorFlow and ML Metadata report a full disk in errors of their own.
        if is_full or any(words in str(cause) for words in _DISK_FULL):
            place = getattr(cause, "filename", None) or workdir or Path.cwd()
            return 2, f"The disk that holds {place} is full; free some space and run the command again."
        if isinstance(cause, PermissionError):
            place = cause.filename or workdir or Path.cwd()
            return 2, f"The command must be allowed to read and write {place}. Got: permission denied."
    name = type(error).__name__
    first_line = (str(error).strip().splitlines() or [name])[0]
    hint = (
        "the traceback is above"
        if getattr(arguments, "debug", False)
        else "run again with --debug for the traceback"
    )
    return 1, f"This is a bug in tandem ({name}: {first_line[:200]}); {hint}."


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and the errors it came from, each once."""
    seen: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop(0)
        if current is not None and id(current) not in seen:
            seen.add(id(current))
            yield current
            pending += [current.__cause__, current.__context__]
