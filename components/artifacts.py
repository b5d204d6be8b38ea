"""Artifact types of our own, beside TFX's standard ones."""

from __future__ import annotations

from tfx import types


class InteractionSummary(types.Artifact):
    """What InteractionBuilder counted: ``summary.json`` (findings, dates, sizes) and ``item_counts.npy``."""

    TYPE_NAME = "TandemInteractionSummary"


class TextEmbeddings(types.Artifact):
    """The frozen encoder's vector of each item: ``embeddings.npz`` in item row order."""

    TYPE_NAME = "TandemTextEmbeddings"


class RetrievalEvaluation(types.Artifact):
    """The whole catalogue ranked for every test user and query: ``evaluation.json``."""

    TYPE_NAME = "TandemRetrievalEvaluation"
