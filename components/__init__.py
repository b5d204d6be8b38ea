from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    """The artifact types, which Kubeflow looks for here. Who wants another module need not wait for TFX."""
    if name in ("InteractionSummary", "RetrievalEvaluation", "TextEmbeddings"):
        from components import artifacts

        return getattr(artifacts, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
