"""The calls a client can make: each turns arguments into a request and knows how to read the response.

`Client` and `AsyncClient` make methods of these functions. They differ only in how they wait for the
response.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from serving.client import messages, results, tensors
from serving.client.arguments import (
    Rows,
    Tensors,
    batch_size,
    candidates_tensor,
    id_tensor,
    ids_tensor,
    k_tensor,
    result_tensors,
    text_tensor,
    wish_tensors,
)
from serving.client.context import Time, context_tensors, now_tensors
from serving.client.methods import GET_MODEL_METADATA, GET_MODEL_STATUS, PREDICT, RELOAD_CONFIG, Call, Model
from serving.client.results import Facets, ModelMetadata, Results, Suggestion, VersionStatus


def describe(method: Callable[..., Any], build: Callable[..., Call[Any]]) -> None:
    """Gives a client's ``method`` the name, docstring and arguments of ``build``, and its answer's type."""
    functools.update_wrapper(method, build)
    own = inspect.signature(build)
    model, *others = own.parameters.values()
    answer = own.return_annotation.removeprefix("Call[").removesuffix("]")
    shown = own.replace(parameters=[model.replace(name="self", annotation=own.empty), *others])
    vars(method)["__signature__"] = shown.replace(return_annotation=answer)


def search(
    model: Model,
    queries: Sequence[str],
    user_ids: Sequence[str] | None = None,
    histories: Rows | None = None,
    k: int = 10,
    exclude: Rows | None = None,
    exclude_seen: bool = False,
    filters: Rows | None = None,
    *,
    history_times: Sequence[Sequence[Time]] | None = None,
    now: Time = 0,
    diversity: float = 0.0,
    boost: Rows | None = None,
    pin: Rows | None = None,
    spell: bool = True,
    offset: int = 0,
    sort: str = "",
    timeout_s: float | None = None,
) -> Call[list[Results]]:
    """Finds items for each query text, and takes the row's user and history into account if they are given.

    Args:
        model: The model to ask; a client gives its own.
        queries: One text per row.
        user_ids: One id per row; ``""`` and unknown ids are answered without a user.
        histories: One list of item ids per row, the most recent first. A history given here replaces the one
            the model remembers for the user.
        k: The most results a row may have.
        exclude: One list of item ids per row that must not be in the answer.
        exclude_seen: Whether the items of the row's history are left out.
        filters: One list of filters per row. ``"column=value"``: an item must match one of the values given
            for each column. ``"column!=value"``: items with that value are left out. ``"price<=20"``, and so
            with ``<``, ``>`` and ``>=``: the item must have a number in that range.
        history_times: When each item of the histories was chosen: one list per row, aligned with it, of epoch
            seconds or datetimes. Where a time is 0, the place in the history stands in.
        now: The moment that is asked for, epoch seconds or a datetime. Items that are not available then are
            left out. 0 is the time on the server, and to recommend by, the newest event that the model knows.
            A datetime without a zone is UTC.
        diversity: From 0, the best items, to 1, items as unlike each other as possible.
        boost: One list of ``"column=value:factor"`` per row. An item with that value counts more by the
            factor, or less if it is below 1. The factors of several boosts multiply.
        pin: One list of item ids per row that come first, in this order, whatever the filters are. Excluded
            and unavailable items stay out.
        spell: Whether words that the catalogue does not have are corrected, where it has one that is one edit
            away; the results then say what was searched for.
        offset: How many of the first results are left out: with ``k``, the pages of an answer. No result is
            past the 1,000th.
        sort: A numeric column, to list what has a word of the query by it, the lowest value first; "-" before
            its name for the highest first. Empty for the best first.
        timeout_s: Seconds to wait for the answer; by default the client's own timeout.

    Returns:
        The results of each row, best first. A row has fewer than ``k`` if no more items are allowed.
    """
    batch = batch_size(
        queries=queries,
        user_ids=user_ids,
        histories=histories,
        exclude=exclude,
        filters=filters,
        boost=boost,
        pin=pin,
    )
    inputs = {"query": text_tensor("queries", queries, batch)}
    inputs |= context_tensors(batch, user_ids, histories, history_times, now)
    inputs |= result_tensors(batch, k, exclude, filters)
    inputs["exclude_seen"] = np.full(batch, exclude_seen, np.bool_)
    inputs |= wish_tensors(batch, diversity, boost, pin)
    inputs["spell"] = np.full(batch, spell, np.bool_)
    if not (isinstance(offset, int) and 0 <= offset <= np.iinfo(np.int32).max):
        raise ValueError(f"offset must be a whole number of at least 0. Got {offset!r}.")
    inputs["offset"] = np.full(batch, offset, np.int32)
    inputs["sort"] = text_tensor("sort", [sort] * batch, batch)
    return _listing(model, "search", batch, inputs, timeout_s)


def suggest(
    model: Model, texts: Sequence[str], k: int = 10, *, timeout_s: float | None = None
) -> Call[list[list[Suggestion]]]:
    """Completes each text that is being typed: by past queries, the catalogue's words, and titles.

    Args:
        model: The model to ask; a client gives its own.
        texts: One text per row.
        k: The most suggestions a row may have.
        timeout_s: Seconds to wait for the answer; by default the client's own timeout.
    """
    batch = batch_size(texts=texts)
    inputs = {"text": text_tensor("texts", texts, batch), "k": k_tensor(batch, k)}
    return _reading(model, "suggest", batch, inputs, results.read_suggestions, timeout_s)


def facets(
    model: Model,
    queries: Sequence[str],
    k: int = 100,
    exclude: Rows | None = None,
    filters: Rows | None = None,
    *,
    now: Time = 0,
    spell: bool = True,
    timeout_s: float | None = None,
) -> Call[list[Facets]]:
    """Counts the values of all items that match each query, or of all items for ``""``.

    Args:
        model: The model to ask; a client gives its own.
        queries: One text per row.
        k: The most values to count, over all columns; the commonest come first.
        exclude: As for ``search``.
        filters: As for ``search``.
        now: As for ``search``.
        spell: As for ``search``.
        timeout_s: Seconds to wait for the answer; by default the client's own timeout.
    """
    batch = batch_size(queries=queries, exclude=exclude, filters=filters)
    inputs = {"query": text_tensor("queries", queries, batch)} | now_tensors(batch, now)
    inputs |= result_tensors(batch, k, exclude, filters) | {"spell": np.full(batch, spell, np.bool_)}
    return _reading(model, "facets", batch, inputs, results.read_facets, timeout_s)


def recommend(
    model: Model,
    user_ids: Sequence[str] | None = None,
    histories: Rows | None = None,
    exclude_seen: bool = True,
    k: int = 10,
    exclude: Rows | None = None,
    filters: Rows | None = None,
    *,
    history_times: Sequence[Sequence[Time]] | None = None,
    now: Time = 0,
    diversity: float = 0.0,
    boost: Rows | None = None,
    pin: Rows | None = None,
    timeout_s: float | None = None,
) -> Call[list[Results]]:
    """Recommends items to each user, or for each history. The arguments are those of ``search``."""
    if user_ids is None and histories is None:
        raise ValueError("recommend must have user_ids or histories. Got neither.")
    batch = batch_size(
        user_ids=user_ids, histories=histories, exclude=exclude, filters=filters, boost=boost, pin=pin
    )
    inputs = context_tensors(batch, user_ids, histories, history_times, now) | result_tensors(
        batch, k, exclude, filters
    )
    inputs["exclude_seen"] = np.full(batch, exclude_seen, np.bool_)
    inputs |= wish_tensors(batch, diversity, boost, pin)
    return _listing(model, "recommend", batch, inputs, timeout_s)


def similar(
    model: Model,
    item_ids: Sequence[str],
    k: int = 10,
    exclude: Rows | None = None,
    filters: Rows | None = None,
    *,
    now: Time = 0,
    timeout_s: float | None = None,
) -> Call[list[Results]]:
    """Finds items that resemble each item. The other arguments are those of ``search``."""
    batch = batch_size(item_ids=item_ids, exclude=exclude, filters=filters)
    inputs = {"item_id": id_tensor("item_ids", item_ids, batch)} | now_tensors(batch, now)
    inputs |= result_tensors(batch, k, exclude, filters)
    return _listing(model, "similar", batch, inputs, timeout_s)


def complement(
    model: Model,
    carts: Rows,
    k: int = 10,
    exclude: Rows | None = None,
    filters: Rows | None = None,
    *,
    now: Time = 0,
    timeout_s: float | None = None,
) -> Call[list[Results]]:
    """Finds items that go with each cart, a list of item ids. The other arguments are those of ``search``.

    Returns:
        The results of each row, best first, without the items of the cart. First comes what is bought with
        them, then what is like them, then what is popular.
    """
    batch = batch_size(carts=carts, exclude=exclude, filters=filters)
    inputs = {"item_ids": ids_tensor("carts", carts, batch)} | now_tensors(batch, now)
    inputs |= result_tensors(batch, k, exclude, filters)
    return _listing(model, "complement", batch, inputs, timeout_s)


def rank(
    model: Model,
    candidates: Rows,
    queries: Sequence[str] | None = None,
    user_ids: Sequence[str] | None = None,
    histories: Rows | None = None,
    *,
    history_times: Sequence[Sequence[Time]] | None = None,
    now: Time = 0,
    timeout_s: float | None = None,
) -> Call[list[Results]]:
    """Orders the caller's own candidates, one list of item ids per row. The other arguments are those of
    ``search``.

    Returns:
        All candidates of each row, best first. Those the catalogue does not have come last.

    Raises:
        ValueError: If an argument is wrong, or if a row has more than 1,000 candidates.
    """
    batch = batch_size(candidates=candidates, queries=queries, user_ids=user_ids, histories=histories)
    inputs = {
        "query": text_tensor("queries", queries, batch),
        "candidates": candidates_tensor(candidates, batch),
    }
    inputs |= context_tensors(batch, user_ids, histories, history_times, now)
    return _listing(model, "rank", batch, inputs, timeout_s)


def embed_query(
    model: Model,
    queries: Sequence[str] | None = None,
    user_ids: Sequence[str] | None = None,
    histories: Rows | None = None,
    *,
    history_times: Sequence[Sequence[Time]] | None = None,
    now: Time = 0,
    timeout_s: float | None = None,
) -> Call[np.ndarray[Any, Any]]:
    """Computes the query tower's vectors, float32 ``[batch, dim]``."""
    batch = batch_size(queries=queries, user_ids=user_ids, histories=histories)
    inputs = {"query": text_tensor("queries", queries, batch)}
    inputs |= context_tensors(batch, user_ids, histories, history_times, now)
    return _embedding(model, "embed_query", inputs, timeout_s)


