"""From files to answers over gRPC, on slices of both samples, each run in a process of its own."""

from __future__ import annotations

import csv
import gzip
import json
import re
import signal
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the ops of the servable)

from serving.client import Client, Results, calls, tensors
from serving.client.methods import Model
from tests.e2e.conftest import Run

pytestmark = pytest.mark.slow

UNCHANGED = "unchanged since the last run"
THRESHOLD = "evaluation.max_loss_to_blessed=0.9"
AFTER_TRAINING = {
    "Trainer",
    "IndexBuilder",
    "RetrievalEvaluator",
    "Evaluator",
    "ModelGate",
    "ServingValidator",
    "Pusher",
}


def _nodes(output: str) -> dict[str, str]:
    """What each node took, as the run printed it."""
    return dict(re.findall(r"\[ *\d+/\d+\] (\S+) +([^…\n]+?) *\n", output))


def _report(run: Run) -> dict[str, Any]:
    return json.loads((run.workdir / "report.json").read_text())


def _value(run: Run, task: str, metric: str) -> float:
    (row,) = [
        row
        for row in _report(run)["rows"]
        if (row["system"], row["task"], row["metric"], row["slice"]) == ("tandem", task, metric, "")
    ]
    return float(row["value"])


def _ids(results: list[Results]) -> list[list[str]]:
    return [[result.item_id for result in row] for row in results]


def _catalogue(run: Run) -> dict[str, str]:
    with (run.dataset / "items.csv").open(newline="") as file:
        return {row["StockCode"]: row["Description"] for row in csv.DictReader(file)}


def _bought(run: Run) -> Mapping[str, set[str]]:
    """The items of each customer, of those with the most first."""
    bought: dict[str, set[str]] = {}
    with gzip.open(run.dataset / "transactions.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            bought.setdefault(row["Customer ID"], set()).add(row["StockCode"])
    return dict(sorted(bought.items(), key=lambda entry: -len(entry[1])))


@pytest.mark.parametrize(("sample", "task"), [("retail", "novel"), ("shopping", "search")])
def test_report_shows_the_main_metric(sample: str, task: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(sample)

    value = _value(run, task, "ndcg@10")

    assert 0 <= value <= 1
    assert f"{value:.3f}" in (run.workdir / "report.html").read_text()
    assert f"{value:.3f}" in run.output
    assert "Blessed: " in run.output


@pytest.mark.parametrize("sample", ["retail", "shopping"])
def test_one_version_is_pushed_whole(sample: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(sample)

    (version,) = run.versions
    files = {path.name for path in (run.model_dir / version).iterdir()}
    assert {"saved_model.pb", "variables", "assets.extra"} <= files
    extra = run.model_dir / version / "assets.extra"
    for name in ("tf_serving_warmup_requests", "examples.json", "items.sqlite"):
        assert (extra / name).stat().st_size > 0


def test_known_user_is_recommended_what_is_new_to_them(retail: Run, retail_client: Client) -> None:
    user, had = next(iter(_bought(retail).items()))

    (results,) = retail_client.recommend(user_ids=[user], exclude_seen=True, k=10)

    assert len({result.item_id for result in results}) == 10
    assert not {result.item_id for result in results} & had
    assert {result.item_id: result.title for result in results}.items() <= _catalogue(retail).items()
    scores = [result.score for result in results]
    assert scores == sorted(scores, reverse=True)


def test_history_of_two_is_enough_and_counts(retail: Run, retail_client: Client) -> None:
    items = sorted(_catalogue(retail))

    first, second = retail_client.recommend(histories=[items[:2], items[-2:]], k=10)

    assert len(first) == len(second) == 10
    assert first != second
    assert not {result.item_id for result in first} & set(items[:2])


def test_query_and_user_together_are_one_list(retail: Run, retail_client: Client) -> None:
    user = next(iter(_bought(retail)))

    alone, combined = retail_client.search(["red heart", "red heart"], user_ids=["", user], k=10)

    assert len(alone) == len(combined) == 10
    assert alone != combined


def test_search_finds_the_words_that_were_asked_for(shopping: Run, shopping_client: Client) -> None:
    query = (shopping.dataset / "queries.tsv").read_text().splitlines()[1].split("\t")[1]

    (results,) = shopping_client.search([query], k=5)

    assert any(set(query.split()) & set(result.title.lower().split()) for result in results)


def test_similar_items_are_others(retail: Run, retail_client: Client) -> None:
    item = sorted(_catalogue(retail))[3]

    (results,) = retail_client.similar([item], k=7)

    assert len(results) == 7
    assert item not in [result.item_id for result in results]


def test_rank_orders_the_callers_own_candidates(retail: Run, retail_client: Client) -> None:
    candidates = [*sorted(_catalogue(retail))[:4], "no such item"]

    (results,) = retail_client.rank([candidates], user_ids=[next(iter(_bought(retail)))])

    assert sorted(result.item_id for result in results) == sorted(candidates)
    assert results[-1].item_id == "no such item"


def test_queries_and_items_live_in_one_space(retail: Run, retail_client: Client) -> None:
    queries = retail_client.embed_query(queries=["red heart", ""], user_ids=["", next(iter(_bought(retail)))])
    items = retail_client.embed_item(
        item_ids=[sorted(_catalogue(retail))[0], ""], texts=["", "new red heart"]
    )

    assert queries.shape == items.shape
    assert np.isfinite(queries).all()
    assert np.isfinite(items).all()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.search(["red heart"], user_ids=["nobody"], histories=[["no item"]], k=5),
        lambda client: client.search([""], k=5),
        lambda client: client.recommend(user_ids=["nobody"], k=5),
        lambda client: client.recommend(histories=[[]], k=5),
    ],
)
def test_what_is_unknown_is_answered_too(retail_client: Client, ask: Any) -> None:
    (results,) = ask(retail_client)

    assert len(results) == 5


def test_more_than_the_catalogue_is_all_of_it_at_most(retail: Run, retail_client: Client) -> None:
    (results,) = retail_client.search(["red heart"], k=5000)

    assert 0 < len(results) <= len(_catalogue(retail))


def _in_process(run: Run, signature: str, **inputs: Any) -> dict[str, np.ndarray[Any, Any]]:
    loaded = tf.saved_model.load(str(run.model_dir / run.versions[-1]))
    fed = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in loaded.signatures[signature](**fed).items()}


