"""The blessed models: the one a new model must not fall behind, and the one it may begin from."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.common.resolver import ResolverStrategy

from components.last_pushed import maker_of


class LatestOtherBlessedModel(ResolverStrategy):
    """Resolves ``model`` to the newest blessed model besides ``current``.

    TFX's `LatestBlessedModelStrategy` would return the current model itself when nothing changed since the
    last run, and so have it evaluated again, against itself.
    """

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keeps of ``model`` and ``model_blessing`` the one pair, or none; ``current`` as it is."""
        current = {artifact.id for artifact in input_dict["current"]}
        blessings = _blessings(input_dict)
        others = [m for m in input_dict["model"] if m.id in blessings and m.id not in current]
        newest = sorted(others, key=lambda model: model.id)[-1:]
        return {
            "current": input_dict["current"],
            "model": newest,
            "model_blessing": [blessings[model.id] for model in newest],
        }


class BlessedTrainedOnOther(ResolverStrategy):
    """Resolves ``model`` to the trained model of the newest blessed servable, unless of ``examples`` itself.

    A model that began from one trained on the same data would be another one each time nothing has changed.
    """

    def resolve_artifacts(self, store: Any, input_dict: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Keeps of ``model`` the one or none, with its servable's blessing; ``examples`` as they are."""
        current = {artifact.id for artifact in input_dict["examples"]}
        blessings = _blessings(input_dict)
        for servable in sorted(blessings, reverse=True):
            (trained,) = maker_of(store, servable).inputs["model"]
            if not current & set(maker_of(store, trained).inputs["examples"]):
                return {
                    "examples": input_dict["examples"],
                    "model": [model for model in input_dict["model"] if model.id == trained],
                    "model_blessing": [blessings[servable]],
                }
        return {"examples": input_dict["examples"], "model": [], "model_blessing": []}


def _blessings(input_dict: dict[str, list[Any]]) -> dict[int, Any]:
    """The blessings that bless, by the id of their servable."""
    return {
        blessing.get_int_custom_property("current_model_id"): blessing
        for blessing in input_dict["model_blessing"]
        if blessing.get_int_custom_property("blessed") == 1
    }
