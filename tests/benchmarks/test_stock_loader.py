from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from benchmarks.stock_loader import StockModel
from serving.compatibility.check import check_compatibility
from tests.serving import graphs

INSTALLED = Path(tf.__file__).parent.parent


class Mixed(tf.Module):
    """Every type that the servable's signatures know, in and out."""

    def __init__(self) -> None:
        self.scale = tf.Variable(2.5)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.string, "texts"),
            tf.TensorSpec([None], tf.int32, "k"),
            tf.TensorSpec([None], tf.bool, "flags"),
            tf.TensorSpec([None], tf.float32, "values"),
        ]
    )
    def answer(self, texts: Any, k: Any, flags: Any, values: Any) -> dict[str, Any]:
        return {
            "texts": tf.strings.upper(texts, encoding="utf-8"),
            "k": k + 1,
            "wide": tf.cast(k, tf.int64),
            "flags": ~flags,
            "values": values * self.scale,
            "none": texts[:0],
        }


def test_it_answers_what_tensorflow_answers(tmp_path: Path) -> None:
    module = Mixed()
    tf.saved_model.save(module, str(tmp_path), signatures=module.answer)
    fed = {
        "texts": tf.constant([["tasse", ""], ["Öl und ein langer Text, der nicht in 24 Byte passt", "x"]]),
        "k": tf.constant([3, -1]),
        "flags": tf.constant([True, False]),
        "values": tf.constant([0.5, -2.0]),
    }
    content = (tmp_path / "saved_model.pb").read_bytes()
    [meta_graph] = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    signature = meta_graph.signature_def["serving_default"]

    answer = StockModel(INSTALLED, tmp_path).run(
        inputs={
            signature.inputs[name].name: {
                "dtype": tensor.dtype.as_datatype_enum,
                "shape": list(tensor.shape),
                "values": [v.decode() if isinstance(v, bytes) else v for v in tensor.numpy().flat],
            }
            for name, tensor in fed.items()
        },
        outputs={name: info.name for name, info in signature.outputs.items()},
    )

    for name, tensor in module.answer(**fed).items():
        assert answer[name]["shape"] == list(tensor.shape)
        expected = np.char.decode(tensor.numpy().astype(bytes)) if tensor.dtype == tf.string else tensor
        assert answer[name]["values"] == np.asarray(expected).ravel().tolist()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"nodes": [graphs.node("Scann>ScannSearch")]}, "Op type not registered 'Scann>ScannSearch'"),
        (
            {
                "nodes": [
                    graphs.node("Placeholder", dtype=tf.string),
                    graphs.node("Relu", inputs=["placeholder"], T=tf.string),
                ]
            },
            "Value for attr 'T' of string is not in the list of allowed values",
        ),
        ({"nodes": [], "min_consumer": 10**6}, "min consumer version 1000000 above current"),
        ({"nodes": [], "tag": "train"}, "Could not find meta graph def matching supplied tags: { serve }"),
    ],
    ids=["op", "type", "version", "tag"],
)
def test_what_the_doctor_refuses_tensorflow_refuses(
    tmp_path: Path, written: dict[str, Any], words: str
) -> None:
    folder = graphs.write(tmp_path, *written.pop("nodes"), **written)

    with pytest.raises(RuntimeError) as error:
        StockModel(INSTALLED, folder)

    assert words in str(error.value)
    assert check_compatibility(folder).versions == ()
