"""Every rule is held by the signatures in process and by those of the SavedModel read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from models.item_table import ItemTable
from models.ranker import Heads
from models.trained import TrainedModel
from models.validation import item_matrix
from serving.arguments import MAX_CANDIDATES
from serving.compatibility import check_compatibility
from serving.servable import LOWEST, MAX_REQUEST_HISTORY, MAX_RESULTS
from serving.server.loaded_model import LoadedModel
from serving.server.status_error import StatusError
from tests import tiny

Answer = dict[str, np.ndarray]
Ask = Callable[..., Answer]
ALL = len(tiny.IDS)


@pytest.fixture(scope="module")
def items() -> ItemTable:
    return tiny.shared_model()[0]


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return tiny.shared_model()[1]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("servable")
    servable, signatures = tiny.shared_servable()
    tf.saved_model.save(servable, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="module", params=["in process", "read back"])
def signatures(request: pytest.FixtureRequest, saved: Path) -> Any:
    if request.param == "in process":
        return tiny.shared_servable()[1]
    loaded = tf.saved_model.load(str(saved))
    # The signatures die with what was loaded.
    return dict(loaded.signatures.items()) | {"_keep": loaded}


@pytest.fixture(scope="module")
def ask(signatures: Any) -> Ask:
    """Calls a signature with what a client always sends; lists of texts are padded with ""."""

    def ask(signature: str, **given: Any) -> Answer:
        batch = len(next(iter(given.values())))
        nothing: list[list[str]] = [[] for _ in range(batch)]
        inputs: dict[str, Any] = {}
        if signature in ("search", "recommend", "rank", "embed_query"):
            inputs |= {"user_id": [""] * batch, "history": nothing}
        if signature in ("search", "recommend", "similar"):
            inputs |= {"exclude": nothing, "filters": nothing, "k": [ALL] * batch}
        if signature in ("search", "recommend"):
            inputs |= {"exclude_seen": [False] * batch}
        tensors = {name: as_tensor(value) for name, value in (inputs | given).items()}
        return {name: value.numpy() for name, value in signatures[signature](**tensors).items()}

    return ask


def as_tensor(values: Any) -> tf.Tensor:
    if isinstance(values[0], list):
        width = max(len(row) for row in values)
        return tf.constant(
            [row + [""] * (width - len(row)) for row in values], tf.string, (len(values), width)
        )
    return tf.constant(values, {str: tf.string, bool: tf.bool, int: tf.int32}[type(values[0])])


def shown(answer: Answer, row: int = 0) -> list[str]:
    return [item_id.decode() for item_id in answer["item_ids"][row, : answer["num_results"][row]]]


def name(row: int) -> str:
    return tiny.IDS[row].decode()


LISTS: list[tuple[str, dict[str, Any]]] = [
    ("search", {"query": ["red teapot"]}),
    ("search", {"query": ["glass box"], "user_id": ["ann"]}),
    ("search", {"query": ["lamp"], "history": [[name(1), name(8)]]}),
    ("recommend", {"user_id": ["bob"]}),
    ("recommend", {"user_id": [""], "history": [[name(5)]]}),
    ("similar", {"item_id": [name(3)]}),
]
NOTHING_KNOWN: list[tuple[str, dict[str, Any]]] = [
    ("search", {"query": [""]}),
    ("search", {"query": ["  \t "]}),
    ("search", {"query": ["zzz unheard of"]}),
    ("search", {"query": ["lamp"], "user_id": ["nobody"]}),
    ("search", {"query": ["lamp"], "user_id": ["\x00"]}),
    ("search", {"query": ["lamp"], "history": [["no such item"]]}),
    ("search", {"query": ["lamp " * 600]}),
    ("recommend", {"user_id": [""]}),
    ("recommend", {"user_id": ["nobody"]}),
    ("recommend", {"user_id": ["cid"]}),
    ("recommend", {"user_id": ["ann"], "history": [["no such item", "another"]]}),
    ("recommend", {"user_id": [""], "history": [["", ""]]}),
    ("recommend", {"user_id": [""], "history": [[name(2)] * 1500]}),
]


@pytest.mark.parametrize(("signature", "given"), LISTS + NOTHING_KNOWN)
def test_answers_the_whole_available_catalogue_in_order(
    ask: Ask, signature: str, given: dict[str, Any]
) -> None:
    answer = ask(signature, **given)
    num_results = ALL - 1 - (signature == "similar")
    ids = shown(answer)

    assert answer["num_results"].tolist() == [num_results]
    assert len(set(ids)) == num_results
    assert name(tiny.UNAVAILABLE) not in ids
    assert [title.decode() for title in answer["titles"][0, :num_results]] == [
        tiny.TITLES[tiny.IDS.index(item_id.encode())] for item_id in ids
    ]
    scores = answer["scores"][0, :num_results]
    assert (np.diff(scores) <= 0).all()
    assert len(np.unique(scores)) > 1
    for values in (answer["scores"], answer["channel_scores"]):
        assert np.isfinite(values).all()


@pytest.mark.parametrize(("signature", "given"), LISTS)
@pytest.mark.parametrize("k", [0, 1, 7, ALL + 20])
def test_rows_are_k_wide_and_padded(ask: Ask, signature: str, given: dict[str, Any], k: int) -> None:
    answer = ask(signature, **given, k=[k])
    num_results = min(k, ALL - 1 - (signature == "similar"))

    assert answer["num_results"].tolist() == [num_results]
    assert answer["item_ids"].shape == answer["scores"].shape == answer["titles"].shape == (1, k)
    assert answer["channel_scores"].shape == (1, k, 2)
    assert (answer["item_ids"][0, num_results:] == b"").all()
    assert (answer["titles"][0, num_results:] == b"").all()
    assert not answer["scores"][0, num_results:].any()
    assert not answer["channel_scores"][0, num_results:].any()


@pytest.mark.parametrize(("signature", "given"), LISTS)
def test_k_has_a_limit(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    assert ask(signature, **given, k=[2**31 - 1])["item_ids"].shape == (1, MAX_RESULTS)


@pytest.mark.parametrize(("signature", "given"), LISTS)
def test_negative_k_answers_nothing(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    assert ask(signature, **given, k=[-3])["num_results"].tolist() == [0]


@pytest.mark.parametrize(("signature", "given"), LISTS)
@pytest.mark.parametrize(
    ("filters", "passes"),
    [
        (["room=hall"], lambda room, colour: room == "hall"),
        (["room=hall", "room=garden"], lambda room, colour: room in ("hall", "garden")),
        (["room=hall", "colour=blue", ""], lambda room, colour: room == "hall" and colour == "blue"),
        (["room="], lambda room, colour: room == ""),
        (["room=hall", "room=no such room"], lambda room, colour: room == "hall"),
        (["room=no such room"], lambda room, colour: False),
        (["no such column=hall"], lambda room, colour: False),
        (["room=hall", "no such column=hall"], lambda room, colour: False),
        (["room"], lambda room, colour: False),
        (["=hall"], lambda room, colour: False),
        (["room=hall\nroom"], lambda room, colour: False),
        (["", ""], lambda room, colour: True),
    ],
)
def test_only_what_passes_the_filters_is_returned(
    ask: Ask, signature: str, given: dict[str, Any], filters: list[str], passes: Callable[[str, str], bool]
) -> None:
    answer = ask(signature, **given, filters=[filters])

    expected = {
        name(row)
        for row, tags in enumerate(zip(tiny.ROOMS, tiny.COLOURS, strict=True))
        if passes(*tags) and row != tiny.UNAVAILABLE and name(row) != given.get("item_id", [""])[0]
    }
    assert set(shown(answer)) == expected
    assert len(shown(answer)) == len(expected)


@pytest.mark.parametrize(("signature", "given"), LISTS)
def test_excluded_items_are_never_returned(ask: Ask, signature: str, given: dict[str, Any]) -> None:
    everything = shown(ask(signature, **given))
    excluded = [everything[0], everything[4], "no such item", ""]
    left = shown(ask(signature, **given, exclude=[excluded]))
    none = ask(signature, **given, exclude=[[name(row) for row in range(ALL)]])

    assert set(left) == set(everything) - set(excluded)
    assert none["num_results"].tolist() == [0]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ({"user_id": ["ann"]}, {0, 1, 3, 4, 7, 10}),
        ({"user_id": ["bob"]}, {2, 9}),
        ({"user_id": ["cid"]}, set()),
        ({"user_id": ["nobody"]}, set()),
        ({"user_id": [""], "history": [[name(6), name(2), name(6), "no such item"]]}, {2, 6}),
        # What the request brings takes the place of what is stored.
        ({"user_id": ["ann"], "history": [[name(5)]]}, {5}),
        # Longer than the model looks at.
        ({"user_id": [""], "history": [[name(row) for row in range(8)]]}, set(range(8))),
        # Longer than the graph even compares.
        ({"user_id": [""], "history": [[name(1)] * MAX_REQUEST_HISTORY + [name(3)]]}, {1, 3}),
    ],
)
@pytest.mark.parametrize("signature", ["recommend", "search"])
def test_exclude_seen_leaves_out_the_whole_past(
    ask: Ask, signature: str, given: dict[str, Any], seen: set[int]
) -> None:
    query = {"query": ["box"]} if signature == "search" else {}
    fresh = set(shown(ask(signature, **query, **given, exclude_seen=[True])))

    assert fresh == {name(row) for row in set(range(ALL)) - seen - {tiny.UNAVAILABLE}}
    assert len(shown(ask(signature, **query, **given, exclude_seen=[False]))) == ALL - 1


def test_history_of_the_request_wins_over_the_stored_one(ask: Ask) -> None:
    stored = ask("embed_query", query=[""], user_id=["ann"])["embedding"]
    # As it is stored: most recent first, with repetitions for the counts.
    repeated = [name(row) for row in (0, 0, 3, 4, 10, 10, 10)]
    same = ask("embed_query", query=[""], user_id=["ann"], history=[repeated])["embedding"]
    other = ask("embed_query", query=[""], user_id=["ann"], history=[[name(5)]])["embedding"]
    unknown = ask("embed_query", query=[""], user_id=["ann"], history=[["no such item"]])["embedding"]

    np.testing.assert_allclose(same, stored, atol=1e-5)
    assert np.abs(other - stored).max() > 1e-3
    assert np.abs(unknown - stored).max() > 1e-3


def test_repeated_items_of_a_history_count(ask: Ask) -> None:
    once = ask("embed_query", query=[""], history=[[name(5), name(2)]])["embedding"]
    twice = ask("embed_query", query=[""], history=[[name(5), name(2), name(2)]])["embedding"]
    gaps = ask("embed_query", query=[""], history=[["", name(5), "no such item", name(2), ""]])["embedding"]

    assert np.abs(twice - once).max() > 1e-4
    np.testing.assert_allclose(gaps, once, atol=1e-6)


def test_query_and_history_together_differ_from_each_alone(ask: Ask) -> None:
    query, history = {"query": ["green candle"]}, {"history": [[name(0), name(10)]]}
    both = ask("embed_query", **query, **history)["embedding"]
    by_text = ask("embed_query", **query)["embedding"]
    by_history = ask("embed_query", query=[""], **history)["embedding"]
    scores = [
        ask("search", **given)["scores"] for given in (query | history, query, {"query": [""], **history})
    ]

    text = slice(0, 16)
    np.testing.assert_allclose(both[:, text], by_text[:, text], atol=1e-5)
    np.testing.assert_allclose(both[:, 16:-1], by_history[:, 16:-1], atol=1e-5)
    assert not by_text[:, 16:-1].any()
    assert not by_history[:, text].any()
    assert np.abs(scores[0] - scores[1]).max() > 1e-4
    assert np.abs(scores[0] - scores[2]).max() > 1e-4


def test_search_without_a_query_is_a_recommendation(ask: Ask) -> None:
    search, recommend = ask("search", query=[""], user_id=["ann"]), ask("recommend", user_id=["ann"])

    for output, values in recommend.items():
        np.testing.assert_array_equal(search[output], values)


@pytest.mark.parametrize("signature", ["search", "recommend", "similar", "rank", "embed_query"])
def test_batch_answers_as_its_rows_alone(ask: Ask, signature: str) -> None:
    rows: list[dict[str, Any]] = [
        {"query": "red teapot", "user_id": "ann", "history": [], "filters": [], "k": 2, "item_id": name(4)},
        {"query": "", "user_id": "", "history": [name(8), name(2)], "filters": ["room=hall"], "k": 12},
        {"query": "a set of glass cups", "user_id": "nobody", "history": ["?"], "filters": [], "k": 0},
        {"query": "box", "user_id": "bob", "history": [name(1)] * 6, "filters": ["x=y"], "k": 5},
    ]
    for row in rows:
        row.setdefault("item_id", name(6))
        row |= {"exclude": [name(3)], "exclude_seen": row["user_id"] == "ann"}
        row["candidates"] = [name(1), "?", "", name(row["k"] % 10)]
    wanted = {
        "search": ("query", "user_id", "history", "filters", "k", "exclude", "exclude_seen"),
        "recommend": ("user_id", "history", "filters", "k", "exclude", "exclude_seen"),
        "similar": ("item_id", "filters", "k", "exclude"),
        "rank": ("query", "user_id", "history", "candidates"),
        "embed_query": ("query", "user_id", "history"),
    }[signature]
    together = ask(signature, **{column: [row[column] for row in rows] for column in wanted})

    for i, row in enumerate(rows):
        alone = ask(signature, **{column: [row[column]] for column in wanted})
        for output, values in alone.items():
            mine = together[output][i : i + 1]
            mine = mine[:, : values.shape[1]] if values.ndim > 1 else mine
            if values.dtype == object:
                np.testing.assert_array_equal(mine, values, err_msg=output)
            else:
                np.testing.assert_allclose(mine, values, atol=1e-5, err_msg=output)


@pytest.mark.parametrize("given", [{"query": ["green lamp"]}, {"query": [""], "user_id": ["ann"]}])
def test_ranker_orders_what_retrieval_finds_first(
    ask: Ask, given: dict[str, Any], items: ItemTable, trained: TrainedModel
) -> None:
    num_candidates = tiny.CONFIG.serve.num_candidates
    query = ask("embed_query", **given)["embedding"][0]
    retrieval = item_matrix(trained.two_tower, ALL) @ query
    retrieval[tiny.UNAVAILABLE] = -np.inf
    first = {name(row) for row in np.argsort(-retrieval)[:num_candidates]}

    answer = ask("search", **given, k=[num_candidates])

    assert set(shown(answer)) == first
    rows = [tiny.IDS.index(item_id) for item_id in answer["item_ids"][0]]
    np.testing.assert_allclose(answer["channel_scores"][0].sum(axis=1), retrieval[rows], atol=1e-3)
    ranked = ask("rank", **given, candidates=[shown(answer)[::-1]])
    np.testing.assert_array_equal(ranked["item_ids"], answer["item_ids"])
    np.testing.assert_allclose(ranked["scores"], answer["scores"], atol=1e-5)


def test_forbidden_items_do_not_change_the_scores_of_the_others(ask: Ask) -> None:
    allowed = [name(row) for row in (3, 5, 6, 9)]
    filtered = ask("search", query=["glass box"], filters=[["room=hall"]], k=[4])
    ranked = ask("rank", query=["glass box"], candidates=[allowed])

    assert set(shown(filtered)) == set(allowed)
    np.testing.assert_allclose(filtered["scores"], ranked["scores"], atol=1e-5)


def test_similar_is_the_dot_product_without_popularity(
    ask: Ask, items: ItemTable, trained: TrainedModel
) -> None:
    vectors = item_matrix(trained.two_tower, ALL)[:, :-1]
    expected = vectors @ vectors[3]
    expected[[3, tiny.UNAVAILABLE]] = -np.inf

    answer = ask("similar", item_id=[name(3)], k=[5])

    np.testing.assert_array_equal(answer["item_ids"][0], np.array(tiny.IDS)[np.argsort(-expected)[:5]])
    np.testing.assert_allclose(answer["scores"][0], np.sort(expected)[::-1][:5], atol=1e-5)


@pytest.mark.parametrize("item_id", ["no such item", ""])
def test_nothing_is_similar_to_an_unknown_item(ask: Ask, item_id: str) -> None:
    answer = ask("similar", item_id=[item_id, name(0)], k=[3, 3])

    assert answer["num_results"].tolist() == [0, 3]
    assert (answer["item_ids"][0] == b"").all()


def test_input_of_another_rank_is_refused_and_does_not_reach_the_ops(saved: Path) -> None:
    """As a server feeds it, which does not look at shapes; lookups abort on a third axis of length 0."""
    model = LoadedModel(saved)
    signatures = [name for name in model.signatures if not name.startswith("__")]
    assert len(signatures) == 7
    for signature in signatures:
        inputs = model.signatures[signature].inputs
        good = {
            tensor.name: np.full(
                [1] * len(tensor.tensor_shape.dim),
                b"" if tensor.dtype == tf.string else 0,
                tf.as_dtype(tensor.dtype).as_numpy_dtype,
            )
            for tensor in inputs.values()
        }
        fetches = [tensor.name for tensor in model.signatures[signature].outputs.values()]
        model.run(good, fetches)
        for name, array in good.items():
            with pytest.raises(StatusError, match="is not compatible with expected shape"):
                model.run(good | {name: array.reshape([1, 1, 1])[:, :, :0]}, fetches)


def test_rank_puts_unknown_candidates_last_and_drops_empty_ones(ask: Ask) -> None:
    candidates = ["", name(3), "?", name(0), name(3), "no such item", name(tiny.UNAVAILABLE), ""]
    answer = ask("rank", query=["candle"], candidates=[candidates])

    assert answer["num_results"].tolist() == [4]
    assert sorted(shown(answer)) == sorted([name(0), name(3), name(3), name(tiny.UNAVAILABLE)])
    assert answer["item_ids"][0, 4:].tolist() == [b"?", b"no such item", b"", b""]
    assert answer["scores"][0, 4:].tolist() == [np.float32(LOWEST)] * 2 + [0.0, 0.0]
    assert (answer["titles"][0, 4:] == b"").all()
    assert (np.diff(answer["scores"][0, :6]) <= 0).all()
    assert np.isfinite(answer["scores"]).all()


def test_unknown_candidates_do_not_change_the_scores_of_the_others(ask: Ask) -> None:
    plain = ask("rank", query=["candle"], candidates=[[name(9), name(7)]])
    mixed = ask("rank", query=["candle"], candidates=[["?", name(9), "", name(7)]])

    np.testing.assert_allclose(mixed["scores"][:, :2], plain["scores"], atol=1e-6)


def test_candidates_past_the_limit_come_after_the_others_unscored(ask: Ask) -> None:
    candidates = [""] + [name(3)] * MAX_CANDIDATES + [name(0), "", name(7)]
    answer = ask("rank", query=["candle"], candidates=[candidates])

    assert answer["num_results"].tolist() == [MAX_CANDIDATES]
    assert shown(answer) == [name(3)] * MAX_CANDIDATES
    rest = answer["item_ids"][0, MAX_CANDIDATES:].tolist()
    assert rest == [name(0).encode(), name(7).encode(), b"", b""]
    assert answer["scores"][0, MAX_CANDIDATES:].tolist() == [np.float32(LOWEST)] * 2 + [0.0, 0.0]


@pytest.mark.parametrize("candidates", [[], ["?"], ["", ""]])
def test_rank_of_nothing_known_is_no_result(ask: Ask, candidates: list[str]) -> None:
    answer = ask("rank", query=["candle"], user_id=["ann"], candidates=[candidates])

    assert answer["num_results"].tolist() == [0]
    assert answer["item_ids"].shape == (1, len(candidates))


def test_embedding_of_a_stored_item_is_the_index(ask: Ask, trained: TrainedModel) -> None:
    found = ask("embed_item", item_id=[name(row) for row in range(ALL)], text=[""] * ALL)["embedding"]

    np.testing.assert_allclose(found, item_matrix(trained.two_tower, ALL), atol=1e-6)


def test_embedding_of_a_new_item_is_the_towers_of_its_text(ask: Ask, trained: TrainedModel) -> None:
    text = " big red lamp "
    found = ask("embed_item", item_id=["new", name(0)], text=[text, text])["embedding"]

    tower = trained.two_tower
    tokens = trained.tokenizer(tf.constant([text]), length=tiny.CONFIG.model.max_text_tokens)
    # Categories outside the vocabularies, and a number that is missing.
    expected = tower.item_tower(
        None, tower.encoder(tokens), np.array([[3, 3]]), np.array([[0.0, 1.0]], np.float32)
    )
    np.testing.assert_allclose(found, np.repeat(expected, 2, axis=0), atol=1e-5)


def test_empty_batch_is_no_rows(signatures: Any) -> None:
    none, lists = tf.zeros([0], tf.string), tf.zeros([0, 0], tf.string)
    answer = signatures["similar"](item_id=none, exclude=lists, filters=lists, k=tf.zeros([0], tf.int32))

    assert answer["num_results"].shape == (0,)


def test_default_signature_is_search(ask: Ask) -> None:
    request = {"query": ["red cup"], "user_id": ["bob"], "history": [[]], "exclude": [[]], "filters": [[]]}
    request |= {"k": [4], "exclude_seen": [True]}
    search, default = ask("search", **request), ask("serving_default", **request)

    assert search.keys() == default.keys()
    np.testing.assert_array_equal(search["item_ids"], default["item_ids"])


def test_every_stock_server_since_2_16_can_load_it(saved: Path) -> None:
    assert check_compatibility(saved).versions[0] == "2.16"


@pytest.mark.slow
@pytest.mark.parametrize("heads", [Heads(kinds=("event",)), Heads(has_relevance=True)])
def test_dataset_without_judgments_or_without_events_is_ordered_by_retrieval_there(
    items: ItemTable, heads: Heads
) -> None:
    bare = dataclasses.replace(items, category_names=(), category_values=items.category_values[:, :0])
    signatures = tiny.make_servable(bare, tiny.make_trained(items, heads)).signatures()
    lists = tf.zeros([1, 0], tf.string)
    rest = {"exclude": lists, "filters": lists, "exclude_seen": tf.constant([False]), "history": lists}
    rest |= {"user_id": tf.constant(["ann"]), "k": tf.constant([6])}
    is_searched = not heads.has_relevance
    answer = signatures["search"](query=tf.constant(["lamp" if is_searched else ""]), **rest)

    retrieval = answer["channel_scores"].numpy()[0].sum(axis=1)
    assert (np.diff(retrieval) <= 1e-5).all()
    assert answer["num_results"].numpy().tolist() == [6]
