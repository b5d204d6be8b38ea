"""The complement of a cart: what is bought with its items, what is like them, what is popular."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from models.channels.channels import Channels, first_places
from models.retriever import Retriever
from serving.servable.likeness import Likeness
from serving.servable.recommending import BECAUSE_HISTORY, BECAUSE_POPULAR

BECAUSE_TEXT = "text"
_BASKET, _TEXT = "basket", "text"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Complements:
    """What the catalogue is to a batch of carts.

    Attributes:
        cart: int32 ``[batch, n]``, distinct rows, -1 is padding.
        scores: float32 ``[batch, num_items]``. Above 0, the sum of the shared-basket cosines to the items of
            the cart. From -1 to 0, nothing of the cart was bought together with the item, but a text is near.
            Below, the item's popularity.
        parts: What each channel says, float32 ``[batch, num_items]`` by name: a share of its best score, or
            the cosine of the texts.
    """

    cart: tf.Tensor
    scores: tf.Tensor
    parts: dict[str, tf.Tensor]


class Complement(tf.Module):
    """Complements of carts, by the links between items.

    Without links, texts are all there is: the score is the mean cosine to the texts of the cart.

    Args:
        retriever: The items' vectors.
        channels: The links and statistics; ``None`` for a model without events.
        num_items: Of the catalogue.
    """

    def __init__(self, retriever: Retriever, channels: Channels | None, *, num_items: int) -> None:
        super().__init__(name="complement")
        self._retriever, self._channels, self._num_items = retriever, channels, num_items
        self._likeness = Likeness(retriever, None)

    def __call__(self, cart: tf.Tensor) -> Complements:
        """Scores the catalogue for int32 ``[batch, n]`` rows, -1 for none; one that is there twice is one."""
        # A column of padding keeps the width above zero.
        cart = tf.pad(cart, [[0, 0], [0, 1]], constant_values=-1)
        places = tf.zeros_like(cart) + tf.range(tf.shape(cart)[1])
        first = tf.gather(first_places(cart, self._num_items), tf.maximum(cart, 0), batch_dims=1)
        cart = tf.where(first == places, cart, -1)
        counts = tf.cast(cart >= 0, tf.float32)
        size = tf.maximum(tf.reduce_sum(counts, axis=1, keepdims=True), 1.0)
        if self._channels is None:
            vectors = self._likeness.texts(tf.maximum(cart, 0)) * counts[..., None]
            scores = self._retriever.scores(tf.reduce_sum(vectors, axis=1) / size)
            return Complements(cart=cart, scores=scores, parts={"dense_text": scores})
        basket, text = (self._channels.linked(name, cart, counts) for name in (_BASKET, _TEXT))
        popularity = self._channels.statistic("users_long", tf.range(self._num_items)[None])
        popularity /= tf.reduce_max(popularity) + 1.0
        fallback = tf.where(text > 0, text / (size + 1.0) - 1.0, popularity - 2.0)
        scores = tf.where(basket > 0, basket, fallback)
        parts = {
            name: said / tf.maximum(tf.reduce_max(said, axis=1, keepdims=True), 1e-9)
            for name, said in ((_BASKET, basket), (_TEXT, text))
        }
        return Complements(cart=cart, scores=scores, parts=parts)

    def reasons(self, rows: tf.Tensor, found: Complements) -> tuple[tf.Tensor, tf.Tensor]:
        """Why items are in an answer.

        Args:
            rows: int32 ``[batch, n]``, distinct in a row; -1 is padding.
            found: Of a call.

        Returns:
            ``history`` (bought with an item of the cart), ``text`` or ``popular``, string ``[batch, n]``; and
            the row of the item of the cart that spoke most, -1 for none.
        """
        cart = found.cart
        counts = tf.cast(cart >= 0, tf.float32)
        if self._channels is None:
            here = self._likeness.texts(tf.maximum(rows, 0))
            text = tf.matmul(here, self._likeness.texts(tf.maximum(cart, 0)), transpose_b=True)
            text = tf.where((cart >= 0)[:, None], text, -float("inf"))
            return tf.fill(tf.shape(rows), BECAUSE_TEXT), _speaker(text, cart)
        basket, text = (self._channels.said_by(name, rows, cart, counts) for name in (_BASKET, _TEXT))
        is_linked = tf.reduce_max(basket, axis=2) > 0
        is_near = tf.reduce_max(text, axis=2) > 0
        kind = tf.where(is_near, BECAUSE_TEXT, BECAUSE_POPULAR)
        speaker = tf.where(is_near, _speaker(text, cart), -1)
        return (
            tf.where(is_linked, BECAUSE_HISTORY, kind),
            tf.where(is_linked, _speaker(basket, cart), speaker),
        )


def _speaker(said: tf.Tensor, cart: tf.Tensor) -> tf.Tensor:
    """Who of the cart said most: int32 ``[batch, n]`` for float32 ``[batch, n, cart]``."""
    return tf.gather(cart, tf.argmax(said, axis=2, output_type=tf.int32), batch_dims=1)
