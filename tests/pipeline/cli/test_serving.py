from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys

import pytest

from dataset.errors import DataError
from tests.pipeline.cli.commands import run_command


def test_search_prints_a_table(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command("search", "hello", "-k", "2", "--server", address)

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0].split() == ["score", "item", "title"]
    assert [line.split()[0] for line in lines[1:]] == ["1", "2"]


def test_search_sends_every_option(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--user", "7", "--history", "fork, dish", "--exclude-seen", "--exclude", "apron,easel"]
    filters = ["--filter", "room=kitchen", "--filter", "room=hall"]

    run_command("search", "hello", *options, *filters, "--server", address, "--json")

    results = json.loads(capsys.readouterr().out)["results"]
    assert {result["item_id"] for result in results} == {"basket", "candle"}


def test_search_sends_exclusions_and_ranges(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    filters = ["--filter", "room!=kitchen", "--filter", "price<=20"]

    run_command("search", "hello", *filters, "--server", address, "--json")

    results = json.loads(capsys.readouterr().out)["results"]
    assert {result["item_id"] for result in results} == {"basket", "candle"}


def test_recommend_prints_because_of_what(server_address: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_command("recommend", "--history", "fork,dish", "--include-seen", "--server", server_address)

    heading, *lines = capsys.readouterr().out.splitlines()
    start = heading.index("because")
    reasons = {line.split()[2]: line[start:] for line in lines}
    assert reasons["fork"] == "you had it"
    assert reasons["apron"] == "because of Fork é"


def test_reason_has_a_title_though_the_answer_leaves_its_item_out(
    server_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command("recommend", "--history", "fork", "--server", server_address)

    heading, *lines = capsys.readouterr().out.splitlines()
    start = heading.index("because")
    assert {line[start:] for line in lines} == {"because of Fork é"}


def test_reason_that_the_catalogue_does_not_have_is_called_by_its_id(
    server_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command("recommend", "--history", "elsewhere", "--server", server_address)

    assert all(line.endswith("because of elsewhere") for line in capsys.readouterr().out.splitlines()[1:])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], ("history", "fork")),
        (["--history-times", "1300000000,1312156800"], ("history", "dish")),
        (["--history-times", "2011-08-01,2011-07-01T10:30"], ("history", "fork")),
        (["--history-times", "2011-07-01T12:00+02:00, 2011-07-01T11:00Z"], ("history", "dish")),
        (["--history-times", ",2011-08-01"], ("history", "dish")),
    ],
)
def test_recommend_sends_when_each_item_was_chosen(
    server_address: str, capsys: pytest.CaptureFixture[str], options: list[str], reason: tuple[str, str]
) -> None:
    run_command("recommend", "--history", "fork,dish", *options, "--server", server_address, "--json")

    results = json.loads(capsys.readouterr().out)["results"]
    assert {(result["reason"], result["reason_item_id"]) for result in results} == {reason}
    assert all(0 < result["probability"] < 1 for result in results)


@pytest.mark.parametrize(
    ("options", "words"),
    [([], "popular now"), (["--now", "2011-08-01"], "new"), (["--now", "1312156800"], "new")],
)
def test_recommend_sends_the_moment_that_is_asked_for(
    server_address: str, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    run_command("recommend", "--user", "nobody", *options, "--server", server_address)

    assert {line.split("  ")[-1].strip() for line in capsys.readouterr().out.splitlines()[1:]} == {words}


@pytest.mark.parametrize("command", ["similar", "complement"])
@pytest.mark.parametrize(("now", "count"), [("2001-09-09T01:46:39", 0), ("1000000000", 5)])
def test_lists_send_the_moment_that_is_asked_for(
    address: str, capsys: pytest.CaptureFixture[str], command: str, now: str, count: int
) -> None:
    run_command(command, "fork", "--now", now, "--server", address, "--json")

    assert len(json.loads(capsys.readouterr().out)["results"]) == count


@pytest.mark.parametrize(
    ("option", "got"), [("--now", "yesterday"), ("--now", ""), ("--history-times", "2011-08-01,soon")]
)
def test_time_of_another_spelling_is_refused(
    capsys: pytest.CaptureFixture[str], option: str, got: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command("search", "x", "--history", "a,b", option, got)

    assert stop.value.code == 2
    wrong = got.split(",")[-1]
    assert f"{option}: A time must be ISO 8601 or epoch seconds. Got {wrong!r}." in capsys.readouterr().err


@pytest.mark.parametrize(("option", "count"), [([], 5), (["--include-seen"], 6)])
def test_recommend_leaves_out_the_history_unless_told(
    address: str, capsys: pytest.CaptureFixture[str], option: list[str], count: int
) -> None:
    run_command("recommend", "--history", "fork", *option, "--server", address, "--json")

    assert len(json.loads(capsys.readouterr().out)["results"]) == count


def test_similar_leaves_out_the_item(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_command("similar", "fork", "--server", address, "--json")

    results = json.loads(capsys.readouterr().out)["results"]
    assert "fork" not in {result["item_id"] for result in results}


def test_complement_leaves_out_the_cart(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_command("complement", "fork,apron", "--server", address, "--json")

    results = json.loads(capsys.readouterr().out)["results"]
    assert {"fork", "apron"}.isdisjoint({result["item_id"] for result in results})
    assert len(results) == 4


def test_wishes_change_the_answer(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    def ids(*options: str) -> list[str]:
        run_command("search", "hello", *options, "--server", address, "--json")
        return [result["item_id"] for result in json.loads(capsys.readouterr().out)["results"]]

    plain = ids()
    assert ids("--pin", plain[-1])[0] == plain[-1]
    assert ids("--diversity", "1") == plain[::-1]
    assert ids("--boost", "room=hall:2") != plain
    assert set(ids("--boost", "room=hall:2")) == set(plain)


def test_rank_orders_the_candidates(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    candidates = ["--candidates", "fork", "--candidates", "new", "--candidates", "apron"]
    run_command("rank", "--query", "hello", *candidates, "--server", address)

    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[2] for line in lines[1:3]} == {"fork", "apron"}
    assert "not known" in lines[3]


def test_version_and_label_are_those_asked_for(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("search", "hello", "--version", "1", "--timeout", "20", "--server", address) == 0
    with pytest.raises(DataError, match=r"Specific\(tandem, 9\)"):
        run_command("search", "hello", "--version", "9", "--server", address)
    with pytest.raises(DataError, match="Unrecognized servable version label: new"):
        run_command("search", "hello", "--label", "new", "--server", address)


def test_interrupted_question_ends_without_a_word() -> None:
    """Somebody listens and says nothing, so that the command waits until it is interrupted."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = f"127.0.0.1:{silent.getsockname()[1]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "search", "x", "--server", server],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)

            assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["search", "x", "--server", "localhost:1"],
            "No server answers at localhost:1; start one with `tandem serve`.",
        ),
        (["search", "x", "-k", "0"], "k must be a whole number of at least 1. Got 0."),
        (
            ["search", "x", "--filter", "price<=cheap"],
            'A filter must be "column=value", "column!=value" or a range such as "price<=20". '
            "Got 'price<=cheap'.",
        ),
        (
            ["similar", "x", "--server", "here"],
            "address must be HOST:PORT, for example localhost:8500. Got 'here'.",
        ),
        (["recommend"], "recommend must have --user or --history. Got neither."),
        (
            ["recommend", "--history", "a", "--history", "b", "--history-times", "2011-08-01"],
            "history_times must have one time for each item of histories. Got 1 for the 2 items of row 0.",
        ),
        (
            ["recommend", "--user", "7", "--now", "1312156800000"],
            "now must be epoch seconds or a datetime, from 1970 to 9999. Got 1312156800000.0.",
        ),
        (["search", "x", "--timeout", "0"], "timeout_s must be a number of seconds above 0. Got 0.0."),
        (
            ["search", "x", "--version", "1", "--label", "new"],
            "At most one of version and version_label must be given. Got 1 and 'new'.",
        ),
        (
            ["search", "x", "--tls-ca", "nothing.pem"],
            "A PEM file must exist and be readable. Got nothing.pem.",
        ),
    ],
)
def test_mistake_is_one_sentence_for_the_person(arguments: list[str], sentence: str) -> None:
    with pytest.raises(DataError) as error:
        run_command(*arguments)

    assert str(error.value) == sentence


@pytest.mark.parametrize("command", ["serve", "search", "recommend", "similar", "rank", "demo"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        run_command(command, "--help")

    assert error.value.code == 0
    assert f"usage: tandem {command}" in capsys.readouterr().out


def test_asking_imports_no_tensorflow() -> None:
    code = (
        "import argparse, sys\n"
        "from pipeline.cli.serving import add_commands\n"
        "parser = argparse.ArgumentParser()\n"
        "add_commands(parser.add_subparsers())\n"
        "args = parser.parse_args(['search', 'x', '--server', 'localhost:1'])\n"
        "try:\n"
        "    args.func(args)\n"
        "except ValueError:\n"
        "    print([name for name in sys.modules if name.startswith('tensorflow')])"
    )

    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout

    assert output.strip() == "[]"
