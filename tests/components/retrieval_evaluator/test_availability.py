"""Items that come and go, as an offline measure sees them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval_evaluator.baselines.base import Interactions, Queries
from components.retrieval_evaluator.servable_caller import ServedModel
from dataset.times import LAST
from serving.servable.saving import save_servable
from tests import tiny
from tests.components.retrieval_evaluator.catalogues import items_of

IDS = tuple(item.decode() for item in tiny.IDS)


@pytest.mark.slow
def test_what_is_gone_or_still_to_come_is_measured(tmp_path: Path) -> None:
    servable, signatures = tiny.shared_servable()
    assert servable.times is not None
    hour_ago = int(time.time()) - 3600
    # Half of the catalogue is gone today, and the other half comes tomorrow.
    gone = np.arange(len(IDS)) % 2 == 0
    servable.times.assign([np.where(gone, 0, hour_ago + 86400), np.where(gone, hour_ago, LAST)])
    save_servable(servable, str(tmp_path), signatures)
    servable.times.assign(tiny.make_times())
    available = set(range(len(IDS))) - {tiny.UNAVAILABLE}
    nobody = Queries.of_users(
        Interactions(
            user_rows=np.zeros(0, np.int32),
            item_rows=np.zeros(0, np.int32),
            times=np.zeros(0, np.int64),
            num_users=1,
            num_items=len(IDS),
        ),
        np.array([0]),
    )

    served = ServedModel(str(tmp_path), items_of(IDS))
    searched = served.search(["red lamp"], k=len(IDS)).rows[0]
    recommended = served.recommend(
        nobody, exclude_seen=False, user_ids=[""], now=tiny.LOG_START, k=len(IDS)
    ).rows[0]

    assert set(searched[searched >= 0]) == set(recommended[recommended >= 0]) == available
    facets = tf.saved_model.load(str(tmp_path)).signatures["facets"]
    nothing = tf.zeros([1, 0], tf.string)
    answer = facets(
        query=tf.constant([""]),
        now=tf.constant([0], tf.int64),
        exclude=nothing,
        filters=nothing,
        k=tf.constant([0]),
        spell=tf.constant([False]),
    )
    assert answer["num_matches"].numpy().tolist() == [0]