def embed_item(
    model: Model,
    item_ids: Sequence[str] | None = None,
    texts: Sequence[str] | None = None,
    *,
    timeout_s: float | None = None,
) -> Call[np.ndarray[Any, Any]]:
    """Computes the item tower's vectors, float32 ``[batch, dim]``, of known items or of new texts."""
    batch = batch_size(item_ids=item_ids, texts=texts)
    inputs = {
        "item_id": id_tensor("item_ids", item_ids, batch),
        "text": text_tensor("texts", texts, batch),
    }
    return _embedding(model, "embed_item", inputs, timeout_s)


def predict(
    model: Model,
    signature: str,
    inputs: Mapping[str, np.ndarray[Any, Any]],
    outputs: Sequence[str] = (),
    *,
    timeout_s: float | None = None,
) -> Call[Tensors]:
    """Calls any signature of the model with arrays, and answers with arrays.

    Strings are object arrays of ``bytes``.

    Args:
        model: The model to ask; a client gives its own.
        signature: The name of the signature.
        inputs: An array for each input.
        outputs: The names of the outputs to compute and send; by default all.
        timeout_s: Seconds to wait for the answer; by default the client's own timeout.
    """
    request = _predict_request(model, signature, inputs, outputs)
    return Call(method=PREDICT, request=request, read=results.read_arrays, timeout_s=timeout_s)


