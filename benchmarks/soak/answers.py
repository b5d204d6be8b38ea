"""The answers that each version must give, for versions whose answers differ."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.serving.inside import Session
from benchmarks.serving.load import Ask, call_of
from dataset.errors import DataError
from serving.client import messages, tensors
from serving.client.methods import Call
from serving.client.results import Result, Results

OPERATIONS = ("search", "recommend", "similar", "rank")

# Batching adds up the same sums in another order, so scores may differ by this much.
_RELATIVE, _ABSOLUTE = 1e-4, 1e-5
_ITEM_VECTORS = "item_vectors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """A request whose answer is known."""

    operation: str
    call: Call[list[Results]]


def make_questions(asks: Sequence[Ask]) -> list[Question]:
    """Makes a question of every operation for every ask."""
    return [
        Question(operation=operation, call=call_of(operation, ask))
        for ask in asks
        for operation in OPERATIONS
    ]


def write_variants(version_dir: Path, folder: Path, count: int) -> list[Path]:
    """Copies a SavedModel several times, with other item vectors, and so other answers, in each copy.

    Args:
        version_dir: The model.
        folder: The folder for the copies.
        count: The number of copies.

    Raises:
        DataError: If the model holds no vectors of items.
    """
    checkpoint = tf.train.load_checkpoint(str(version_dir / "variables" / "variables"))
    names = sorted(checkpoint.get_variable_to_shape_map())
    changed = [name for name in names if _ITEM_VECTORS in name]
    if len(changed) != 1:
        raise DataError(f"{version_dir} must hold one variable {_ITEM_VECTORS}. Got {changed}.")
    variants = []
    for shift in range(count):
        variant = folder / f"variant-{shift}"
        shutil.copytree(version_dir, variant, ignore=shutil.ignore_patterns("variables.*"))
        values = [checkpoint.get_tensor(name) for name in names]
        # Every item gets the vector of the next item, or of the one after that.
        place = names.index(changed[0])
        values[place] = np.roll(values[place], shift, axis=0)
        tf.raw_ops.SaveV2(
            prefix=str(variant / "variables" / "variables"),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(value) for value in values],
        )
        variants.append(variant)
    return variants


def expected_answers(version_dir: Path, questions: Sequence[Question]) -> list[Results]:
    """The answers to the questions, computed in this process."""
    session = Session(version_dir)
    answers = []
    for question in questions:
        sent = question.call.request
        inputs = {name: tensors.to_array(proto) for name, proto in sent.inputs.items()}
        response = messages.PredictResponse()
        for name, array in session.run(sent.model_spec.signature_name, inputs).items():
            tensors.fill(response.outputs[name], array)
        answers += question.call.read(response)
    return answers


def is_same(expected: Sequence[tuple[str, float]], got: Sequence[tuple[str, float]]) -> bool:
    """Whether two answers of ids with scores are the same, but for rounding and the order of equal scores."""
    if len(expected) != len(got):
        return False
    known = dict(expected)
    for (_, wanted), (item_id, score) in zip(expected, got, strict=True):
        # An item that is not in the expected answer may have the same score as its last item.
        if not _is_close(wanted, score) or not _is_close(known.get(item_id, expected[-1][1]), score):
            return False
    return True


def scored_ids(results: Sequence[Result]) -> list[tuple[str, float]]:
    """The ids and scores, which `is_same` compares."""
    return [(result.item_id, result.score) for result in results]


def _is_close(expected: float, got: float) -> bool:
    return math.isclose(expected, got, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