def _search_inputs(queries: list[str], user_ids: list[str], *, k: int) -> dict[str, np.ndarray[Any, Any]]:
    """What the client sends."""
    call = calls.search(Model(name="tandem"), queries, user_ids=user_ids, k=k)
    return {name: tensors.to_array(proto) for name, proto in call.request.inputs.items()}


@pytest.mark.parametrize("sample", ["retail", "shopping"])
def test_server_answers_what_the_model_says_in_process(sample: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(sample)
    client: Client = request.getfixturevalue(f"{sample}_client")
    inputs = _search_inputs(["red heart", "book"], ["", ""], k=10)

    expected = _in_process(run, "search", **inputs)
    answered = client.predict("search", inputs)

    assert answered.keys() == expected.keys()
    for name in ("item_ids", "titles", "num_results"):
        np.testing.assert_array_equal(answered[name], expected[name])
    for name in ("scores", "channel_scores"):
        np.testing.assert_allclose(answered[name], expected[name], rtol=1e-5, atol=1e-6)


def test_second_run_does_nothing_and_pushes_nothing(shopping: Run) -> None:
    versions, before = shopping.versions, _report(shopping)

    again = shopping.finish()

    # These look at what is served now.
    looking = ("Resolver", "Pusher")
    took = {node: t for node, t in _nodes(again.output).items() if not node.startswith(looking)}
    assert took == dict.fromkeys(took, UNCHANGED)
    assert len(took) == len(_nodes(shopping.output)) - 2
    assert shopping.versions == versions
    assert _report(again)["rows"] == before["rows"]


def _kill_during(run: Run, node: str) -> None:
    """Starts a run and kills it, children and all, while a node is under way."""
    process = run.start()
    assert process.stdout is not None
    printed = ""
    while f"] {node} …" not in printed:
        character = process.stdout.read(1)
        assert character, f"The run ended before {node}: {printed}"
        printed += character
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def resumed(retail: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The retail run once more in another folder, killed while the model trained, and taken up again."""
    workdir = tmp_path_factory.mktemp("again") / "elsewhere"
    run = Run(dataset=retail.dataset, workdir=workdir, encoder=retail.encoder)
    _kill_during(run, "Trainer")
    assert not (workdir / "serving").exists()
    return run.finish()


def test_killed_run_goes_on_where_it_was(resumed: Run) -> None:
    took = _nodes(resumed.output)

    nodes = list(took)
    for node in nodes[: nodes.index("Trainer")]:
        if not node.startswith("Resolver"):
            assert took[node] == UNCHANGED, node
    assert took["Trainer"] != UNCHANGED
    assert len(resumed.versions) == 1


def test_same_data_and_seed_give_the_same_metrics(retail: Run, resumed: Run) -> None:
    ours, theirs = _report(retail)["rows"], _report(resumed)["rows"]

    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        numbers = ("value", "low", "high")
        assert {k: v for k, v in one.items() if k not in numbers} == {
            k: v for k, v in other.items() if k not in numbers
        }
        assert [one[k] for k in numbers] == pytest.approx([other[k] for k in numbers], abs=1e-6), one


def test_pushed_answers_of_both_runs_are_the_same(retail: Run, resumed: Run) -> None:
    inputs = _search_inputs(["red heart"], [next(iter(_bought(retail)))], k=20)

    one, other = (_in_process(run, "search", **inputs) for run in (retail, resumed))

    np.testing.assert_array_equal(one["item_ids"], other["item_ids"])
    np.testing.assert_allclose(one["scores"], other["scores"], rtol=1e-5, atol=1e-6)


# The runs below are the last ones in the folder of `resumed`, each after the one before.


def _run_again(run: Run, *settings: str) -> set[str]:
    """The nodes that are not taken from earlier runs, but for resolvers, which look things up every time."""
    took = _nodes(run.finish(settings=settings, codes=(0, 3)).output)
    return {node for node, what in took.items() if what != UNCHANGED and not node.startswith("Resolver")}


def test_threshold_asks_the_gate_again_and_measures_nothing(resumed: Run) -> None:
    assert _run_again(resumed, THRESHOLD) == {"ModelGate", "Pusher"}
    assert len(resumed.versions) == 1


def test_where_it_runs_is_no_reason_to_run_again(resumed: Run) -> None:
    where = ('beam.options=["--direct_num_workers=1"]', 'kubeflow.default={cpu="2"}', "kubeflow.retries=5")

    assert _run_again(resumed, THRESHOLD, *where) == set()


def test_seed_trains_again_on_what_is_there(resumed: Run) -> None:
    assert _run_again(resumed, THRESHOLD, "train.seed=18") == AFTER_TRAINING
