"""The channels of a servable as rows of the report: what each says by itself."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval_evaluator.baselines.base import Interactions, Queries
from components.retrieval_evaluator.servable_caller import ServedModel
from components.retrieval_evaluator.systems import _channels_alone
from serving.servable.saving import save_servable
from tests import tiny
from tests.components.retrieval_evaluator.catalogues import items_of

pytestmark = pytest.mark.slow

IDS = tuple(item.decode() for item in tiny.IDS)
NOW = tiny.LOG_START + tiny.TEST_DAY * tiny.DAY
USERS = ["ann", "u05", "nobody"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    folder = tmp_path_factory.mktemp("served")
    servable, signatures = tiny.shared_servable()
    save_servable(servable, str(folder), signatures)
    return ServedModel(str(folder), items_of(IDS))


@pytest.fixture(scope="module")
def queries() -> Queries:
    """Two users with a past and one without."""
    past = tiny.make_log().between(None, NOW)
    rows = [tiny.LOG_USER_IDS.tolist().index(user.encode()) for user in USERS[:2]]
    log = Interactions(
        user_rows=past.user_rows,
        item_rows=past.item_rows,
        times=past.times,
        num_users=past.num_users + 1,
        num_items=past.num_items,
    )
    return Queries.of_users(log, np.array([*rows, past.num_users]))


def test_names_are_those_of_the_channels(served: ServedModel) -> None:
    channels = tiny.make_recommending(tiny.shared_model()[0], tiny.shared_recommender()).channels

    assert set(served.channel_names) == set(channels.names)


def test_scores_are_the_channels_own_and_nothing_is_no_candidate(
    served: ServedModel, queries: Queries
) -> None:
    found = served.channel_scores(queries, USERS, NOW)

    recommending = tiny.make_recommending(tiny.shared_model()[0], tiny.shared_recommender())
    width = int(np.diff(queries.history_starts).max())
    sent, times = np.full((3, width), -1, np.int32), np.zeros((3, width), np.int64)
    for row in range(3):
        part = slice(queries.history_starts[row], queries.history_starts[row + 1])
        number = part.stop - part.start
        sent[row, :number], times[row, :number] = queries.history_items[part], queries.history_times[part]
    positions = tf.constant([0, -1, -1])
    history = recommending.history(
        positions,
        tf.constant(sent),
        tf.constant(times),
        tf.constant([True, True, False]),
        tf.fill([3], np.int64(NOW)),
    )
    for name, scores in recommending.channel_scores(history, positions).items():
        expected = np.where(scores > 0, scores, -np.inf)
        np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-5, err_msg=name)
    # Nothing is known of the stranger, so no channel says anything.
    assert all(np.isneginf(scores[2]).all() for scores in found.values())


def test_each_channel_has_a_row_and_all_are_asked_at_once(
    served: ServedModel, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    real = served.channel_scores

    def listening(*arguments: object) -> object:
        calls.append(arguments)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(served, "channel_scores", listening)
    systems = _channels_alone(served, lambda queries: USERS, NOW)

    scores = {name: score(queries) for name, score in systems.items()}

    assert set(scores) == {f"channel {name}" for name in served.channel_names}
    assert len(calls) == 1
    for name in served.channel_names:
        np.testing.assert_allclose(
            scores[f"channel {name}"], real(queries, USERS, NOW)[name], rtol=1e-4, atol=1e-6
        )


def test_recommendation_reads_rows_probabilities_and_reasons(served: ServedModel, queries: Queries) -> None:
    answers = served.recommend(queries, exclude_seen=True, user_ids=USERS, now=NOW, k=8)

    had = [
        set(queries.history_items[queries.history_starts[n] : queries.history_starts[n + 1]]) for n in (0, 1)
    ]
    for row in (0, 1):
        listed = answers.rows[row][answers.rows[row] >= 0]
        assert len(listed)
        assert not had[row] & set(listed.tolist())
        speakers = answers.reason_rows[row][answers.reason_rows[row] >= 0]
        assert set(speakers.tolist()) <= had[row]
    assert ((answers.probabilities >= 0) & (answers.probabilities <= 1)).all()
    assert (answers.reason_rows[2] == -1).all()
