"""The servable: one SavedModel that tokenises, encodes, retrieves, ranks and applies the caller's rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from models.item_table import ItemTable
from models.query_table import QueryTable
from models.serving_encoder import ServingEncoder
from models.trained import TrainedModel, build_retriever
from serving.client.arguments import MAX_CANDIDATES
from serving.servable.answers import page, shortened
from serving.servable.arrangement import MAX_RESULTS, Wishes
from serving.servable.asking import MAX_REQUEST_HISTORY, Asker, Asking
from serving.servable.codes import Codes
from serving.servable.complement import Complement
from serving.servable.constant_weights import ConstantWeights
from serving.servable.embedding import Embedding
from serving.servable.encoding import Encoding
from serving.servable.finding import BEHAVIOUR, Finding
from serving.servable.histories import UserTable
from serving.servable.likeness import Likeness
from serving.servable.listing import Listing
from serving.servable.recommendations import Recommendations, Request, Sent
from serving.servable.recommending import Recommending
from serving.servable.rules import Limits
from serving.servable.searching import PARTS, Found, Searching, is_blank
from serving.servable.signatures import ASKER, INPUTS, shaped


class Servable(tf.Module):
    """The signatures over one model, one catalogue and the latest histories.

    Inputs and outputs are batch-major, so that a server may batch requests of several callers. Ops are
    TensorFlow's and TF-Text's own.

    Args:
        model: The trained model.
        items: The catalogue.
        users: What is known of users.
        searching: Answers to a query.
        recommending: Answers without a query; ``None`` leaves those to the towers.
        query_table: What encodes the queries of a search whose tokens it knows; ``None`` leaves all of them
            to the encoder.
        codes: Further numbers that people search an item by: for each column string ``[num_items]``.
        numbers: The numeric columns by name, float ``[num_items]``, NaN where there is no value.
        times: From when and until when each item is available, as `Rules` takes it.
        max_history: Distinct items of a history the model looks at.
        max_query_tokens: Length of a tokenised query.
        max_text_tokens: Length of a tokenised item text.
        num_candidates: Items retrieved for the ranker.
        exploration_share: The share of the slots of a recommendation that new items take.

    Attributes:
        likeness: What says how like items are.
    """

    def __init__(
        self,
        model: TrainedModel,
        items: ItemTable,
        users: UserTable,
        searching: Searching,
        recommending: Recommending | None = None,
        *,
        query_table: QueryTable | None = None,
        codes: Sequence[np.ndarray] = (),
        numbers: Mapping[str, np.ndarray] | None = None,
        times: np.ndarray | None = None,
        max_history: int,
        max_query_tokens: int,
        max_text_tokens: int,
        num_candidates: int,
        exploration_share: float = 0.0,
    ) -> None:
        super().__init__(name="tandem")
        # A plain object, which SavedModel does not look into: Keras would add signatures of its own.
        self._model = model
        self._encode = Encoding(model.tokenizer, ServingEncoder(model.two_tower.encoder))
        self._query_table = query_table
        self._retriever = build_retriever(model.two_tower)
        self._num_items = len(items)
        self._item_rows = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(items.ids.tolist()), tf.range(self._num_items)),
            -1,
        )
        self._searching, self._codes = searching, Codes(items.ids, self._item_rows, codes)
        self._asking = Asking(
            model, users, self._item_rows, num_items=self._num_items, max_history=max_history
        )
        self._listing = Listing(
            items,
            self._item_rows,
            self._retriever,
            searching,
            channel_names=(*PARTS, BEHAVIOUR, *(recommending.channel_names if recommending else ())),
            numbers=numbers or {},
            times=times,
            num_candidates=num_candidates,
        )
        # For the evaluator, which looks at no times.
        self.times = self._listing.times
        self._finding = Finding(
            model.two_tower, self._retriever, searching, self._asking, self._listing, self._encode_query
        )
        self._recommendations: Recommendations | None = None
        if recommending is not None:
            self._recommendations = Recommendations(
                recommending, self._listing, self._item_rows, exploration_share=exploration_share
            )
        self._embedding = Embedding(
            model,
            self._retriever,
            self._asking,
            self._encode,
            max_query_tokens=max_query_tokens,
            max_text_tokens=max_text_tokens,
        )
        self._max_query_tokens = max_query_tokens
        channels = recommending.channels if recommending else None
        self.likeness = Likeness(self._retriever, channels)
        self._complements = Complement(self._retriever, channels, num_items=self._num_items)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The signatures by name, ready for `tf.saved_model.save`."""
        functions: dict[str, Callable[..., dict[str, tf.Tensor]]] = {
            "search": self._search,
            "suggest": self._suggest,
            "facets": self._count_facets,
            "recommend": self._recommend,
            "similar": self._similar,
            "complement": self._complement,
            "rank": self._rank,
            "embed_query": self._embed_query,
            "embed_item": self._embed_item,
        }
        with ConstantWeights(self._model.weights):
            made = {
                name: tf.function(shaped(functions[name], inputs), autograph=False).get_concrete_function(
                    *inputs
                )
                for name, inputs in INPUTS.items()
            }
        if self._recommendations is not None:
            self.channel_scores = tf.function(self._channel_scores, input_signature=ASKER, autograph=False)
        # Only what the signatures read: training's tables of ids, say, are as long as the catalogue.
        self._weights = list({id(w): w for made_of in made.values() for w in made_of.variables}.values())
        return made | {tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: made["search"]}

    # Each of the following is one signature; `signatures.INPUTS` says what goes in.

    def _search(
        self,
        query: tf.Tensor,
        user_id: tf.Tensor,
        history: tf.Tensor,
        history_times: tf.Tensor,
        now: tf.Tensor,
        exclude: tf.Tensor,
        filters: tf.Tensor,
        k: tf.Tensor,
        exclude_seen: tf.Tensor,
        diversity: tf.Tensor,
        boost: tf.Tensor,
        pin: tf.Tensor,
        spell: tf.Tensor,
        offset: tf.Tensor,
        sort: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        asker = self._asking(user_id, history)
        excluded, limits = self._excluded(exclude, asker, exclude_seen), Limits.of(filters, now)
        wishes = Wishes(diversity, boost, pin)
        # A code is no word, whatever its letters are near to.
        asked = self._searching.corrected(query, spell & (self._codes(query) < 0))
        offset = tf.clip_by_value(offset, 0, MAX_RESULTS)
        last = tf.minimum(tf.minimum(k, MAX_RESULTS) + offset, MAX_RESULTS)

        def exactly() -> dict[str, tf.Tensor]:
            wished = self._with_code(wishes, query, limits, excluded)
            found = self._finding(asked, asker)
            return self._listing.of_found(
                found, limits, excluded, last, wished, asked=asked, sort=sort, had=asker.history_rows
            )

        def nearly() -> dict[str, tf.Tensor]:
            wished = self._with_code(wishes, query, limits, excluded)
            found = self._finding.near(asked, asker, limits, excluded)
            return self._listing.of_found(
                found, limits, excluded, last, wished, asked=asked, had=asker.history_rows
            )

        def search() -> dict[str, tf.Tensor]:
            if self._searching.lists is None:
                return exactly()
            # All matches are sorted, near or not.
            return tf.cond(tf.reduce_any(tf.strings.length(sort) > 0), exactly, nearly)

        def recommend() -> dict[str, tf.Tensor]:
            sent = Sent(history, history_times, now)
            return self._recommended(Request(asker, sent, limits, excluded, exclude_seen, last, wishes))

        width = tf.maximum(tf.reduce_max(tf.pad(last, [[0, 1]])), 0)
        answer = self._listing.answers.by_query(query, width, search, recommend)
        is_turned = tf.reduce_any(offset > 0)
        answer = tf.cond(is_turned, lambda: page(answer, offset, k), lambda: answer)
        return answer | {"corrected_query": tf.where(asked != query, asked, "")}

    def _suggest(self, text: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        suggestions, kinds = self._searching.suggesting(text)
        return shortened({"suggestions": suggestions, "kinds": kinds}, k)

    def _count_facets(
        self,
        query: tf.Tensor,
        now: tf.Tensor,
        exclude: tf.Tensor,
        filters: tf.Tensor,
        k: tf.Tensor,
        spell: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        is_open = self._listing.open(Limits.of(filters, now), self._item_rows.lookup(exclude))
        code = self._codes(query)
        asked = self._searching.corrected(query, spell & (code < 0))
        found = self._finding.matches(asked)
        is_match = self._listing.matching(found, is_open) | (is_open & is_blank(asked)[:, None])
        is_item = tf.range(self._num_items)[None] == code[:, None]
        is_match = tf.where(code[:, None] >= 0, is_open & is_item, is_match)
        most = tf.maximum(tf.reduce_max(tf.pad(tf.minimum(k, MAX_RESULTS), [[0, 1]])), 0)
        counted = self._listing.facets(is_match, most)
        values = shortened({"values": counted.values, "counts": counted.counts}, k)
        return values | {
            "num_matches": tf.math.count_nonzero(is_match, axis=1, dtype=tf.int32),
            "histogram_columns": counted.columns,
            "histogram_edges": counted.edges,
            "histogram_counts": counted.histograms,
        }

    def _recommend(
        self,
        user_id: tf.Tensor,
        history: tf.Tensor,
        history_times: tf.Tensor,
        now: tf.Tensor,
        exclude: tf.Tensor,
        filters: tf.Tensor,
        k: tf.Tensor,
        exclude_seen: tf.Tensor,
        *wishes: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        asker = self._asking(user_id, history)
        excluded = self._excluded(exclude, asker, exclude_seen)
        sent, limits = Sent(history, history_times, now), Limits.of(filters, now)
        return self._recommended(Request(asker, sent, limits, excluded, exclude_seen, k, Wishes(*wishes)))

    def _recommended(self, request: Request) -> dict[str, tf.Tensor]:
        # Nobody asked for it by a query, so what a user disliked stays away, whatever history is sent.
        excluded = tf.concat([request.excluded, request.asker.disliked], axis=1)
        if self._recommendations is not None:
            return self._recommendations(request._replace(excluded=excluded))
        # No events taught a recommender: the query tower says what it can.
        said = self._of_towers(request.asker)
        return self._listing.of_found(
            Found(said, {BEHAVIOUR: said}), request.limits, excluded, request.k, request.wishes
        )

    def _with_code(self, wishes: Wishes, query: tf.Tensor, limits: Limits, excluded: tf.Tensor) -> Wishes:
        """The wishes with the item whose id the query is behind the caller's pins, if the rules allow it."""
        with tf.name_scope("codes"):
            rows = self._codes(query)

            def pin() -> tf.Tensor:
                is_open = tf.gather(self._listing.open(limits, excluded), tf.maximum(rows, 0), batch_dims=1)
                ids = tf.where((rows >= 0) & is_open, self._listing.answers.ids_of(rows), "")
                return tf.concat([wishes.pin[:, : 1 + MAX_RESULTS], ids[:, None]], axis=1)

            return wishes._replace(pin=tf.cond(tf.reduce_any(rows >= 0), pin, lambda: wishes.pin))

    def _channel_scores(
        self, user_id: tf.Tensor, history: tf.Tensor, history_times: tf.Tensor, now: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What each channel says of the whole catalogue, for the evaluator; no signature."""
        assert self._recommendations is not None
        asker = self._asking(user_id, history)
        return self._recommendations.channel_scores(asker, Sent(history, history_times, now))

    def _similar(
        self, item_id: tf.Tensor, now: tf.Tensor, exclude: tf.Tensor, filters: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        rows = self._item_rows.lookup(item_id)
        excluded = tf.concat([self._item_rows.lookup(exclude), rows[:, None]], axis=1)
        limits = Limits.of(filters, now)
        is_known = (rows >= 0)[:, None]
        if self._searching.lists is None:
            is_open = self._listing.open(limits, excluded) & is_known
            found = Found(*self.likeness(tf.maximum(rows, 0)))
        else:
            found = self.likeness.near(
                tf.maximum(rows, 0),
                self._searching.lists,
                lambda said: self._listing.within(said, limits, excluded),
                is_narrow=self._listing.is_narrow(limits, excluded),
            )
            is_open = found.is_item & is_known
        listed = self._listing.best(found.scores, is_open, k)
        parts = self._listing.parts(found.parts, listed.rows)
        return self._listing.answers.listed(listed.among(found.rows), parts, tf.minimum(k, MAX_RESULTS))

    def _complement(
        self, item_ids: tf.Tensor, now: tf.Tensor, exclude: tf.Tensor, filters: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        cart = self._item_rows.lookup(item_ids)
        excluded = tf.concat([self._item_rows.lookup(exclude), cart], axis=1)
        found = self._complements(cart[:, :MAX_REQUEST_HISTORY])
        is_open = self._listing.open(Limits.of(filters, now), excluded)
        listed = self._listing.best(found.scores, is_open, k)
        with tf.name_scope("why"):
            rows = tf.where(listed.is_valid, listed.rows, -1)
            reasons, speakers = self._complements.reasons(rows, found)
        return self._listing.answers.listed(
            listed,
            self._listing.parts(found.parts, listed.rows),
            tf.minimum(k, MAX_RESULTS),
            reasons=reasons,
            speakers=speakers,
        )

    def _rank(
        self,
        query: tf.Tensor,
        user_id: tf.Tensor,
        history: tf.Tensor,
        history_times: tf.Tensor,
        now: tf.Tensor,
        candidates: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        asker = self._asking(user_id, history)
        # The client puts an empty text first, which counts for nothing.
        scored = candidates[:, : 1 + MAX_CANDIDATES]
        rows = self._item_rows.lookup(scored)
        safe, answers = tf.maximum(rows, 0), self._listing.answers

        def by_query() -> dict[str, tf.Tensor]:
            found = self._finding.of_rows(query, asker, safe)
            parts = self._listing.parts(found.parts, tf.zeros_like(safe) + tf.range(tf.shape(safe)[1]))
            return answers.of_candidates(candidates, rows, found.scores, parts, found.scores)

        def by_history() -> dict[str, tf.Tensor]:
            if self._recommendations is None:
                said = self._of_towers(asker)
                scores = tf.gather(said, safe, batch_dims=1)
                parts = self._listing.parts({BEHAVIOUR: said}, safe)
                return answers.of_candidates(candidates, rows, scores, parts, scores)
            return self._recommendations.of_candidates(
                candidates, rows, asker, Sent(history, history_times, now)
            )

        return answers.by_query(query, tf.shape(candidates)[1], by_query, by_history)

    def _embed_query(
        self,
        query: tf.Tensor,
        user_id: tf.Tensor,
        history: tf.Tensor,
        history_times: tf.Tensor,
        now: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        return {"embedding": self._embedding.of_query(query, self._asking(user_id, history))}

    def _embed_item(self, item_id: tf.Tensor, text: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": self._embedding.of_item(self._item_rows.lookup(item_id), text)}

    def _encode_query(self, query: tf.Tensor) -> tf.Tensor:
        return self._encode.queries(query, length=self._max_query_tokens, table=self._query_table)

    def _excluded(self, exclude: tf.Tensor, asker: Asker, exclude_seen: tf.Tensor) -> tf.Tensor:
        """Rows that must not be returned, int32 ``[batch, n]``, -1 for none."""
        seen = tf.where(exclude_seen[:, None], asker.seen, -1)
        return tf.concat([self._item_rows.lookup(exclude), seen], axis=1)

    def _of_towers(self, asker: Asker) -> tf.Tensor:
        """What the towers say of each item without a query: float32 ``[batch, num_items]``."""
        no_text = tf.zeros([tf.shape(asker.position)[0], self._retriever.text_dim])
        return self._retriever.scores(self._asking.vectors(no_text, asker))
