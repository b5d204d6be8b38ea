"""A pretrained BERT that turns texts into unit vectors."""

from __future__ import annotations

import json
import os
from typing import Any

import keras
import keras_hub
import tensorflow as tf
from keras import ops

from models.encoder_usage import EncoderUsage
from models.pretrained import resolve_encoder

CONFIG_FILE = "encoder.json"
_HUGGING_FACE_GELU = "gelu"


class TextEncoder(keras.layers.Layer):
    """A keras-hub BERT backbone with pooling.

    It has no `get_config`, because the backbone's own leaves out which GELU it has: `save_architecture` keeps
    both.

    Args:
        backbone: The network; `from_pretrained` loads one.
        pooling: ``mean`` over the tokens that are not padding, or ``cls``.
        trainable_part: ``frozen``, ``lora``, ``top_layers`` or ``full``.
        lora_rank: With ``lora``: rank of the update to the attention's query and value projections (Hu et al.
            2021).
        num_top_layers: With ``top_layers``: how many of the last transformer layers learn.

    Call arguments:
        token_ids: int32 ``[batch, length]``, 0 is padding.

    Returns:
        float32 ``[batch, hidden_dim]`` of unit length.
    """

    def __init__(
        self,
        backbone: keras_hub.models.BertBackbone,
        *,
        pooling: str = "mean",
        trainable_part: str = "frozen",
        lora_rank: int = 8,
        num_top_layers: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.backbone = backbone
        self.pooling = pooling
        self._set_trainable(trainable_part, lora_rank, num_top_layers)

    @classmethod
    def from_pretrained(
        cls, name: str, *, pooling: str = "own", load_weights: bool = True, **kwargs: Any
    ) -> TextEncoder:
        """Loads what `resolve_encoder` finds under a name, on whatever machine this runs.

        Args:
            name: Of the encoder.
            pooling: ``own`` is what the encoder's folder says, ``mean`` where it says nothing.
            load_weights: Whether to load the weights too.
            **kwargs: Of the constructor.
        """
        name = resolve_encoder(name)
        backbone = keras_hub.models.BertBackbone.from_preset(name, load_weights=load_weights)
        if _hidden_activation(name) == _HUGGING_FACE_GELU:
            # keras-hub's BERT always takes the tanh approximation; these were trained with the exact one.
            _set_exact_gelu(backbone)
        return cls(backbone, pooling=EncoderUsage.of_folder(name).pooled_by(pooling), **kwargs)

    @property
    def output_dim(self) -> int:
        """Width of the vectors."""
        return int(self.backbone.hidden_dim)

    @property
    def has_exact_gelu(self) -> bool:
        """Whether the activation is the exact GELU, and not its approximation by tanh."""
        return self.transformer_layers()[0].activation is _exact_gelu

    def transformer_layers(self) -> list[keras.layers.Layer]:
        """The backbone's layers of attention, in order."""
        return [layer for layer in self.backbone.layers if layer.name.startswith("transformer_layer")]

    def _set_trainable(self, part: str, lora_rank: int, num_top_layers: int) -> None:
        self.backbone.trainable = part != "frozen"
        # BERT's own pooler is not used, so nothing could teach it.
        self.backbone.pooled_dense.trainable = False
        layers = self.transformer_layers()
        if part == "lora":
            self.backbone.trainable = False
            for layer in layers:
                layer.trainable = True
                for inner in layer._flatten_layers(include_self=False):
                    inner.trainable = False
                for name in ("query_dense", "value_dense"):
                    dense = getattr(layer._self_attention_layer, name)
                    dense.trainable = True
                    dense.enable_lora(lora_rank)
        elif part == "top_layers":
            self.backbone.trainable = False
            for layer in layers[-num_top_layers:]:
                layer.trainable = True

    def call(self, token_ids: tf.Tensor, training: bool = False) -> tf.Tensor:
        mask = ops.cast(ops.not_equal(token_ids, 0), "int32")
        inputs = {"token_ids": token_ids, "segment_ids": ops.zeros_like(token_ids), "padding_mask": mask}
        hidden = ops.cast(self.backbone(inputs, training=training)["sequence_output"], "float32")
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            weights = ops.cast(mask, hidden.dtype)[..., None]
            pooled = ops.sum(hidden * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)
        return ops.normalize(pooled, axis=-1)

    def save_architecture(self, folder: str) -> None:
        """Writes what `from_architecture` needs; the weights are the owner's."""
        config = {
            "backbone": self.backbone.get_config(),
            "exact_gelu": self.has_exact_gelu,
            "pooling": self.pooling,
        }
        with tf.io.gfile.GFile(os.path.join(folder, CONFIG_FILE), "w") as file:
            json.dump(config, file)

    @classmethod
    def from_architecture(cls, folder: str, **kwargs: Any) -> TextEncoder:
        """Builds an encoder of the same shape with weights still to be loaded."""
        with tf.io.gfile.GFile(os.path.join(folder, CONFIG_FILE)) as file:
            config = json.load(file)
        backbone = keras_hub.models.BertBackbone.from_config(config["backbone"])
        if config["exact_gelu"]:
            _set_exact_gelu(backbone)
        return cls(backbone, pooling=config["pooling"], **kwargs)


def _exact_gelu(x: tf.Tensor) -> tf.Tensor:
    return keras.activations.gelu(x, approximate=False)


def _set_exact_gelu(backbone: keras_hub.models.BertBackbone) -> None:
    for layer in backbone.layers:
        if layer.name.startswith("transformer_layer"):
            layer.activation = _exact_gelu
            layer._feedforward_intermediate_dense.activation = _exact_gelu


def _hidden_activation(name: str) -> str | None:
    """The activation a Hugging Face folder declares; ``None`` for a keras-hub preset."""
    path = os.path.join(name, "config.json")
    if not os.path.isfile(path):
        return None
    with open(path) as file:
        config = json.load(file)
    return config.get("hidden_act") if "architectures" in config or "model_type" in config else None
