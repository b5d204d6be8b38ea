"""The settings of the servable and of its validation before a push."""

from __future__ import annotations

import dataclasses

from dataset.settings import require
from serving.compatibility.stock_ops.table import stock_ops

QUERY_ENCODERS = ("auto", "table", "encoder")
INDEXES = ("exact", "approximate")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """The settings of the servable and of its validation.

    Attributes:
        num_candidates: The number of items that are arranged as the caller wishes, or ranked.
        max_users: The most users whose latest history the servable carries; the most recently active come
            first.
        exploration_share: The share of the slots of a recommendation that go to items fewer than five users
            chose, 0 to 0.5. At 0.05 it is each twentieth slot.
        query_encoder: What encodes a query: ``encoder``, ``table`` (a sum of token vectors that imitates it),
            or ``auto``, the table where it loses little.
        max_quality_loss: How much of nDCG@10 the table may lose under ``auto``.
        index: ``exact`` looks at every item; ``approximate`` looks into the lists that are near a query, and
            pays from about 100,000 items on.
        min_index_recall: How much of the exact index's first hundred results the approximate one must find, 0
            to 1; with less the run stops.
        max_latency_ms: The servable is refused if the median latency of one search is above this.
        tf_serving_version: The oldest stock TF Serving that must be able to load the servable.
    """

    num_candidates: int = 200
    max_users: int = 1_000_000
    exploration_share: float = 0.05
    query_encoder: str = "auto"
    max_quality_loss: float = 0.01
    index: str = "exact"
    min_index_recall: float = 0.98
    max_latency_ms: float = 1000.0
    tf_serving_version: str = "2.16"

    def __post_init__(self) -> None:
        require(self.num_candidates >= 1, "serve.num_candidates must be at least 1", self.num_candidates)
        require(self.max_users >= 0, "serve.max_users must be at least 0", self.max_users)
        require(
            0 <= self.exploration_share <= 0.5,
            "serve.exploration_share must be from 0 to 0.5",
            self.exploration_share,
        )
        require(
            self.query_encoder in QUERY_ENCODERS,
            f"serve.query_encoder must be one of {', '.join(QUERY_ENCODERS)}",
            self.query_encoder,
        )
        require(
            0 <= self.max_quality_loss <= 1,
            "serve.max_quality_loss must be from 0 to 1",
            self.max_quality_loss,
        )
        require(self.index in INDEXES, f"serve.index must be one of {', '.join(INDEXES)}", self.index)
        require(
            0 <= self.min_index_recall <= 1,
            "serve.min_index_recall must be from 0 to 1",
            self.min_index_recall,
        )
        require(self.max_latency_ms > 0, "serve.max_latency_ms must be above 0", self.max_latency_ms)
        known = stock_ops().versions
        require(
            self.tf_serving_version in known,
            f"serve.tf_serving_version must be one of {', '.join(known)}, in quotes",
            self.tf_serving_version,
        )
