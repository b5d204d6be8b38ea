"""Which model the new one must not fall behind: the last blessed one that is not itself."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common.resolver import ResolverStrategy


class LatestOtherBlessedModel(ResolverStrategy):
    """Resolves ``model`` to the newest blessed model besides ``current``.

    TFX's `LatestBlessedModelStrategy` would return the current model itself when nothing changed since the
    last run, and so have it evaluated again, against itself.
    """

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keeps of ``model`` and ``model_blessing`` the one pair, or none; ``current`` as it is."""
        current = {artifact.id for artifact in input_dict["current"]}
        blessings = {
            blessing.get_int_custom_property("current_model_id"): blessing
            for blessing in input_dict["model_blessing"]
            if blessing.get_int_custom_property("blessed") == 1
        }
        others = [m for m in input_dict["model"] if m.id in blessings and m.id not in current]
        newest = sorted(others, key=lambda model: model.id)[-1:]
        return {
            "current": input_dict["current"],
            "model": newest,
            "model_blessing": [blessings[model.id] for model in newest],
        }
