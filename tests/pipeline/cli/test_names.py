from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataset.errors import DataError
from pipeline.cli.names import read_ids
from serving.client import Client
from serving.server.config import ServerConfig
from serving.server.model_server import ModelServer
from tests.pipeline.cli.commands import run_command
from tests.serving import tiny_model

ITEM_IDS = ["B,2", "A,C", "A", "C", "1000", "fork"]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the tiny model, whose ids have commas here."""
    folder: Path = tmp_path_factory.mktemp("commas")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny_model, "ITEM_IDS", ITEM_IDS)
        tiny_model.write(folder / "1")
    server = ModelServer(ServerConfig(model_base_path=folder, model_name="tandem", host="localhost", port=0))
    server.start()
    yield f"localhost:{server.port}"
    server.stop()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as client:
        yield client


def _found(capsys: pytest.CaptureFixture[str], *arguments: str) -> set[str]:
    assert run_command(*arguments, "--json") == 0
    output = capsys.readouterr()
    assert output.err == ""
    return {result["item_id"] for result in json.loads(output.out)["results"]}


@pytest.mark.parametrize(
    ("texts", "ids"),
    [
        (["fork"], ["fork"]),
        (["B,2"], ["B,2"]),
        ([" A, fork,"], ["A", "fork"]),
        (["A", "B,2"], ["A", "B,2"]),
        (["A,C", "A,C"], ["A,C", "A,C"]),
        (["A,unknown", "C"], ["A,unknown", "C"]),
        (["unknown"], ["unknown"]),
        (["1000.0"], ["1000"]),
        (["1000.0,A"], ["1000", "A"]),
        ([""], []),
        ([","], []),
    ],
)
def test_comma_stands_between_ids_only_where_it_can_mean_nothing_else(
    client: Client, texts: list[str], ids: list[str]
) -> None:
    assert read_ids(client, "--exclude", texts) == ids


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("A,C", "an item of that id and items of its parts"),
        ("A,B,2", 'no item "A,B,2", "B", "2"'),
        ("A,unknown", 'no item "A,unknown", "unknown"'),
    ],
)
def test_text_that_may_lose_an_id_is_refused(client: Client, text: str, got: str) -> None:
    with pytest.raises(DataError) as error:
        read_ids(client, "--exclude", [text])

    assert str(error.value) == (
        f'--exclude "{text}" must be the id of one item, or ids of items with commas between them. '
        f"The model has {got}; --exclude given more than once takes each id as it is."
    )


def test_id_with_a_comma_is_left_out_as_it_is_typed(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ("recommend", "--user", "u", "--server", address)

    assert _found(capsys, *ask, "--exclude", "B,2") == set(ITEM_IDS) - {"B,2"}
    assert _found(capsys, *ask, "--exclude", "A", "--exclude", "B,2") == set(ITEM_IDS) - {"A", "B,2"}
    assert _found(capsys, *ask, "--history", "C,fork") == set(ITEM_IDS) - {"C", "fork"}
    assert _found(capsys, "similar", "B,2", "--server", address) == set(ITEM_IDS) - {"B,2"}
    assert _found(capsys, "complement", "B,2", "A,C", "--server", address) == set(ITEM_IDS) - {"B,2", "A,C"}
    candidates = ("--candidates", "B,2", "--candidates", "new")
    assert _found(capsys, "rank", *candidates, "--server", address) == {"B,2", "new"}


def test_id_is_known_as_a_file_may_have_it(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask = ("recommend", "--server", address)

    assert "1000" not in _found(capsys, *ask, "--user", "12471.0", "--exclude", "1000.0")
    assert "1000" not in _found(capsys, *ask, "--history", "1000.0")
    assert "1000" not in _found(capsys, "similar", "1000.0", "--server", address)
    assert _found(capsys, "rank", "--candidates", "1000.0,fork", "--server", address) == {"1000", "fork"}


def test_unknown_item_unknown_column_and_no_result_are_three_sentences(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError) as item:
        run_command("similar", "unknown", "--server", address)
    with pytest.raises(DataError) as column:
        run_command("similar", "fork", "--filter", "rom=hall", "--server", address)
    assert run_command("similar", "fork", "--filter", "room=attic", "--server", address) == 0

    assert str(item.value) == 'The item must be one of the model\'s. Got "unknown", which it does not have.'
    assert str(column.value) == (
        'A filter must name a categorical column of the model. Got "rom"; did you mean "room"?'
    )
    assert capsys.readouterr().out == "no results\n"


def test_unknown_item_of_a_question_is_named_beside_the_answer(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_command(
        "search", "hello", "--history", "gone", "--exclude", "B,3", "--exclude", "A", "--server", address
    )

    output = capsys.readouterr()
    assert output.err == 'The model has no item "B,3", "gone".\n'
    assert len(output.out.splitlines()) == 6


def test_times_of_a_history_may_be_repeated_like_its_ids(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    history = (
        "--history",
        "A,C",
        "--history",
        "fork",
        "--history-times",
        "2011-08-01",
        "--history-times",
        "0",
    )

    assert _found(capsys, "recommend", *history, "--server", address) == set(ITEM_IDS) - {"A,C", "fork"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--filter", "prise<=20", "--filter", "room=nowhere"],
            'A range must be of a numeric column of the model. Got "prise"; did you mean "price"?',
        ),
        (
            ["--filter", "rom!=hall", "--filter", "room=nowhere"],
            'A filter must name a categorical column of the model. Got "rom"; did you mean "room"?',
        ),
        (
            ["--sort=-prise", "--filter", "room=nowhere"],
            'What results are sorted by must be a numeric column. Got "prise"; did you mean "price"?',
        ),
    ],
)
def test_unknown_column_is_named_where_nothing_is_found(
    address: str, options: list[str], sentence: str
) -> None:
    with pytest.raises(DataError, match=re.escape(sentence)):
        run_command("search", "fork", "--server", address, *options)


def test_known_columns_leave_an_empty_answer_as_it_is(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--filter", "room=nowhere", "--filter", "price<=20", "--sort=price", "--offset=1"]

    assert run_command("search", "fork", "--server", address, *options) == 0
    assert "no results" in capsys.readouterr().out


def test_columns_are_not_told_where_nothing_is_available(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--filter", "rom=hall", "--now", "2001-09-09"]

    assert run_command("similar", "fork", "--server", address, *options) == 0
    assert "no results" in capsys.readouterr().out
