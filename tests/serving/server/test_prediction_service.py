"""``PredictionService`` on servers of our own: what it counts, and what batching changes for its callers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.client import tensors
from serving.server import tensor_protos
from serving.server.batching.parameters import BatchingParameters
from serving.server.batching.scheduler import BatchScheduler
from serving.server.metrics import Metrics
from serving.server.prediction_service import PredictionService
from serving.server.versions.available import ServedModels
from serving.server.versions.loaded_model import LoadedModel
from tests.serving.server.requests import failure, predict_request

_WRAPPED_RUN_COUNT = "/tensorflow/serving/batching_session/wrapped_run_count"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def serve(model_path: Path, metrics: Metrics) -> Iterator[Callable[..., Any]]:
    """Serves the tiny model as version 7 of ``tandem``, batched or not, and gives a stub."""
    with futures.ThreadPoolExecutor(16) as executor:
        scheduler = BatchScheduler(num_threads=1, thread_pool_name="pool", metrics=metrics)
        server = grpc.server(executor)
        channels = []
        models = []

        def serve(batching: BatchingParameters | None = None, *, as_content: bool = False) -> Any:
            models.append(LoadedModel(model_path, scheduler=scheduler, batching=batching, metrics=metrics))
            served = ServedModels()
            served.add("tandem", 7, models[0])
            service = PredictionService(served, metrics, as_content=as_content)
            prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
            port = server.add_insecure_port("localhost:0")
            server.start()
            channels.append(grpc.insecure_channel(f"localhost:{port}"))
            return prediction_service_pb2_grpc.PredictionServiceStub(channels[0])

        yield serve
        for channel in channels:
            channel.close()
        server.stop(grace=5).wait()
        for model in models:
            model.retire()
        scheduler.stop()


def _wait_request(seconds: float) -> Any:
    request = predict_request("wait")
    request.inputs.clear()
    request.inputs["seconds"].CopyFrom(tf.make_tensor_proto([seconds], dtype=tf.float64))
    return request


def _eventually(is_so: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.005)


def test_requests_are_counted_by_model_and_status(serve: Callable[..., Any], metrics: Metrics) -> None:
    stub = serve()
    stub.Predict(predict_request())
    request = predict_request("nothing")
    failure(lambda: stub.Predict(request))
    request.model_spec.name = "nobody"
    failure(lambda: stub.Predict(request))
    failure(lambda: stub.Classify(classification_pb2.ClassificationRequest(model_spec={"name": "tandem"})))

    assert metrics.request_count.cells() == [
        (("nobody", "NOT_FOUND"), 1),
        (("tandem", "FAILED_PRECONDITION"), 1),
        (("tandem", "INVALID_ARGUMENT"), 1),
        (("tandem", "OK"), 1),
    ]
    page = metrics.render()
    assert ':request_latency_count{model_name="tandem",API="Predict",entrypoint="GRPC"} 1' in page
    assert ':runtime_latency_count{model_name="tandem",API="Predict",runtime="TF1"} 1' in page
    assert ':request_latency_count{model_name="nobody"' not in page
    assert 'API="Classify"' not in page


def test_content_is_written_when_asked_for(serve: Callable[..., Any]) -> None:
    request = predict_request("measure")
    request.inputs.clear()
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(["abc"]))

    outputs = serve(as_content=True).Predict(request).outputs

    assert outputs["length"].tensor_content == np.int32(3).tobytes()
    assert not outputs["length"].int_val
    assert len(tensor_protos.read(outputs["table"])) == 6


def test_deadline_of_the_call_ends_the_run(serve: Callable[..., Any], metrics: Metrics) -> None:
    stub = serve()

    assert failure(lambda: stub.Predict(_wait_request(60), timeout=0.3))[0] == "DEADLINE_EXCEEDED"

    _eventually(lambda: metrics.request_count.cells() == [(("tandem", "DEADLINE_EXCEEDED"), 1)])


def test_concurrent_callers_get_the_answers_they_get_alone(
    serve: Callable[..., Any], metrics: Metrics
) -> None:
    stub = serve(BatchingParameters(max_batch_size=64, pad_variable_length_inputs=True))
    requests = []
    for index in range(24):
        request = predict_request()
        request.inputs["query"].CopyFrom(tf.make_tensor_proto(["q" * index]))
        history = np.array([[b"", b"apron", b"dish"][: 1 + index % 3]], np.object_)
        request.inputs["history"].Clear()
        tensors.fill(request.inputs["history"], history)
        requests.append(request)
    alone = [stub.Predict(request) for request in requests]
    assert metrics.value(_WRAPPED_RUN_COUNT) == len(requests)

    # The only thread is busy while they arrive.
    busy = stub.Predict.future(_wait_request(1.0))
    together = [call.result(20) for call in [stub.Predict.future(request) for request in requests]]
    busy.result(20)

    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(
            one.outputs["embedding"].float_val, other.outputs["embedding"].float_val, rtol=1e-6
        )
    assert metrics.value(_WRAPPED_RUN_COUNT) - len(requests) - 1 < len(requests) / 2


def test_request_whose_caller_gives_up_while_it_waits_is_not_run(
    serve: Callable[..., Any], metrics: Metrics
) -> None:
    stub = serve(BatchingParameters())
    busy = stub.Predict.future(_wait_request(1.0))
    _eventually(lambda: ":queuing_latency_count" in metrics.render())
    waiting = stub.Predict.future(predict_request())
    time.sleep(0.2)

    waiting.cancel()

    busy.result(20)
    _eventually(lambda: (("tandem", "CANCELLED"), 1) in metrics.request_count.cells())
    assert metrics.value(_WRAPPED_RUN_COUNT) == 1


def test_malformed_requests_are_refused_one_by_one(serve: Callable[..., Any]) -> None:
    stub = serve(BatchingParameters())
    spoilt = predict_request()
    spoilt.inputs["query"].string_val.append(b"more")
    spoilt.inputs["query"].tensor_shape.dim[0].size = 2**40
    wrong_type = predict_request()
    wrong_type.inputs["query"].CopyFrom(tf.make_tensor_proto([1.0]))
    answers: list[Any] = []
    fine = [
        threading.Thread(target=lambda: answers.append(stub.Predict(predict_request()))) for _ in range(8)
    ]
    for thread in fine:
        thread.start()

    assert failure(lambda: stub.Predict(spoilt)) == ("INVALID_ARGUMENT", "tensor parsing error: query")
    assert failure(lambda: stub.Predict(wrong_type)) == (
        "INVALID_ARGUMENT",
        "Expects arg[3] to be string but float is provided",
    )
    for thread in fine:
        thread.join()
    assert len(answers) == 8
    assert all(isinstance(answer, predict_pb2.PredictResponse) for answer in answers)
