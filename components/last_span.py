"""Which statistics those of a span are compared with."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common.resolver import ResolverStrategy


class LastSpan(ResolverStrategy):
    """Resolves ``statistics`` to the newest of the span before that of ``current``, or to none."""

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keeps of ``statistics`` the one; ``current`` as it is."""
        (current,) = input_dict["current"]
        earlier = [found for found in input_dict["statistics"] if found.span < current.span]
        newest = sorted(earlier, key=lambda found: (found.span, found.id))[-1:]
        return {"current": input_dict["current"], "statistics": newest}
