from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from serving.servable.warmup_requests import example_inputs, write_warmup_requests
from tests.serving.tiny_model import INPUTS

ITEMS = [{"item_id": f"item-{i}", "title": f"Item {i}"} for i in range(3)]
WHOLE: dict[str, list[Any]] = {
    "queries": ["tea", "cup"],
    "users": [{"user_id": "ann", "history": ITEMS}, {"user_id": "bob", "history": ITEMS[:1]}],
    "items": ITEMS,
}
# A dataset without events has no users.
NO_USERS = WHOLE | {"users": []}
# The servable's; the tiny model has more, for the protocol.
SIGNATURES = {"search", "suggest", "facets", "recommend", "similar", "complement", "rank"}
SIGNATURES |= {"embed_query", "embed_item"}


@pytest.mark.parametrize("examples", [WHOLE, NO_USERS])
@pytest.mark.parametrize("num_rows", [1, 4])
def test_every_signature_gets_every_input_in_its_shape(examples: dict[str, list[Any]], num_rows: int) -> None:
    made = example_inputs(examples, num_rows)

    assert set(made) == SIGNATURES
    for signature, inputs in made.items():
        assert set(inputs) == set(INPUTS[signature]), signature
        for name, value in inputs.items():
            assert INPUTS[signature][name].is_compatible_with(value), (signature, name)
            assert len(value) == num_rows


def test_requests_hold_what_the_dataset_has() -> None:
    made = example_inputs(WHOLE, 3)

    assert made["search"]["query"].numpy().tolist() == [b"tea", b"cup", b"tea"]
    assert made["recommend"]["history"].numpy().tolist()[:2] == [
        [b"", b"item-0", b"item-1"],
        [b"", b"item-0", b""],
    ]
    assert made["embed_query"]["user_id"].numpy().tolist() == [b"ann", b"bob", b"ann"]


def test_lists_begin_with_an_empty_text_as_the_client_sends_them() -> None:
    for inputs in example_inputs(WHOLE, 2).values():
        for name in {"history", "exclude", "filters", "candidates"} & set(inputs):
            assert inputs[name][:, 0].numpy().tolist() == [b"", b""], name


def test_file_holds_one_request_and_one_batch_for_each_signature(tmp_path: Path) -> None:
    path = str(tmp_path / "requests")

    write_warmup_requests(path, WHOLE)

    requests = [
        prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        for record in tf.data.TFRecordDataset(path).as_numpy_iterator()
    ]
    sizes = [
        (
            request.model_spec.signature_name,
            {tensor.tensor_shape.dim[0].size for tensor in request.inputs.values()},
        )
        for request in requests
    ]
    assert sorted(sizes, key=str) == sorted(
        ((name, {rows}) for name in SIGNATURES for rows in (1, 4)), key=str
    )
    assert {request.model_spec.name for request in requests} == {"tandem"}