def status(model: Model, *, timeout_s: float | None = None) -> Call[list[VersionStatus]]:
    """Lists the versions of the model that the server knows, the newest first."""
    request = messages.GetModelStatusRequest()
    model.write_to(request.model_spec)
    return Call(method=GET_MODEL_STATUS, request=request, read=results.read_status, timeout_s=timeout_s)


def metadata(model: Model, *, timeout_s: float | None = None) -> Call[ModelMetadata]:
    """Describes the version that answers: its number, and the type and shape of every input and output."""
    request = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
    model.write_to(request.model_spec)
    return Call(method=GET_MODEL_METADATA, request=request, read=results.read_metadata, timeout_s=timeout_s)


def unload_models(model: Model, *, timeout_s: float | None = None) -> Call[None]:
    """Makes the server unload all its models, which is wanted just before the server is stopped.

    The server first finishes the requests it is working on. After that, `status` says ``"END"``.
    """
    request = messages.ReloadConfigRequest()
    # The request must hold an empty list of models; the server does not read a missing list as an empty one.
    request.config.model_config_list.SetInParent()
    return Call(method=RELOAD_CONFIG, request=request, read=lambda _: None, timeout_s=timeout_s)


def _listing(
    model: Model, signature: str, batch: int, inputs: Tensors, timeout_s: float | None
) -> Call[list[Results]]:
    return _reading(model, signature, batch, inputs, results.read_results, timeout_s)


def _reading(
    model: Model,
    signature: str,
    batch: int,
    inputs: Tensors,
    read: Callable[[Any], list[Any]],
    timeout_s: float | None,
) -> Call[list[Any]]:
    """A call whose answer has an entry for each row; of no rows nothing is asked."""
    if batch == 0:
        return Call(method=PREDICT, request=None, read=lambda _: [], timeout_s=timeout_s)
    request = _predict_request(model, signature, inputs)
    return Call(method=PREDICT, request=request, read=read, timeout_s=timeout_s)


def _embedding(
    model: Model, signature: str, inputs: Tensors, timeout_s: float | None
) -> Call[np.ndarray[Any, Any]]:
    request = _predict_request(model, signature, inputs)
    return Call(method=PREDICT, request=request, read=results.read_embedding, timeout_s=timeout_s)


def _predict_request(
    model: Model, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]], outputs: Sequence[str] = ()
) -> Any:
    request = messages.PredictRequest(output_filter=outputs)
    model.write_to(request.model_spec)
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        tensors.fill(request.inputs[name], array)
    return request
