from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dataset.errors import DataError
from pipeline.cli import main as cli
from tests.tiny_dataset import EVENTS, ITEMS, Write

ROOT = Path(__file__).parents[3]
COMMANDS = (
    *("init", "check", "run", "compare", "report", "serve"),
    *("search", "recommend", "similar", "complement", "rank"),
)


def _tandem(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_explains_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])

    assert stop.value.code == 0
    assert f"tandem {command}" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pipeline.cli import main as cli\n"
        "try: cli.main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('pyarrow', 'pandas', 'tensorflow', 'tfx', 'apache_beam') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[]"


def test_good_data_exits_with_0(dataset: Write) -> None:
    done = _tandem("check", str(dataset()))

    assert (done.returncode, done.stderr) == (0, "")
    assert "tiny" in done.stdout


def test_bad_data_exits_with_2_and_one_sentence(dataset: Write) -> None:
    done = _tandem("check", str(dataset(items__csv=ITEMS + "001,Again,1\n")))

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("tandem: ")
    assert 'must not repeat an id. Got "001"' in done.stderr


def _catalogue(titles: list[str]) -> str:
    return "sku,title,price\n" + "".join(f'{n:03},"{title}",1\n' for n, title in enumerate(titles, 1))


def test_titles_that_the_encoder_cannot_read_stop_the_run(dataset: Write) -> None:
    thai = [f"{thing}{colour}" for thing in ("โคมไฟ", "เก้าอี้", "นาฬิกา") for colour in ("สีแดง", "สีเขียว")]

    done = _tandem("check", str(dataset(items__csv=_catalogue(thai))))

    assert done.returncode == 2
    assert "6 of items, 100.00%, past its limit" in done.stdout
    assert "in a language that model.encoder, minilm, has tokens for" in done.stdout
    assert "of all tokens 100% are unknown" in done.stdout
    assert "6 texts are 1 in tokens" in done.stdout
    assert "model.encoder, minilm, and model.max_text_tokens, 128" in done.stderr


def test_markup_that_fills_the_tokens_stops_the_run_until_it_is_taken_off(dataset: Write) -> None:
    begin = "<div class=product-description style=font-family:Arial;font-size:12px><p><span style=color:#333>"
    titles = [f"{begin}{title}</span></p></div>" for title in ("red lamp", "blue clock", "green vase")]
    folder = dataset(items__csv=_catalogue(titles))
    few = ("--set", "model.max_text_tokens=32")

    whole, cut = _tandem("check", str(folder)), _tandem("check", str(folder), *few)
    manifest = (folder / "dataset.toml").read_text()
    (folder / "dataset.toml").write_text(manifest.replace("[users]", "strip_markup = true\n[users]"))
    stripped = _tandem("check", str(folder), *few)

    assert (whole.returncode, cut.returncode, stripped.returncode) == (0, 2, 0)
    assert "must hold no HTML, which strip_markup = true in [items] takes off" in whole.stdout
    assert "fit into model.max_text_tokens, 32" in cut.stdout
    assert "3 texts are 1 in tokens" in cut.stdout
    assert "no findings" in stripped.stdout


def test_encoder_that_is_not_here_is_said(dataset: Write) -> None:
    done = _tandem("check", str(dataset()), "--set", "model.encoder=bert_tiny_en_uncased")

    assert done.returncode == 0
    assert "were not tokenised, as the encoder bert_tiny_en_uncased is no folder" in done.stdout


def test_terminal_without_a_letter_gets_it_escaped(dataset: Write) -> None:
    folder = dataset(events__csv=EVENTS + "u1,茶,2024-01-02\n")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "check", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )

    assert done.returncode == 2
    assert rb"\u8336" in done.stdout
    assert rb"\u8336" in done.stderr


def test_init_writes_what_check_accepts(dataset: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = dataset()
    manifest = (folder / "dataset.toml").read_text()
    (folder / "dataset.toml").unlink()

    assert cli.main(["init", str(folder)]) == 0
    assert cli.main(["init", str(folder)]) == 2
    assert "must not be overwritten" in capsys.readouterr().err
    assert 'id = "sku"' in manifest


def _command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Callable[..., int]:
    """Runs `tandem check` with the command replaced by one that fails."""

    def fail(arguments: argparse.Namespace) -> int:
        raise error

    monkeypatch.setattr(cli, "_check", fail)
    return lambda *flags: cli.main(["check", "x", *flags])


def test_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _command(monkeypatch, KeyboardInterrupt())() == 130


def test_bug_is_one_sentence_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = _command(monkeypatch, KeyError("x"))

    assert command() == 1
    sentence = capsys.readouterr().err
    assert "This is a bug in tandem (KeyError: 'x'); run again with --debug" in sentence
    assert "Traceback" not in sentence


@pytest.mark.parametrize("argv", [["--debug", "check", "x"], ["check", "x", "--debug"]])
def test_traceback_is_shown_with_debug_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    _command(monkeypatch, KeyError("x"))

    assert cli.main(argv) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "argv", [["check", "x"], ["search", "x"], ["kubeflow", "status", "x"], ["web"], ["doctor", "x"]]
)
def test_every_command_takes_debug_after_it(argv: list[str]) -> None:
    assert cli._parser().parse_args([*argv, "--debug"]).debug
    assert not hasattr(cli._parser().parse_args(argv), "debug")


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (DataError("The data must be good. Got bad."), "tandem: The data must be good. Got bad."),
        (OSError(errno.ENOSPC, "No space left on device", "/runs/x"), "The disk that holds /runs/x is full"),
        (RuntimeError("/runs/x/events.out; No space left on device"), "The disk that holds "),
        (RuntimeError("Error when executing query: database or disk is full"), "The disk that holds "),
        (
            PermissionError(errno.EACCES, "Permission denied", "/runs/x"),
            "must be allowed to read and write /runs/x",
        ),
    ],
)
def test_known_cause_of_a_wrapped_error_is_what_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cause: Exception, sentence: str
) -> None:
    error = RuntimeError("while running a step")
    error.__cause__ = cause

    assert _command(monkeypatch, error)() == 2
    assert sentence in capsys.readouterr().err


def test_report_without_a_run_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    code = cli.main(["report"])

    assert code == 2
    assert "tandem run DATASET" in capsys.readouterr().err
