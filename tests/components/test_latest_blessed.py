from __future__ import annotations

from typing import Any

from tfx.types import standard_artifacts

from components.latest_blessed import BlessedTrainedOnOther, LatestOtherBlessedModel
from tests.components.test_last_pushed import Lineage


def _model(number: int) -> Any:
    model = standard_artifacts.Model()
    model.id = number
    return model


def _blessing(model: int, *, blessed: bool = True) -> Any:
    blessing = standard_artifacts.ModelBlessing()
    blessing.id = 100 + model
    blessing.set_int_custom_property("current_model_id", model)
    blessing.set_int_custom_property("blessed", int(blessed))
    return blessing


def _resolve(current: int, models: list[int], blessings: list[Any]) -> tuple[list[int], list[int]]:
    inputs = {
        "current": [_model(current)],
        "model": [_model(number) for number in models],
        "model_blessing": blessings,
    }
    resolved = LatestOtherBlessedModel().resolve_artifacts(None, inputs)
    assert [model.id for model in resolved["current"]] == [current]
    return tuple([found.id for found in resolved[name]] for name in ("model", "model_blessing"))  # type: ignore[return-value]


def test_newest_blessed_model_is_taken_with_its_blessing() -> None:
    assert _resolve(9, [1, 5, 3, 9], [_blessing(1), _blessing(5), _blessing(3)]) == ([5], [105])


def test_model_that_is_not_blessed_is_passed_over() -> None:
    assert _resolve(9, [1, 5, 9], [_blessing(1), _blessing(5, blessed=False)]) == ([1], [101])


def test_model_is_not_compared_with_itself() -> None:
    assert _resolve(5, [1, 5], [_blessing(1), _blessing(5)]) == ([1], [101])


def test_first_run_has_nothing_to_compare_with() -> None:
    assert _resolve(1, [1], []) == ([], [])


def test_model_that_was_never_evaluated_is_no_candidate() -> None:
    # Trainer's own models are of the same type as servables, and are never blessed.
    assert _resolve(9, [1, 7, 9], [_blessing(1)]) == ([1], [101])


def _base_model(lineage: Lineage, examples: int, models: list[int], servables: list[int]) -> list[int]:
    current = standard_artifacts.Examples()
    current.id = examples
    inputs = {
        "examples": [current],
        "model": [_model(number) for number in models],
        "model_blessing": [_blessing(servable) for servable in servables],
    }
    resolved = BlessedTrainedOnOther().resolve_artifacts(lineage.store, inputs)
    return [model.id for model in resolved["model"]]


def test_model_to_begin_from_is_the_newest_blessed_one_of_other_data() -> None:
    lineage = Lineage()
    examples = [lineage.run("transformed_examples", "Examples") for _ in range(3)]
    models = [lineage.run("model", "Model", examples=number) for number in examples[:2]]
    servables = [lineage.run("servable", "Model", model=number) for number in models]
    everything = [*models, *servables]

    assert _base_model(lineage, examples[2], everything, servables) == [models[1]]
    assert _base_model(lineage, examples[2], everything, servables[:1]) == [models[0]]
    assert _base_model(lineage, examples[1], everything, servables) == [models[0]]
    assert _base_model(lineage, examples[0], everything, servables[:1]) == []
