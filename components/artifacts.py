"""Artifact types of our own, beside TFX's standard ones.

Kubeflow knows the class by the type's name alone: a package, one dot, the class.
"""

from __future__ import annotations

from tfx import types


class InteractionSummary(types.Artifact):
    """What InteractionBuilder counted, which `models.interaction_summary.Summary` saves and loads."""

    TYPE_NAME = "components.InteractionSummary"


class TextEmbeddings(types.Artifact):
    """The frozen encoder's vector of each item: ``embeddings.npy`` in item row order."""

    TYPE_NAME = "components.TextEmbeddings"


class RetrievalEvaluation(types.Artifact):
    """The whole catalogue ranked for every test user and query.

    ``evaluation.json`` has what the report shows. ``values.npz`` has what our system reached for each of
    them.
    """

    TYPE_NAME = "components.RetrievalEvaluation"
