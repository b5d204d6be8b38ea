"""A version in memory: what its session computes and refuses, and what is left of it once it is unloaded."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from serving.server.batching.parameters import BatchingParameters
from serving.server.batching.scheduler import BatchScheduler
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError
from serving.server.versions.loaded_model import LoadedModel
from serving.server.versions.session import SavedModelSession
from tests.serving import graphs


@pytest.fixture(scope="module")
def model(model_path: Path) -> Iterator[LoadedModel]:
    model = LoadedModel(model_path)
    yield model
    model.retire()


def _texts(*texts: bytes) -> np.ndarray[Any, Any]:
    return np.array(texts, np.object_)


def _feed(model: LoadedModel, signature: str, alias: str) -> str:
    return model.signatures[signature].inputs[alias].name


def _fetch(model: LoadedModel, signature: str, alias: str) -> str:
    return model.signatures[signature].outputs[alias].name


def _measure(model: LoadedModel, *texts: bytes) -> list[Any]:
    (length,) = model.run(
        {_feed(model, "measure", "text"): _texts(*texts)}, [_fetch(model, "measure", "length")]
    )
    return length.tolist()


def test_outputs_come_in_the_order_asked_for(model: LoadedModel) -> None:
    fetches = [_fetch(model, "measure", alias) for alias in ("total", "length", "total")]

    total, length, again = model.run({_feed(model, "measure", "text"): _texts(b"a", b"bc")}, fetches)

    assert (total.tolist(), length.tolist(), again.tolist()) == (3, [1, 2], 3)


def test_only_what_is_fetched_is_computed(model: LoadedModel) -> None:
    feeds = {
        _feed(model, "both", "text"): _texts(b"abc"),
        _feed(model, "both", "number_text"): _texts(b"no number"),
    }
    assert model.run(feeds, [_fetch(model, "both", "length")])[0].tolist() == [3]

    with pytest.raises(
        StatusError, match=r"could not correctly convert string: no number\n.*\{\{node"
    ) as error:
        model.run(feeds, [_fetch(model, "both", "number")])
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_error_that_quotes_what_is_no_text_is_readable(model: LoadedModel) -> None:
    with pytest.raises(StatusError, match="could not correctly convert string: \ufffdz") as error:
        model.run(
            {_feed(model, "to_number", "text"): _texts(b"\xffz")}, [_fetch(model, "to_number", "number")]
        )

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_wrong_type_is_refused_in_the_runtimes_words(model: LoadedModel) -> None:
    with pytest.raises(StatusError, match=r"^Expects arg\[0\] to be string but int64 is provided$") as error:
        model.run({_feed(model, "measure", "text"): np.array([1])}, [_fetch(model, "measure", "length")])

    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_unknown_tensor_is_not_found(model: LoadedModel) -> None:
    with pytest.raises(StatusError, match="Tensor nothing:0, specified in") as error:
        model.run({"nothing:0": np.array([1])}, [_fetch(model, "measure", "length")])

    assert error.value.code is grpc.StatusCode.NOT_FOUND


def test_run_ends_when_its_time_is_over(model: LoadedModel) -> None:
    feeds = {_feed(model, "wait", "seconds"): np.array([30.0])}

    with pytest.raises(StatusError, match="Timed out waiting for notification") as error:
        model.run(feeds, [_fetch(model, "wait", "seconds")], timeout_s=0.1)

    assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_run_within_its_time_is_answered(model: LoadedModel) -> None:
    feeds = {_feed(model, "wait", "seconds"): np.array([0.0])}

    assert model.run(feeds, [_fetch(model, "wait", "seconds")], timeout_s=20.0)[0].tolist() == [0.0]


def test_graph_with_another_tag_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(StatusError, match=r"matching supplied tags: \{ serve \}\.") as error:
        LoadedModel(graphs.write(tmp_path, graphs.node("NoOp"), tag="train"))

    assert error.value.code is grpc.StatusCode.NOT_FOUND


def test_unloaded_versions_leave_nothing_behind(model_path: Path) -> None:
    unloaded = []
    for _ in range(5):
        session = SavedModelSession(model_path)
        unloaded.append(weakref.ref(session._graph))
        session.close()

    # Without a collection of garbage: it would stop every request.
    assert [graph() for graph in unloaded] == [None] * 5


def test_retiring_waits_for_requests_under_way(model_path: Path) -> None:
    model = LoadedModel(model_path)
    assert model.retain()
    retiring = threading.Thread(target=model.retire)
    retiring.start()
    while model.retain():
        model.release()

    assert _measure(model, b"abc") == [3]
    assert retiring.is_alive()
    model.release()
    retiring.join(20)

    assert not retiring.is_alive()


def test_batched_model_answers_like_one_that_is_not(model: LoadedModel, model_path: Path) -> None:
    metrics = Metrics()
    scheduler = BatchScheduler(num_threads=2, thread_pool_name="pool", metrics=metrics)
    batched = LoadedModel(
        model_path, scheduler=scheduler, batching=BatchingParameters(max_batch_size=8), metrics=metrics
    )

    assert _measure(batched, b"a", b"bc") == _measure(model, b"a", b"bc")
    with pytest.raises(StatusError, match=r"^Expects arg\[0\] to be string but int64 is provided$"):
        batched.run(
            {_feed(batched, "measure", "text"): np.array([1])}, [_fetch(batched, "measure", "length")]
        )
    with pytest.raises(StatusError, match="Batched output tensor has 0 dimensions"):
        batched.run({_feed(batched, "measure", "text"): _texts(b"a")}, [_fetch(batched, "measure", "total")])

    # The request of a wrong type had no part in a batch.
    assert metrics.value("/tensorflow/serving/batching_session/wrapped_run_count") == 2
    batched.retire()
    scheduler.stop()
