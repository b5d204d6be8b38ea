"""The JSON API, where each path asks the model server one question for one person."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool

from dataset.labels import as_label
from serving.client import calls
from serving.client.errors import ServingError
from serving.client.methods import Call
from serving.client.results import Results
from serving.web.answers import shown
from serving.web.asking import VersionedClient
from serving.web.model_files import ModelFiles
from serving.web.request_log import Pseudonyms, record_of
from serving.web.schemas import (
    Answer,
    ComplementRequest,
    ErrorAnswer,
    Examples,
    FacetCounts,
    FacetsRequest,
    Health,
    ModelVersion,
    RankRequest,
    RecommendRequest,
    SearchRequest,
    SimilarRequest,
    Status,
    Suggestions,
    SuggestRequest,
    VersionState,
)

_READY_TIMEOUT_S = 2.0
# Probes ask every few seconds, and anybody may ask. So the model server is asked at most once a second.
_READY_FOR_S = 1.0

_Errors = dict[int | str, dict[str, Any]]


def _described(errors: dict[int, str]) -> _Errors:
    return {status: {"model": ErrorAnswer, "description": text} for status, text in errors.items()}


_ERRORS = _described(
    {
        400: "The model server refuses the request.",
        408: "The body took too long to arrive.",
        413: "The body is too large.",
        421: "A gateway without keys is asked under a name that is not this machine's.",
        422: "The request is not of this form.",
        429: "More requests than the rate allows; Retry-After says when to come back.",
        501: "The model cannot answer this kind of request.",
        502: "The model server failed.",
        503: "The model server is away, busy or without the model.",
        504: "The model server took too long.",
    }
)
_KEY_ERRORS = _described({401: "A key is missing or unknown."})


class Api:
    """The routes of the API over one model server.

    Args:
        client: The client of the model server.
        files: The files of its model.
        pseudonyms: The pseudonyms for the log.
        has_keys: Whether a request must have a key, for the description; the gate checks it.
    """

    def __init__(
        self, client: VersionedClient, files: ModelFiles, pseudonyms: Pseudonyms, *, has_keys: bool
    ) -> None:
        self._client, self._files, self._pseudonyms = client, files, pseudonyms
        self._ready, self._asked_at = False, float("-inf")
        # The gate has checked the key before a request gets here. This line only describes it.
        key = Depends(HTTPBearer(auto_error=False, description="A key of this gateway."))
        self.router = APIRouter(
            prefix="/api",
            dependencies=[key] if has_keys else [],
            responses=_ERRORS | _KEY_ERRORS if has_keys else _ERRORS,
            tags=["ask"],
        )
        for path, endpoint in (
            ("/search", self.search),
            ("/suggest", self.suggest),
            ("/facets", self.facets),
            ("/recommend", self.recommend),
            ("/similar", self.similar),
            ("/complement", self.complement),
            ("/rank", self.rank),
        ):
            self.router.add_api_route(path, endpoint, methods=["POST"])
        self.router.add_api_route("/status", self.status, methods=["GET"])
        self.router.add_api_route("/examples", self.examples, methods=["GET"])
        self.probes = APIRouter(tags=["probe"])
        self.probes.add_api_route("/healthz", self.healthz, methods=["GET"])
        self.probes.add_api_route("/readyz", self.readyz, methods=["GET"], responses={503: {"model": Health}})

    async def search(self, request: Request, body: SearchRequest) -> Answer:
        """Items for a text, with regard to the user and the history if they are given."""
        call = calls.search(
            self._client.model,
            [body.query],
            **_asker(body),
            k=body.k,
            exclude=[body.exclude],
            exclude_seen=body.exclude_seen,
            filters=[body.filters],
            **_wishes(body),
            spell=body.spell,
            offset=body.offset,
            sort=body.sort,
        )
        return await self._answer(request, call, body)

    async def suggest(self, body: SuggestRequest) -> Suggestions:
        """Completions of a text that is being typed."""
        (row,) = await self._client.ask(calls.suggest(self._client.model, [body.text], k=body.k))
        return Suggestions.model_validate({"suggestions": [dataclasses.asdict(found) for found in row]})

    async def facets(self, body: FacetsRequest) -> FacetCounts:
        """How many of all matches have each value."""
        call = calls.facets(
            self._client.model,
            [body.query],
            k=body.k,
            exclude=[body.exclude],
            filters=[body.filters],
            now=body.now,
            spell=body.spell,
        )
        (row,) = await self._client.ask(call)
        return FacetCounts.model_validate(dataclasses.asdict(row))

    async def recommend(self, request: Request, body: RecommendRequest) -> Answer:
        """Items for a user or a history, without a text."""
        call = calls.recommend(
            self._client.model,
            **_asker(body),
            k=body.k,
            exclude=[body.exclude],
            exclude_seen=body.exclude_seen,
            filters=[body.filters],
            **_wishes(body),
        )
        return await self._answer(request, call, body)

    async def similar(self, request: Request, body: SimilarRequest) -> Answer:
        """Items that resemble one item."""
        call = calls.similar(
            self._client.model,
            [body.item_id],
            k=body.k,
            exclude=[body.exclude],
            filters=[body.filters],
            now=body.now,
        )
        return await self._answer(request, call, body)

    async def complement(self, request: Request, body: ComplementRequest) -> Answer:
        """Items that go with a cart."""
        call = calls.complement(
            self._client.model,
            [body.cart],
            k=body.k,
            exclude=[body.exclude],
            filters=[body.filters],
            now=body.now,
        )
        return await self._answer(request, call, body)

    async def rank(self, request: Request, body: RankRequest) -> Answer:
        """The caller's candidates, best first; those the catalogue does not have come last."""
        call = calls.rank(
            self._client.model,
            [body.candidates],
            queries=[body.query],
            **_asker(body),
        )
        return await self._answer(request, call, body)

    async def status(self) -> Status:
        """The versions of the model that the model server knows."""
        versions = await self._client.status()
        return Status(
            model=self._client.model.name,
            ready=any(version.state == "AVAILABLE" for version in versions),
            versions=[
                VersionState(version=version.version, state=version.state, error=version.error)
                for version in versions
            ],
        )

    async def examples(self) -> Examples:
        """Queries, users and items of the model's own data, to begin with."""
        return await run_in_threadpool(self._files.examples)

    async def healthz(self) -> Health:
        """Whether the gateway runs."""
        return Health(status="ok")

    async def readyz(self, response: Response) -> Health:
        """Whether the model server serves the model."""
        if time.monotonic() - self._asked_at > _READY_FOR_S:
            self._asked_at = time.monotonic()
            try:
                versions = await self._client.status(timeout_s=_READY_TIMEOUT_S)
                self._ready = any(version.state == "AVAILABLE" for version in versions)
            except ServingError:
                self._ready = False
        response.status_code = 200 if self._ready else 503
        return Health(status="ok" if self._ready else "not ready")

    async def _answer(
        self,
        request: Request,
        call: Call[list[Results]],
        body: SearchRequest | RecommendRequest | SimilarRequest | ComplementRequest | RankRequest,
    ) -> Answer:
        record = record_of(request.scope)
        record.line.update(_noted(body, self._pseudonyms))
        listing = await self._client.listing(call)
        ids = [result.item_id for result in listing.results]
        columns = await run_in_threadpool(self._files.columns_of, ids, listing.version)
        record.line.update(num_results=len(ids), model_version=listing.version, model_ms=listing.took_ms)
        return Answer(
            results=shown(listing.results, columns),
            corrected_query=listing.results.corrected_query,
            model=ModelVersion(name=self._client.model.name, version=listing.version),
            took_ms=record.took_ms(),
            model_ms=listing.took_ms,
        )


def _asker(body: SearchRequest | RecommendRequest | RankRequest) -> dict[str, Any]:
    """The arguments of a call that say who asks, and when."""
    return {
        "user_ids": [body.user_id],
        "histories": [body.history],
        "history_times": [body.history_times] if body.history_times else None,
        "now": body.now,
    }


def _wishes(body: SearchRequest | RecommendRequest) -> dict[str, Any]:
    """The arguments of a call that rearrange its answer."""
    return {"diversity": body.diversity, "boost": [body.boost], "pin": [body.pin]}


def _noted(body: Any, pseudonyms: Pseudonyms) -> dict[str, Any]:
    """The part of a request that is logged: the user's pseudonym, and only the lengths of texts and lists."""
    noted: dict[str, Any] = {}
    for name, value in body:
        if name == "user_id":
            # One person however the id is written, as for the model.
            noted["user"] = pseudonyms.of(as_label(value))
        elif name == "query":
            noted["query_length"] = len(value)
        elif isinstance(value, list):
            noted[f"num_{name}"] = len(value)
        elif isinstance(value, int):
            noted[name] = value
    return noted
