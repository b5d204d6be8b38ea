from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.config import ServerConfig
from serving.server.methods.predict import predict
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError
from serving.server.versions.loaded_model import LoadedModel
from serving.server.versions.loader import ModelLoader
from serving.server.versions.warmup import FILE
from tests.serving.server.requests import predict_request

_WRAPPED_RUN_COUNT = "/tensorflow/serving/batching_session/wrapped_run_count"

Load = Callable[..., LoadedModel]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def load(metrics: Metrics, model_path: Path) -> Iterator[Load]:
    """Loads a version as these settings say; the tiny model unless told otherwise."""
    models, loaders = [], []

    def load(path: Path = model_path, **settings: Any) -> LoadedModel:
        loaders.append(ModelLoader(ServerConfig(**settings), metrics))
        models.append(loaders[-1].load("tandem", 1, path))
        return models[-1]

    yield load
    for model in models:
        model.retire()
    for loader in loaders:
        loader.stop()


@pytest.fixture
def own_path(model_path: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return Path(shutil.copytree(model_path, tmp_path / "1"))


def _ask(model: LoadedModel) -> None:
    predict(model, predict_request())


def test_requests_are_not_batched_by_default(load: Load, metrics: Metrics) -> None:
    _ask(load())

    assert metrics.value(_WRAPPED_RUN_COUNT) == 0


def test_requests_are_batched_when_asked_for(load: Load, metrics: Metrics) -> None:
    _ask(load(enable_batching=True, enable_model_warmup=False))

    assert metrics.value(_WRAPPED_RUN_COUNT) == 1
    assert ':queuing_latency_count{thread_pool_name="model_server_batch_threads"} 1' in metrics.render()


def test_batching_parameters_come_from_the_file(load: Load, metrics: Metrics, tmp_path: Path) -> None:
    file = tmp_path / "batching.pbtxt"
    file.write_text("max_batch_size { value: 1 } num_batch_threads { value: 1 }")
    model = load(enable_batching=True, batching_parameters_file=file)
    request = predict_request("measure")
    request.inputs.clear()
    request.inputs["text"].CopyFrom(tf.make_tensor_proto(["a", "b"]))

    with pytest.raises(StatusError, match="Task size 2 is larger than maximum input batch size 1"):
        predict(model, request)
    assert ':queuing_latency_count{thread_pool_name="batch_threads"}' in metrics.render()


def test_file_that_cannot_be_read_is_refused_at_the_start(tmp_path: Path, metrics: Metrics) -> None:
    file = tmp_path / "batching.pbtxt"
    file.write_text("max_batch_sizes { value: 1 }")

    with pytest.raises(StatusError, match="Invalid protobuf file"):
        ModelLoader(ServerConfig(enable_batching=True, batching_parameters_file=file), metrics)


def test_version_without_parameters_of_its_own_is_not_batched(load: Load, metrics: Metrics) -> None:
    _ask(load(enable_batching=True, enable_per_model_batching_parameters=True))

    assert metrics.value(_WRAPPED_RUN_COUNT) == 0


def test_version_is_batched_by_parameters_of_its_own(load: Load, metrics: Metrics, own_path: Path) -> None:
    (own_path / "batching_params.pbtxt").write_text("max_batch_size { value: 3 }")

    _ask(load(own_path, enable_batching=True, enable_per_model_batching_parameters=True))

    # One run was for warm-up.
    assert metrics.value(_WRAPPED_RUN_COUNT) == 2


def test_parameters_of_a_version_that_make_no_sense_fail_its_load(
    load: Load, metrics: Metrics, own_path: Path
) -> None:
    (own_path / "batching_params.pbtxt").write_text("allowed_batch_sizes: 3")

    with pytest.raises(StatusError, match="last entry was 3; expected 1000"):
        load(own_path, enable_batching=True, enable_per_model_batching_parameters=True)
    assert f'load_attempt_count{{model_path="{own_path}",status="fail"}} 1' in metrics.render()


def test_warm_up_is_counted(load: Load, metrics: Metrics, model_path: Path) -> None:
    load()

    page = metrics.render()
    assert f'load_attempt_count{{model_path="{model_path}",status="success"}} 1' in page
    assert f'model_warmup_records_read{{model_path="{model_path}",status="OK"}} 1' in page
    assert f'model_warmup_latency_count{{model_path="{model_path}",status="OK"}} 1' in page


def test_warm_up_can_be_left_out(load: Load, metrics: Metrics) -> None:
    load(enable_model_warmup=False)

    assert metrics.value("/tensorflow/serving/model_warmup_records_read") == 0


def test_failing_warm_up_fails_the_load(load: Load, metrics: Metrics, own_path: Path) -> None:
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "nothing"
    with tf.io.TFRecordWriter(str(own_path / FILE)) as writer:
        writer.write(log.SerializeToString())

    with pytest.raises(StatusError, match='Serving signature key "nothing" not found'):
        load(own_path)
    assert f'model_warmup_latency_count{{model_path="{own_path}",status="FAILED_PRECONDITION"}} 1' in (
        metrics.render()
    )


def test_file_that_is_no_graph_fails_the_load(load: Load, own_path: Path) -> None:
    (own_path / "saved_model.pb").write_bytes(b"not a graph")

    with pytest.raises(StatusError) as error:
        load(own_path)

    assert error.value.code.name == "UNKNOWN"


def test_truncated_variables_fail_the_load(load: Load, own_path: Path) -> None:
    (index,) = own_path.glob("variables/variables.index")
    index.write_bytes(index.read_bytes()[:10])

    with pytest.raises(StatusError):
        load(own_path)


@pytest.mark.parametrize(
    ("settings", "threads"),
    [
        ({}, (1, 0)),
        ({"tensorflow_session_parallelism": 3}, (3, 3)),
        ({"tensorflow_intra_op_parallelism": 2, "tensorflow_inter_op_parallelism": 1}, (2, 1)),
        ({"tensorflow_session_parallelism": 3, "tensorflow_inter_op_parallelism": 1}, (3, 1)),
    ],
)
def test_parallelism_reaches_the_session(
    load: Load, settings: dict[str, int], threads: tuple[int, int]
) -> None:
    config = load(**settings)._session._session._config

    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == threads


def test_session_is_set_up_by_its_file(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "session.pbtxt"
    file.write_text("intra_op_parallelism_threads: 5 allow_soft_placement: true")

    config = load(tensorflow_session_config_file=file)._session._session._config

    assert (config.intra_op_parallelism_threads, config.allow_soft_placement) == (5, True)
    assert config.graph_options.rewrite_options.disable_meta_optimizer


def test_session_optimises_as_its_file_says(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "session.pbtxt"
    file.write_text("graph_options { rewrite_options { meta_optimizer_iterations: ONE } }")

    config = load(tensorflow_session_config_file=file)._session._session._config

    assert not config.graph_options.rewrite_options.disable_meta_optimizer
