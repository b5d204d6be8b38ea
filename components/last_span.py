"""The statistics that those of a span are compared with."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common.resolver import ResolverStrategy


class LastSpan(ResolverStrategy):
    """Resolves ``statistics`` to the newest of the span before that of ``current``, or to none.

    Those of other tables are passed over here: TFX takes a channel of the node that made ``current`` for that
    of ``current`` itself.
    """

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keeps of ``statistics`` the one; ``current`` as it is."""
        (current,) = input_dict["current"]
        earlier = [
            found
            for found in input_dict["statistics"]
            if found.span < current.span and _node(found) == _node(current)
        ]
        newest = sorted(earlier, key=lambda found: (found.span, found.id))[-1:]
        return {"current": input_dict["current"], "statistics": newest}


def _node(artifact: Any) -> str:
    """The node that made an artifact, which TFX puts into ``ROOT/NODE/OUTPUT/EXECUTION``."""
    return str(artifact.uri).rstrip("/").split("/")[-3]
