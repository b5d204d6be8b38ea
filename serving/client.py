"""The client: asks a TF Serving server for searches and recommendations, without TensorFlow."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np

from serving import errors, messages, tensors
from serving.arguments import (
    Rows,
    Tensors,
    batch_size,
    context_tensors,
    list_tensor,
    result_tensors,
    text_tensor,
)

_CHANNEL_OPTIONS = [
    # gRPC's own limit of 4 MiB is below one batch of long result lists.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A server that was restarted is found again within seconds.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """One item of an answer.

    Attributes:
        item_id: The catalogue's own id.
        score: Higher is better; comparable within one answer. The lowest finite float32 marks a candidate of
            ``rank`` that the catalogue does not have.
        title: The item's first text column; empty when the catalogue does not have the item.
        channel_scores: What each candidate channel gave the item, in the model's order of channels.
    """

    item_id: str
    score: float
    title: str
    channel_scores: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VersionStatus:
    """One version of a model that the server knows: its number, its state and, after a failed load, why."""

    version: int
    state: str
    error: str


class Client:
    """A connection to one model on one server; threads may share it.

    Every method makes one call, whatever the size of the batch, and answers with one entry per row.

    Args:
        address: ``"HOST:PORT"`` of the server's gRPC port.
        model_name: The name the server serves the model under.
        timeout_s: How long to wait for one answer.

    Raises:
        ValueError: When an argument is wrong, before anything is sent.
        ServingError: When the server cannot be reached or refuses (see ``serving.errors``).

    Example:
        >>> with Client("localhost:8500") as client:                                    # doctest: +SKIP
        ...     client.search(["gift for a gardener"], user_ids=["12471"], k=2)
        [[Result(item_id='22114', ...), Result(item_id='21210', ...)]]
    """

    def __init__(self, address: str, *, model_name: str = "tandem", timeout_s: float = 10.0) -> None:
        if not re.fullmatch(r"[^\s/]+:\d{1,5}", address):
            raise ValueError(f"address must be HOST:PORT, for example localhost:8500. Got {address!r}.")
        self.address = address
        self.model_name = model_name
        self.timeout_s = timeout_s
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._predict = self._method(
            "PredictionService/Predict", messages.PredictRequest, messages.PredictResponse
        )
        self._get_status = self._method(
            "ModelService/GetModelStatus", messages.GetModelStatusRequest, messages.GetModelStatusResponse
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def search(
        self,
        queries: Sequence[str],
        user_ids: Sequence[str] | None = None,
        histories: Rows | None = None,
        k: int = 10,
        exclude: Rows | None = None,
        exclude_seen: bool = False,
        filters: Rows | None = None,
    ) -> list[list[Result]]:
        """Finds items for each query text, for the user and the history of the row if they are known.

        Args:
            queries: One text per row.
            user_ids: One id per row; ``""`` and unknown ids are answered without a user.
            histories: One list of item ids per row, the most recent first; a history wins over the one the
                model remembers for the user.
            k: At most this many results per row.
            exclude: One list of item ids per row that must not be in the answer.
            exclude_seen: Leaves out the items of the row's history.
            filters: One list of ``"column=value"`` per row; values of one column are alternatives, columns
                must all hold.

        Returns:
            For each row its results, best first; fewer than ``k`` when no more items are allowed.
        """
        batch = batch_size(
            queries=queries, user_ids=user_ids, histories=histories, exclude=exclude, filters=filters
        )
        inputs = {"query": text_tensor("queries", queries, batch)}
        inputs |= context_tensors(batch, user_ids, histories)
        inputs |= result_tensors(batch, k, exclude, filters)
        inputs["exclude_seen"] = np.full(batch, exclude_seen, np.bool_)
        return self._results("search", batch, inputs)

    def recommend(
        self,
        user_ids: Sequence[str] | None = None,
        histories: Rows | None = None,
        exclude_seen: bool = True,
        k: int = 10,
        exclude: Rows | None = None,
        filters: Rows | None = None,
    ) -> list[list[Result]]:
        """Recommends items to each user, or for each history; arguments as in ``search``."""
        if user_ids is None and histories is None:
            raise ValueError("recommend must have user_ids or histories. Got neither.")
        batch = batch_size(user_ids=user_ids, histories=histories, exclude=exclude, filters=filters)
        inputs = context_tensors(batch, user_ids, histories) | result_tensors(batch, k, exclude, filters)
        inputs["exclude_seen"] = np.full(batch, exclude_seen, np.bool_)
        return self._results("recommend", batch, inputs)

    def similar(
        self,
        item_ids: Sequence[str],
        k: int = 10,
        exclude: Rows | None = None,
        filters: Rows | None = None,
    ) -> list[list[Result]]:
        """Finds items that resemble each item; arguments as in ``search``."""
        batch = batch_size(item_ids=item_ids, exclude=exclude, filters=filters)
        inputs = {"item_id": text_tensor("item_ids", item_ids, batch)} | result_tensors(
            batch, k, exclude, filters
        )
        return self._results("similar", batch, inputs)

    def rank(
        self,
        candidates: Rows,
        queries: Sequence[str] | None = None,
        user_ids: Sequence[str] | None = None,
        histories: Rows | None = None,
    ) -> list[list[Result]]:
        """Orders the caller's own candidates, one list of item ids per row; other arguments as in ``search``.

        Returns:
            For each row all of its candidates, best first; those the catalogue does not have come last.
        """
        batch = batch_size(candidates=candidates, queries=queries, user_ids=user_ids, histories=histories)
        inputs = {
            "query": text_tensor("queries", queries, batch),
            "candidates": list_tensor("candidates", candidates, batch),
        }
        return self._results("rank", batch, inputs | context_tensors(batch, user_ids, histories))

    def embed_query(
        self,
        queries: Sequence[str] | None = None,
        user_ids: Sequence[str] | None = None,
        histories: Rows | None = None,
    ) -> np.ndarray[Any, Any]:
        """Gives the query tower's vectors, float32 ``[batch, dim]``."""
        batch = batch_size(queries=queries, user_ids=user_ids, histories=histories)
        inputs = {"query": text_tensor("queries", queries, batch)} | context_tensors(
            batch, user_ids, histories
        )
        return self.predict("embed_query", inputs)["embedding"]

    def embed_item(
        self, item_ids: Sequence[str] | None = None, texts: Sequence[str] | None = None
    ) -> np.ndarray[Any, Any]:
        """Gives the item tower's vectors, float32 ``[batch, dim]``, of known items or of new texts."""
        batch = batch_size(item_ids=item_ids, texts=texts)
        inputs = {
            "item_id": text_tensor("item_ids", item_ids, batch),
            "text": text_tensor("texts", texts, batch),
        }
        return self.predict("embed_item", inputs)["embedding"]

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]]) -> Tensors:
        """Calls any signature of the model: arrays in, arrays out; strings are object arrays of ``bytes``."""
        request = messages.PredictRequest()
        request.model_spec.name = self.model_name
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            tensors.fill(request.inputs[name], array)
        response = self._call(self._predict, request)
        return {name: tensors.to_array(proto) for name, proto in response.outputs.items()}

    def status(self) -> list[VersionStatus]:
        """Gives the versions of the model that the server knows, the newest first."""
        request = messages.GetModelStatusRequest()
        request.model_spec.name = self.model_name
        response = self._call(self._get_status, request)
        return [
            VersionStatus(version=v.version, state=messages.STATES[v.state], error=v.status.error_message)
            for v in response.model_version_status
        ]

    def wait_until_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until the server answers and a version of the model can be asked.

        Raises:
            ServerTimeoutError: When that is not so after ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                if any(version.state == "AVAILABLE" for version in self.status()):
                    return
            except (errors.ServerUnavailableError, errors.ModelNotFoundError):
                pass
            if time.monotonic() > deadline:
                raise errors.ServerTimeoutError(
                    f"The server at {self.address} must serve {self.model_name} within {timeout_s:g} s "
                    "and did not."
                )
            time.sleep(0.1)

    def _results(self, signature: str, batch: int, inputs: Tensors) -> list[list[Result]]:
        if batch == 0:
            return []
        outputs = self.predict(signature, inputs)
        columns = [outputs[name].tolist() for name in ("item_ids", "scores", "titles", "channel_scores")]
        return [
            [
                Result(
                    item_id=item_id.decode(),
                    score=score,
                    title=title.decode(),
                    channel_scores=tuple(channel_scores),
                )
                for item_id, score, title, channel_scores in zip(*row, strict=True)
                # Rows are padded with empty ids; num_results would also cut rank's unknown candidates.
                if item_id
            ]
            for row in zip(*columns, strict=True)
        ]

    def _method(self, name: str, request: Any, response: Any) -> Callable[..., Any]:
        return self._channel.unary_unary(
            f"/tensorflow.serving.{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            raise errors.from_rpc_error(error, address=self.address, timeout_s=self.timeout_s) from error
