"""Likeness of items: their texts, and who chose both."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from models.channels.channels import Channels
from models.inverted_lists import InvertedLists
from models.retriever import Retriever
from serving.servable.searching import Found

# The channels of links that say who chose both: in one basket, and of one user.
_CHANNELS = ("basket", "ease")
# What the mean of those channels' shares counts beside the cosine of the texts. On the bundled sample, 0.25
# is enough to put lanterns that are bought alike before birds of the same colour, and at 0.5 the lists begin
# to hold what goes with an item instead of what is like it.
_CHOICE_WEIGHT = 0.3


class Likeness(tf.Module):
    """The cosine of the texts, and a share for what is chosen with the item.

    Args:
        retriever: The items' vectors, which begin with their texts.
        channels: The links; ``None`` leaves the texts alone.
    """

    def __init__(self, retriever: Retriever, channels: Channels | None) -> None:
        super().__init__(name="likeness")
        self._retriever, self._channels = retriever, channels

    def __call__(self, rows: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """How much the catalogue is like int32 ``[batch]`` items.

        Returns:
            The likeness, float32 ``[batch, num_items]``, and its parts by name: ``dense_text``, and the share
            of the item's strongest link for each channel.
        """
        text = self._retriever.scores(self.texts(rows))
        parts = {"dense_text": text} | self._linked(rows)
        return (text if self._channels is None else text + _choice(parts)), parts

    def near(
        self,
        rows: tf.Tensor,
        lists: InvertedLists,
        within: Callable[[tf.Tensor], tf.Tensor],
        *,
        is_narrow: tf.Tensor,
    ) -> Found:
        """The same of what lists of the texts and the links name.

        Args:
            rows: int32 ``[batch]``.
            lists: Of the texts as the encoder has them.
            within: Puts -inf in float32 ``[batch, num_items]`` where an item must not be returned.
            is_narrow: bool ``[batch]``, whether that may be most of the catalogue.
        """
        parts = self._linked(rows)
        said = _choice(parts) if parts else tf.zeros([tf.shape(rows)[0], lists.num_items])
        found, _ = lists(lists.vectors_of(rows), within(said), is_narrow=is_narrow)
        here = tf.maximum(found, 0)
        parts = {name: tf.gather(part, here, batch_dims=1) for name, part in parts.items()}
        text = self._retriever.scores_of(self.texts(rows), here)
        return Found(text + _choice(parts) if parts else text, {"dense_text": text} | parts, found)

    def _linked(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        parts: dict[str, tf.Tensor] = {}
        if self._channels is None:
            return parts
        ones = tf.ones_like(rows, tf.float32)[:, None]
        for name in _CHANNELS:
            linked = tf.nn.relu(self._channels.linked(name, rows[:, None], ones))
            parts[name] = linked / tf.maximum(tf.reduce_max(linked, axis=1, keepdims=True), 1e-9)
        return parts

    def texts(self, rows: tf.Tensor) -> tf.Tensor:
        """The text parts of int32 ``[…]`` items' vectors, zeros beside them: float32 ``[…, dim]``.

        A product with the whole table costs less than a copy of the part of it that is text.
        """
        vectors = self._retriever.item_vectors
        is_text = tf.range(tf.shape(vectors)[1]) < self._retriever.text_dim
        return tf.gather(vectors, rows) * tf.cast(is_text, tf.float32)


def _choice(parts: dict[str, tf.Tensor]) -> tf.Tensor:
    return _CHOICE_WEIGHT * (tf.add_n([parts[name] for name in _CHANNELS]) / len(_CHANNELS))
