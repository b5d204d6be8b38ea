"""Loader of a model's versions, as the server's settings say."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from serving.server.batching.parameters import BatchingParameters, read_batching_parameters
from serving.server.batching.scheduler import BatchScheduler
from serving.server.config import ServerConfig
from serving.server.config_protos import parse_text
from serving.server.metrics import Metrics
from serving.server.status_error import StatusError
from serving.server.versions.loaded_model import LoadedModel
from serving.server.versions.warmup import warm_up

_log = logging.getLogger(__name__)

# A version may bring along this file, to be batched in a way of its own.
_BATCHING_FILE = "batching_params.pbtxt"


class ModelLoader:
    """Makes a ``LoadedModel`` of a version's directory, warm and ready to answer.

    Args:
        config: The server's settings.
        metrics: The counters of requests and loads.

    Raises:
        StatusError: If the settings for batching or for TensorFlow's runtime cannot be used.
    """

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._session_config = _session_config(config)
        self._batching: BatchingParameters | None = None
        self._scheduler: BatchScheduler | None = None
        if config.enable_batching:
            self._batching = _common_batching(config)
            self._scheduler = BatchScheduler(
                num_threads=self._batching.num_batch_threads,
                thread_pool_name=self._batching.thread_pool_name,
                metrics=metrics,
            )

    def load(self, name: str, version: int, path: Path) -> LoadedModel:
        """Loads the version in the directory ``path`` and replays its warm-up requests.

        Raises:
            StatusError: If it cannot be served.
        """
        try:
            model = self._load(path)
            if self._config.enable_model_warmup:
                count = self._warm_up(model)
                _log.info("Replayed %d warm-up requests of {name: %s version: %d}", count, name, version)
        except StatusError:
            raise
        except Exception as error:
            # TensorFlow raises almost anything on a broken export; it must end this version, not the server.
            raise StatusError(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error}") from error
        return model

    def stop(self) -> None:
        """Ends the threads that run batches; every model must be retired."""
        if self._scheduler is not None:
            self._scheduler.stop()

    def _load(self, path: Path) -> LoadedModel:
        status = "fail"
        try:
            model = LoadedModel(
                path,
                session_config=self._session_config,
                scheduler=self._scheduler,
                batching=self._batching_of(path),
                metrics=self._metrics,
            )
            status = "success"
        finally:
            self._metrics.load_attempt_count.increment(str(path), status)
        return model

    def _batching_of(self, path: Path) -> BatchingParameters | None:
        if not self._config.enable_per_model_batching_parameters:
            return self._batching
        file = path / _BATCHING_FILE
        return read_batching_parameters(file) if file.exists() else None

    def _warm_up(self, model: LoadedModel) -> int:
        try:
            return warm_up(model, num_iterations=self._config.num_request_iterations_for_warmup or 1)
        except Exception:
            # A version that is not served must not keep its memory, whatever the error was.
            model.retire()
            raise


def _common_batching(config: ServerConfig) -> BatchingParameters:
    if config.batching_parameters_file is None:
        return BatchingParameters(thread_pool_name="model_server_batch_threads")
    return read_batching_parameters(config.batching_parameters_file)


def _session_config(config: ServerConfig) -> tf.compat.v1.ConfigProto:
    session_config = config_pb2.ConfigProto()
    if config.tensorflow_session_config_file is not None:
        session_config = parse_text(config.tensorflow_session_config_file, config_pb2.ConfigProto)
    if not session_config.graph_options.HasField("rewrite_options"):
        # The functions of a servable say themselves what is optimised. To do it for the graph around them as
        # well gains nothing, and the first answers of its signatures take four times as long.
        session_config.graph_options.rewrite_options.disable_meta_optimizer = True
    within = config.tensorflow_intra_op_parallelism or config.tensorflow_session_parallelism
    between = config.tensorflow_inter_op_parallelism or config.tensorflow_session_parallelism
    # Threads that share one small product wait for each other more than they work. (With none between ops
    # either, which is -1, TensorFlow could not end a request whose time is over.)
    session_config.intra_op_parallelism_threads = within or session_config.intra_op_parallelism_threads or 1
    if between:
        session_config.inter_op_parallelism_threads = between
    return session_config
