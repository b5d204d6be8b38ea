from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow.core.framework import node_def_pb2

from dataset.errors import DataError
from serving.compatibility.check import check_compatibility
from tests import tiny
from tests.serving import graphs

ALL = ("2.16", "2.17", "2.18", "2.19", "2.20")

RANGE = ["start", "limit", "delta"]
WEBP = graphs.node("DecodeWebP", inputs=["contents"])
SCANN = graphs.node("Scann>ScannSearch", inputs=["vector"])


def save(function: tf.types.experimental.PolymorphicFunction, folder: Path) -> Path:
    module = tf.Module()
    module.function = function
    tf.saved_model.save(module, str(folder))
    return folder


def test_what_the_servable_is_made_of_loads_everywhere(model_path: Path) -> None:
    compatibility = check_compatibility(model_path)

    assert compatibility.versions == ALL
    assert compatibility.verdict() == "The model loads in stock TF Serving 2.16 and later (known up to 2.20)."
    assert {use.source for use in compatibility.ops} == {"TensorFlow"}


@pytest.mark.parametrize(
    ("node", "first_version", "problem"),
    [
        (SCANN, None, "no such op that runs on a CPU"),
        (WEBP, "2.20", "no such op that runs on a CPU"),
        (
            graphs.node(
                "GatherNd",
                inputs=["a", "b"],
                Tparams=tf.float32,
                Tindices=tf.int32,
                bad_indices_policy="IGNORE",
            ),
            "2.17",
            "the attr bad_indices_policy is ignored",
        ),
        (
            graphs.node("StringToNumber", inputs=["a"], out_type=tf.uint64),
            "2.17",
            "out_type cannot be uint64",
        ),
        (graphs.node("Range", inputs=RANGE, Tidx=tf.half), "2.18", "no CPU kernel for Tidx=half"),
        (graphs.node("Range", inputs=RANGE[:2], Tidx=tf.int32), None, "3 inputs instead of 2"),
        (graphs.node("Cast", inputs=["a"], SrcT=tf.half), None, "its attr DstT is missing"),
        (graphs.node("PyFunc", token="a"), None, "no such op that runs on a CPU"),
        (
            graphs.node("BatchNormWithGlobalNormalization", inputs=["a"], T=tf.float32),
            None,
            "the op was withdrawn at GraphDef version 9",
        ),
    ],
    ids=lambda value: value.op if isinstance(value, node_def_pb2.NodeDef) else None,
)
def test_node_is_refused_by_versions_that_lack_something_of_it(
    tmp_path: Path, node: node_def_pb2.NodeDef, first_version: str | None, problem: str
) -> None:
    [use] = check_compatibility(graphs.write(tmp_path, node)).ops

    refusing = ALL[: ALL.index(first_version)] if first_version else ALL
    assert use.first_version == first_version
    assert use.problems == dict.fromkeys(refusing, problem)


@pytest.mark.parametrize(
    "node",
    [
        graphs.node("Range", inputs=RANGE),
        graphs.node("Range", inputs=[*RANGE, "^after"], Tidx=tf.int64, _class="loc:@a"),
        graphs.node("AddN", inputs=["a", "b"], N=2, T=tf.float32),
    ],
    ids=["default type", "control input and note", "list of inputs"],
)
def test_node_that_every_version_knows_is_accepted(tmp_path: Path, node: node_def_pb2.NodeDef) -> None:
    assert check_compatibility(graphs.write(tmp_path, node)).versions == ALL


def test_op_of_tf_texts_trimmer_needs_2_20(tmp_path: Path) -> None:
    trimmer = tf_text.RoundRobinTrimmer(4)

    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)])
    def trim(tokens: tf.RaggedTensor) -> tf.Tensor:
        return trimmer.trim([tokens])[0].to_tensor()

    compatibility = check_compatibility(save(trim, tmp_path))

    assert compatibility.versions == ("2.20",)
    assert compatibility.refusals("2.20") == []
    assert compatibility.refusals("2.19") == [
        "Stock TF Serving 2.19 cannot serve the op TFText>RoundRobinTrim: "
        "no such op that runs on a CPU; 2.20 can."
    ]


def test_tf_texts_tokenizer_loads_everywhere(tmp_path: Path) -> None:
    tokenizer = tf_text.FastBertTokenizer(
        tiny.VOCABULARY, token_out_type=tf.int32, support_detokenization=False
    )

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def tokenize(texts: tf.Tensor) -> tf.Tensor:
        return tokenizer.tokenize(texts).to_tensor()

    compatibility = check_compatibility(save(tokenize, tmp_path))

    assert compatibility.versions == ALL
    assert {use.op for use in compatibility.ops if use.source == "TF-Text"} == {
        "FastBertNormalize",
        "FastWordpieceTokenizeWithOffsets",
    }


def test_ops_inside_functions_count_and_functions_are_no_ops(tmp_path: Path) -> None:
    folder = graphs.write(tmp_path, graphs.node("inner"), in_function=[WEBP, WEBP])

    compatibility = check_compatibility(folder)

    [use] = compatibility.ops
    assert (use.op, use.count) == ("DecodeWebP", 2)


def test_type_that_only_a_functions_caller_knows_is_accepted(tmp_path: Path) -> None:
    node = graphs.node("StringToNumber", inputs=["a"])
    node.attr["out_type"].placeholder = "T"

    assert check_compatibility(graphs.write(tmp_path, in_function=[node])).versions == ALL


def test_graph_that_asks_for_a_later_reader_is_refused(tmp_path: Path) -> None:
    compatibility = check_compatibility(graphs.write(tmp_path, min_consumer=2000))

    assert compatibility.versions == ("2.19", "2.20")
    assert "asks for 2000" in compatibility.refusals("2.16")[0]


def test_graph_that_is_not_tagged_for_serving_is_refused(tmp_path: Path) -> None:
    compatibility = check_compatibility(graphs.write(tmp_path, tag="train"))

    assert compatibility.verdict() == "No stock TF Serving from 2.16 to 2.20 can load the model."
    assert 'tagged "serve"' in compatibility.refusals("2.20")[0]


def test_op_that_nobody_has_is_named(tmp_path: Path) -> None:
    reasons = check_compatibility(graphs.write(tmp_path, SCANN)).refusals("2.20")

    assert len(reasons) == 1
    assert "Scann>ScannSearch" in reasons[0]
    assert "no known version can" in reasons[0]


def test_version_that_is_not_known_is_named_with_those_that_are(model_path: Path) -> None:
    with pytest.raises(DataError, match=r"one of 2\.16, 2\.17, .*Got '2\.15'"):
        check_compatibility(model_path).refusals("2.15")
