"""A BERT sentence encoder as an ONNX graph of ONNX Runtime's own fused operators, from Hugging Face weights.

``onnxruntime.transformers.optimizer`` turns an exported BERT into this graph (fused attention, layer
normalisation with its residual, bias with GELU). Here the graph is written down directly, so that no PyTorch
is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = np.ndarray[Any, Any]

_FUSED = "com.microsoft"
_MAX_TOKENS = 32


class OnnxEncoder:
    """An encoder of texts into unit vectors.

    Args:
        folder: A Hugging Face BERT: configuration, ``model.safetensors`` and ``tokenizer.json``.
        num_threads: The threads of one run; 0 takes one thread a core.
    """

    def __init__(self, folder: str | Path, *, num_threads: int = 0) -> None:
        self._tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._tokenizer.no_padding()
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = num_threads
        # Clients and server share the cores, so a thread that spins while it waits would slow both.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            build_bert(Path(folder)).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, text: str) -> Array:
        """The vector of one text, float32 ``[hidden_dim]``."""
        return self.encode([self.tokenise(text)])[0]

    def tokenise(self, text: str) -> list[int]:
        """The ids of a text's tokens, the special ones included."""
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def encode(self, rows: Sequence[Sequence[int]]) -> Array:
        """The vectors of tokenised texts of any length, float32 ``[len(rows), hidden_dim]``."""
        tokens = np.zeros((len(rows), max(map(len, rows))), np.int32)
        for padded, row in zip(tokens, rows, strict=True):
            padded[: len(row)] = row
        vectors: Array = self._session.run(None, {"tokens": tokens, "mask": (tokens != 0).astype(np.int32)})[
            0
        ]
        return vectors


def build_bert(folder: Path) -> onnx.ModelProto:
    """Builds the encoder with mean pooling.

    It takes ``tokens`` and ``mask``, int32 ``[batch, length]``, and returns ``vectors`` of unit length,
    float32 ``[batch, hidden_dim]``.
    """
    config = json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    nodes: list[Any] = []
    constants: dict[str, Array] = {}

    def constant(name: str, value: Array) -> str:
        constants[name] = np.ascontiguousarray(value)
        return name

    def add(kind: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def weight(name: str) -> str:
        return constant(name, weights[name])

    def matrix(name: str) -> str:
        return constant(name, weights[name].T)

    def skip_norm(x: str, skip: str, norm: str, dense: str, output: str) -> str:
        inputs = [x, skip, weight(f"{norm}.weight"), weight(f"{norm}.bias"), weight(f"{dense}.bias")]
        return add("SkipLayerNormalization", inputs, output, _FUSED, epsilon=epsilon)

    epsilon = config["layer_norm_eps"]
    embeddings = "embeddings.{}.weight"
    # Every token is of the first segment, so the segment's vector is added once, here.
    segment = weights[embeddings.format("token_type_embeddings")][0]
    position = constant("position", weights[embeddings.format("position_embeddings")] + segment)
    word = weight(embeddings.format("word_embeddings"))
    norm = [weight("embeddings.LayerNorm.weight"), weight("embeddings.LayerNorm.bias")]
    nodes.append(
        helper.make_node(
            "EmbedLayerNormalization",
            ["tokens", "", word, position, "", *norm],
            ["x", ""],
            name="x",
            domain=_FUSED,
            epsilon=epsilon,
        )
    )
    x = "x"
    for i in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{i}"
        parts = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        kernels = [weights[f"{part}.weight"].T for part in parts]
        joined = constant(f"{layer}.qkv", np.concatenate(kernels, axis=1))
        bias = constant(f"{layer}.qkv_bias", np.concatenate([weights[f"{part}.bias"] for part in parts]))
        heads = config["num_attention_heads"]
        attended = add("Attention", [x, joined, bias, "mask"], f"{layer}.attended", _FUSED, num_heads=heads)
        out = f"{layer}.attention.output"
        projected = add("MatMul", [attended, matrix(f"{out}.dense.weight")], f"{layer}.projected")
        x = skip_norm(projected, x, f"{out}.LayerNorm", f"{out}.dense", f"{layer}.normed")
        grown = f"{layer}.intermediate.dense"
        hidden = add("MatMul", [x, matrix(f"{grown}.weight")], f"{layer}.grown")
        hidden = add("BiasGelu", [hidden, weight(f"{grown}.bias")], f"{layer}.hidden", _FUSED)
        out = f"{layer}.output"
        shrunk = add("MatMul", [hidden, matrix(f"{out}.dense.weight")], f"{layer}.shrunk")
        x = skip_norm(shrunk, x, f"{out}.LayerNorm", f"{out}.dense", f"{layer}.out")

    last, middle = constant("last", np.array([2])), constant("middle", np.array([1]))
    shown = add("Unsqueeze", [add("Cast", ["mask"], "shown", to=TensorProto.FLOAT), last], "column")
    total = add("ReduceSum", [add("Mul", [x, shown], "kept"), middle], "total", keepdims=0)
    count = add("ReduceSum", [shown, middle], "count", keepdims=0)
    add("LpNormalization", [add("Div", [total, count], "mean")], "vectors", axis=-1, p=2)

    graph = helper.make_graph(
        nodes,
        "bert",
        [
            helper.make_tensor_value_info(n, TensorProto.INT32, ["batch", "length"])
            for n in ("tokens", "mask")
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", config["hidden_size"]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
