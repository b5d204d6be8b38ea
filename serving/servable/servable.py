"""The servable: one SavedModel that tokenises, encodes, retrieves, ranks and applies the caller's rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from models.channels.channels import marked
from models.channels.history import History
from models.item_table import ItemTable
from models.query_table import QueryTable
from models.serving_encoder import ServingEncoder
from models.trained import TrainedModel, build_retriever
from models.two_tower import TwoTower
from serving.client.arguments import MAX_CANDIDATES
from serving.servable.answers import Answers, page, shortened
from serving.servable.arrangement import MAX_RESULTS, Arranger, Listed, Wishes, slots_of, with_new_items
from serving.servable.asking import MAX_REQUEST_HISTORY, Asker, Asking
from serving.servable.codes import Codes
from serving.servable.complement import Complement
from serving.servable.encoding import Encoding
from serving.servable.facets import Facets
from serving.servable.histories import UserTable
from serving.servable.likeness import Likeness
from serving.servable.recommending import Ranked, Recommending
from serving.servable.rules import Rules
from serving.servable.searching import BECAUSE_WORDS, PARTS, WORDS, Found, Searching, is_blank
from serving.servable.signatures import ASKER, INPUTS, shaped

# What an asker's history says, beside the parts of a search.
BEHAVIOUR = "dense_behaviour"
# What the cosine of an asker and an item counts beside that of a query and an item, and what the logarithm of
# one and how often they chose the item. Chosen on the sample's validation window, with words of what was
# bought next as queries; among three words of a title a stranger's history then loses less than a hundredth.
_BEHAVIOUR = 0.2
_AGAIN = 0.2


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
        max_history: Distinct items of a history the model looks at.
        max_query_tokens: Length of a tokenised query.
        max_text_tokens: Length of a tokenised item text.
        num_candidates: Items retrieved for the ranker.
        exploration_share: The share of the slots of a recommendation that new items take.
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
        # Whatever grows with the catalogue is a variable: TensorFlow's graph optimiser copies constants many
        # times, which takes the first call of each signature two minutes at a million items.
        self._answers = Answers(items)
        self._item_rows = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(items.ids.tolist()), tf.range(self._num_items)),
            -1,
        )
        self._searching, self._codes = searching, Codes(items.ids, self._item_rows, codes)
        self._asking = Asking(
            model, users, self._item_rows, num_items=self._num_items, max_history=max_history
        )
        self._recommending = recommending
        self._rules = Rules(items, numbers)
        self._facets = Facets(self._rules, numbers or {})
        self._max_query_tokens, self._max_text_tokens = max_query_tokens, max_text_tokens
        self._num_candidates = num_candidates
        self._slots = slots_of(exploration_share)
        self._arranger = Arranger(self._rules, self._retriever, self._item_rows)
        channels = recommending.channels if recommending else None
        self._likeness = Likeness(self._retriever, channels)
        self._complements = Complement(self._retriever, channels, num_items=self._num_items)

    @property
    def _channel_names(self) -> tuple[str, ...]:
        """Of ``channel_scores``."""
        return (*PARTS, BEHAVIOUR, *(self._recommending.channel_names if self._recommending else ()))

    @property
    def _towers(self) -> TwoTower:
        return self._model.two_tower

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
        made = {
            name: tf.function(shaped(functions[name], inputs), autograph=False).get_concrete_function(*inputs)
            for name, inputs in INPUTS.items()
        }
        if self._recommending is not None:
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
        excluded = self._excluded(exclude, asker, exclude_seen)
        wishes = Wishes(diversity, boost, pin)
        # A code is no word, whatever its letters are near to.
        asked = self._searching.corrected(query, spell & (self._codes(query) < 0))
        offset = tf.clip_by_value(offset, 0, MAX_RESULTS)
        last = tf.minimum(tf.minimum(k, MAX_RESULTS) + offset, MAX_RESULTS)

        def search() -> dict[str, tf.Tensor]:
            wished = self._with_code(wishes, query, filters, excluded)
            found = self._found(asked, asker)
            return self._searched(
                found, filters, excluded, last, wished, asked=asked, sort=sort, had=asker.history_rows
            )

        def recommend() -> dict[str, tf.Tensor]:
            return self._recommended(
                asker, history, history_times, now, filters, excluded, exclude_seen, last, wishes
            )

        width = tf.maximum(tf.reduce_max(tf.pad(last, [[0, 1]])), 0)
        answer = self._by_query(query, width, search, recommend)
        is_turned = tf.reduce_any(offset > 0)
        answer = tf.cond(is_turned, lambda: page(answer, offset, k), lambda: answer)
        return answer | {"corrected_query": tf.where(asked != query, asked, "")}

    def _suggest(self, text: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        suggestions, kinds = self._searching.suggesting(text)
        return shortened({"suggestions": suggestions, "kinds": kinds}, k)

    def _count_facets(
        self,
        query: tf.Tensor,
        exclude: tf.Tensor,
        filters: tf.Tensor,
        k: tf.Tensor,
        spell: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        is_open = self._open(filters, self._item_rows.lookup(exclude))
        code = self._codes(query)
        asked = self._searching.corrected(query, spell & (code < 0))
        found = self._searching(asked, self._encode_query(asked))
        is_match = self._matches(found, is_open) | (is_open & is_blank(asked)[:, None])
        is_item = tf.range(self._num_items)[None] == code[:, None]
        is_match = tf.where(code[:, None] >= 0, is_open & is_item, is_match)
        most = tf.maximum(tf.reduce_max(tf.pad(tf.minimum(k, MAX_RESULTS), [[0, 1]])), 0)
        counted = self._facets(is_match, most)
        values = shortened({"values": counted.values, "counts": counted.counts}, k)
        return values | {
            "num_matches": tf.math.count_nonzero(is_match, axis=1, dtype=tf.int32),
            "histogram_columns": counted.columns,
            "histogram_edges": counted.edges,
            "histogram_counts": counted.histograms,
        }

    def _matches(self, found: Found, is_open: tf.Tensor) -> tf.Tensor:
        """The open items that match a query: bool ``[batch, num_items]``.

        They have a word of it that is wanted. Where no item of the catalogue has, they are the best
        `num_candidates` by meaning. What is open changes neither, so that a filter by a facet's value leaves
        as many as the facet counted.
        """
        has_word = found.parts[WORDS] > 0.0
        best = tf.math.top_k(found.scores, tf.minimum(self._num_candidates, self._num_items)).values
        is_near = found.scores >= best[:, -1:]
        return is_open & tf.where(tf.reduce_any(has_word, axis=1, keepdims=True), has_word, is_near)

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
        return self._recommended(
            asker, history, history_times, now, filters, excluded, exclude_seen, k, Wishes(*wishes)
        )

    def _with_code(self, wishes: Wishes, query: tf.Tensor, filters: tf.Tensor, excluded: tf.Tensor) -> Wishes:
        """The wishes with the item whose id the query is behind the caller's pins, if the rules allow it."""
        with tf.name_scope("codes"):
            rows = self._codes(query)

            def pin() -> tf.Tensor:
                is_open = tf.gather(self._open(filters, excluded), tf.maximum(rows, 0), batch_dims=1)
                ids = tf.where((rows >= 0) & is_open, self._answers.ids_of(rows), "")
                return tf.concat([wishes.pin[:, : 1 + MAX_RESULTS], ids[:, None]], axis=1)

            return wishes._replace(pin=tf.cond(tf.reduce_any(rows >= 0), pin, lambda: wishes.pin))

    def _by_query(
        self,
        query: tf.Tensor,
        width: tf.Tensor,
        with_query: Callable[[], dict[str, tf.Tensor]],
        without: Callable[[], dict[str, tf.Tensor]],
    ) -> dict[str, tf.Tensor]:
        """Each row's answer by whether it has a query; what no row needs is not computed.

        Args:
            query: string ``[batch]``.
            width: int32 ``[]``, of what both answers list.
            with_query: Answers the rows with a query.
            without: Answers the others.
        """
        asks = ~is_blank(query)

        def nothing() -> dict[str, tf.Tensor]:
            return self._answers.nothing(tf.shape(query)[0], width, len(self._channel_names))

        all_ask = tf.reduce_all(asks)
        first = tf.cond(tf.reduce_any(asks), with_query, nothing)
        second = tf.cond(all_ask, nothing, without)

        def mixed() -> dict[str, tf.Tensor]:
            return {
                name: tf.where(tf.reshape(asks, [-1] + [1] * (values.shape.rank - 1)), values, second[name])
                for name, values in first.items()
            }

        return tf.cond(all_ask, lambda: first, mixed)

    def _recommended(
        self,
        asker: Asker,
        history: tf.Tensor,
        times: tf.Tensor,
        now: tf.Tensor,
        filters: tf.Tensor,
        excluded: tf.Tensor,
        exclude_seen: tf.Tensor,
        k: tf.Tensor,
        wishes: Wishes,
    ) -> dict[str, tf.Tensor]:
        # Nobody asked for it by a query, so what a user disliked stays away, whatever history is sent.
        excluded = tf.concat([excluded, asker.disliked], axis=1)
        if self._recommending is None:
            # No events taught a recommender: the query tower says what it can.
            said = self._of_towers(asker)
            return self._searched(Found(said, {BEHAVIOUR: said}), filters, excluded, k, wishes)
        k = tf.minimum(k, MAX_RESULTS)
        known = self._timed_history(asker, history, times, now)
        # The log may have gone on since the users were looked up in it.
        excluded = tf.concat([excluded, tf.where(exclude_seen[:, None], known.rows, -1)], axis=1)
        is_allowed = self._open(filters, excluded)
        ranked = self._recommending.candidates(
            known, asker.position, is_allowed, tf.maximum(self._num_candidates, k)
        )
        listed = Listed.of(ranked.rows, ranked.scores, ranked.is_valid)
        listed = self._arranger(listed, wishes, excluded, is_logit=True)
        listed = self._explored(listed, known, ranked, is_allowed, k)
        most = tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 1)
        with tf.name_scope("why"):
            # What is beyond a row's own k is no measure of a channel there.
            is_shown = listed.is_valid & (tf.range(tf.shape(listed.rows)[1])[None] < k[:, None])
            rows = tf.where(is_shown, listed.rows, -1)[:, :most]
            reasons, speakers = self._recommending.reasons(rows, known, ranked.said)
        listed, probabilities, channel_scores = self._all_ranked(listed, known, ranked, most)
        return self._answers.listed(
            listed,
            self._behind_search(channel_scores),
            k,
            probabilities=probabilities,
            reasons=reasons,
            speakers=speakers,
        )

    def _explored(
        self, listed: Listed, known: History, ranked: Ranked, is_allowed: tf.Tensor, k: tf.Tensor
    ) -> Listed:
        """The list with new items in their slots; those that are listed anyway stay where they are."""
        recommending = self._recommending
        if recommending is None or not len(self._slots) or not recommending.has_new_items:
            return listed

        def explore() -> Listed:
            is_shown = listed.is_valid & (tf.range(tf.shape(listed.rows)[1])[None] < k[:, None])
            is_open = is_allowed & ~marked(tf.where(is_shown, listed.rows, -1), self._num_items)
            most = tf.reduce_sum(tf.cast(self._slots < tf.reduce_max(k), tf.int32))
            rows, is_valid = recommending.new_items(is_open, known, ranked.said, most)
            return with_new_items(listed, rows, is_valid, tf.constant(self._slots)[: tf.shape(rows)[1]])

        with tf.name_scope("explore"):
            return tf.cond(tf.reduce_any(k > int(self._slots[0])), explore, lambda: listed)

    def _all_ranked(
        self, listed: Listed, known: History, ranked: Ranked, most: tf.Tensor
    ) -> tuple[Listed, tf.Tensor, tf.Tensor]:
        """The list, probabilities and channel scores, also of pins and new items, which came in unranked."""
        assert self._recommending is not None
        recommending = self._recommending
        is_late = listed.is_valid & (listed.sources < 0)

        def rank_late() -> tuple[Listed, tf.Tensor, tf.Tensor]:
            rows = tf.where(is_late, listed.rows, 0)[:, :most]
            late = recommending.of_rows(rows, known, ranked)
            place = tf.shape(ranked.rows)[1] + tf.range(tf.shape(listed.rows)[1])[None]
            is_shown = is_late & (tf.range(tf.shape(listed.rows)[1])[None] < most)
            return (
                listed._replace(sources=tf.where(is_shown, place, listed.sources)),
                tf.concat([ranked.probabilities, late.probabilities], axis=1),
                tf.concat([ranked.channel_scores, late.channel_scores], axis=1),
            )

        return tf.cond(
            tf.reduce_any(is_late),
            rank_late,
            lambda: (listed, ranked.probabilities, ranked.channel_scores),
        )

    def _channel_scores(
        self, user_id: tf.Tensor, history: tf.Tensor, history_times: tf.Tensor, now: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What each channel says of the whole catalogue, for the evaluator; no signature."""
        assert self._recommending is not None
        asker = self._asking(user_id, history)
        known = self._timed_history(asker, history, history_times, now)
        return self._recommending.channel_scores(known, asker.position)

    def _timed_history(self, asker: Asker, history: tf.Tensor, times: tf.Tensor, now: tf.Tensor) -> History:
        assert self._recommending is not None
        history = history[:, :MAX_REQUEST_HISTORY]
        width = tf.shape(history)[1]
        times = tf.pad(times, [[0, 0], [0, width]])[:, :width]
        is_sent = tf.reduce_any(tf.strings.length(history) > 0, axis=1)
        with tf.name_scope("history"):
            return self._recommending.history(
                asker.position, self._item_rows.lookup(history), times, is_sent, now
            )

    def _similar(
        self, item_id: tf.Tensor, exclude: tf.Tensor, filters: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        rows = self._item_rows.lookup(item_id)
        excluded = tf.concat([self._item_rows.lookup(exclude), rows[:, None]], axis=1)
        is_open = self._open(filters, excluded) & (rows >= 0)[:, None]
        scores, said = self._likeness(tf.maximum(rows, 0))
        listed = self._best(scores, is_open, k)
        return self._answers.listed(listed, self._parts(said, listed.rows), tf.minimum(k, MAX_RESULTS))

    def _complement(
        self, item_ids: tf.Tensor, exclude: tf.Tensor, filters: tf.Tensor, k: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        cart = self._item_rows.lookup(item_ids)
        excluded = tf.concat([self._item_rows.lookup(exclude), cart], axis=1)
        found = self._complements(cart[:, :MAX_REQUEST_HISTORY])
        listed = self._best(found.scores, self._open(filters, excluded), k)
        with tf.name_scope("why"):
            rows = tf.where(listed.is_valid, listed.rows, -1)
            reasons, speakers = self._complements.reasons(rows, found)
        return self._answers.listed(
            listed,
            self._parts(found.parts, listed.rows),
            tf.minimum(k, MAX_RESULTS),
            reasons=reasons,
            speakers=speakers,
        )

    def _best(self, scores: tf.Tensor, is_open: tf.Tensor, k: tf.Tensor) -> Listed:
        """As many of the open items of highest score as the widest row asks for.

        Args:
            scores: float32 ``[batch, num_items]``.
            is_open: bool ``[batch, num_items]``.
            k: int32 ``[batch]``.
        """
        most = tf.reduce_max(tf.pad(tf.minimum(k, MAX_RESULTS), [[0, 1]]))
        with tf.name_scope("retrieve"):
            best, rows = tf.math.top_k(
                tf.where(is_open, scores, -float("inf")), tf.minimum(most, self._num_items)
            )
        is_valid = best > -float("inf")
        return Listed.of(rows, tf.where(is_valid, best, 0.0), is_valid)

    def _parts(self, said: dict[str, tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
        """The channels' parts of int32 ``[batch, n]`` items, 0 of those that said nothing.

        Args:
            said: float32 ``[batch, num_items]`` by name.
            rows: Of the items.
        """
        nothing = tf.zeros(tf.shape(rows))
        return tf.stack(
            [
                tf.gather(said[name], rows, batch_dims=1) if name in said else nothing
                for name in self._channel_names
            ],
            axis=-1,
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
        safe = tf.maximum(rows, 0)

        def by_query() -> dict[str, tf.Tensor]:
            found = self._found(query, asker)
            scores = tf.gather(found.scores, safe, batch_dims=1)
            return self._answers.of_candidates(
                candidates, rows, scores, self._parts(found.parts, safe), scores
            )

        def by_history() -> dict[str, tf.Tensor]:
            if self._recommending is None:
                said = self._of_towers(asker)
                scores = tf.gather(said, safe, batch_dims=1)
                parts = self._parts({BEHAVIOUR: said}, safe)
                return self._answers.of_candidates(candidates, rows, scores, parts, scores)
            known = self._timed_history(asker, history, history_times, now)
            most = tf.fill(tf.shape(query), self._num_candidates)
            ranked = self._recommending.of_items(safe, known, asker.position, most)
            parts = self._behind_search(ranked.channel_scores)
            return self._answers.of_candidates(candidates, rows, ranked.scores, parts, ranked.probabilities)

        return self._by_query(query, tf.shape(candidates)[1], by_query, by_history)

    def _embed_query(
        self,
        query: tf.Tensor,
        user_id: tf.Tensor,
        history: tf.Tensor,
        history_times: tf.Tensor,
        now: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        return {
            "embedding": self._asking.vectors(
                self._encode(query, length=self._max_query_tokens), self._asking(user_id, history)
            )
        }

    def _embed_item(self, item_id: tf.Tensor, text: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = self._item_rows.lookup(item_id)
        known = tf.gather(self._retriever.item_vectors, tf.maximum(rows, 0))
        tower = self._towers.item_tower
        batch = tf.shape(text)[0]
        # Of an item the model has not seen, the text is all there is: its categories are out of vocabulary,
        # and its numbers are missing.
        categories = [tf.fill([batch], e.input_dim - 1) for e in tower.category_embeddings]
        numbers = np.tile(np.array([0.0, 1.0], np.float32), self._towers.num_item_numbers // 2)
        new = tower(
            None,
            self._encode(text, length=self._max_text_tokens),
            tf.stack(categories, 1) if categories else tf.zeros([batch, 0], tf.int32),
            tf.broadcast_to(numbers, [batch, len(numbers)]),
        )
        is_stored = (rows >= 0) & (tf.strings.length(text) == 0)
        return {"embedding": tf.where(is_stored[:, None], known, new)}

    def _encode_query(self, query: tf.Tensor) -> tf.Tensor:
        return self._encode(query, length=self._max_query_tokens, table=self._query_table)

    def _no_query(self, like: tf.Tensor) -> tf.Tensor:
        return tf.zeros([tf.shape(like)[0], self._towers.encoder.output_dim])

    def _excluded(self, exclude: tf.Tensor, asker: Asker, exclude_seen: tf.Tensor) -> tf.Tensor:
        """Rows that must not be returned, int32 ``[batch, n]``, -1 for none."""
        seen = tf.where(exclude_seen[:, None], asker.seen, -1)
        return tf.concat([self._item_rows.lookup(exclude), seen], axis=1)

    def _open(self, filters: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
        """What may be returned: bool ``[batch, num_items]``."""
        with tf.name_scope("rules"):
            return self._rules.allowed(filters) & ~marked(excluded, self._num_items)

    def _found(self, query: tf.Tensor, asker: Asker) -> Found:
        """What a query's words and meaning, and its asker's history, say of each item."""
        encoded = self._encode_query(query)
        found = self._searching(query, encoded)
        text_dim, log_scale = self._retriever.text_dim, self._towers.query_tower.log_behaviour_scale.value

        def of_history() -> tf.Tensor:
            asked = self._asking.vectors(encoded, asker)[:, text_dim:-1]
            # In place of a slice of the catalogue's vectors, which would be a copy of them.
            asked = tf.pad(asked, [[0, 0], [text_dim, 1]])
            by_likeness = _BEHAVIOUR / tf.exp(log_scale) * self._retriever.scores(asked)
            return by_likeness + _AGAIN * self._asking.times_chosen(asker)

        with tf.name_scope("history"):
            is_known = (asker.position >= 0) | tf.reduce_any(asker.history_counts > 0, axis=1)
            behaviour = tf.cond(tf.reduce_any(is_known), of_history, lambda: tf.zeros_like(found.scores))
            # A stranger's answer is the same whoever else is in the batch.
            behaviour = tf.where(is_known[:, None], behaviour, 0.0)
        return Found(found.scores + behaviour, found.parts | {BEHAVIOUR: behaviour})

    def _searched(
        self,
        found: Found,
        filters: tf.Tensor,
        excluded: tf.Tensor,
        k: tf.Tensor,
        wishes: Wishes,
        *,
        asked: tf.Tensor | None = None,
        sort: tf.Tensor | None = None,
        had: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """The list of what was found, as the caller wishes it.

        Args:
            found: What is said of each item.
            filters: string ``[batch, n]``.
            excluded: int32 ``[batch, n]``.
            k: int32 ``[batch]``.
            wishes: Of the caller. Where a row is sorted, only its pins count.
            asked: The queries, whose words the answer says that items match; ``None`` leaves that out.
            sort: As `Facets.keys` takes it, "" for the best first.
            had: int32 ``[batch, h]``, the asker's history, which speaks for its own items; -1 is padding.
        """
        k, is_open, scores = tf.minimum(k, MAX_RESULTS), self._open(filters, excluded), found.scores
        if sort is not None:
            is_sorted = tf.strings.length(sort) > 0

            def in_order() -> tuple[tf.Tensor, tf.Tensor]:
                keys = self._facets.keys(sort)
                is_listed = self._matches(found, is_open) & ~tf.math.is_nan(keys)
                of_row = is_sorted[:, None]
                return tf.where(of_row, keys, scores), tf.where(of_row, is_listed, is_open)

            scores, is_open = tf.cond(tf.reduce_any(is_sorted), in_order, lambda: (scores, is_open))
            wishes = wishes._replace(
                diversity=tf.where(is_sorted, 0.0, wishes.diversity),
                boost=tf.where(is_sorted[:, None], "", wishes.boost),
            )
        listed = self._best(scores, is_open, tf.maximum(self._num_candidates, k))
        parts = self._parts(found.parts, listed.rows)
        probabilities = tf.gather(found.scores, listed.rows, batch_dims=1)
        # A row that asks for few is not arranged among more because another row of the batch asks for many.
        is_near = tf.range(tf.shape(listed.rows)[1])[None] < tf.maximum(self._num_candidates, k)[:, None]
        listed = listed._replace(is_valid=listed.is_valid & is_near)
        listed = self._arranger(listed, wishes, excluded, is_logit=False)
        if asked is None:
            return self._answers.listed(listed, parts, k, probabilities=probabilities)
        with tf.name_scope("why"):
            most = tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 0)
            is_shown = listed.is_valid & (tf.range(tf.shape(listed.rows)[1])[None] < k[:, None])
            matches = self._searching.matches(asked, tf.where(is_shown, listed.rows, -1)[:, :most])
            reasons, shown = tf.where(matches == "", "text", BECAUSE_WORDS), listed.rows[:, :most]
            speakers = tf.fill(tf.shape(shown), -1)
            if had is not None:
                speakers = tf.where(tf.reduce_any(shown[..., None] == had[:, None], axis=2), shown, speakers)
        return self._answers.listed(
            listed,
            parts,
            k,
            probabilities=probabilities,
            reasons=reasons,
            speakers=speakers,
            matches=matches,
        )

    def _of_towers(self, asker: Asker) -> tf.Tensor:
        """What the towers say of each item without a query: float32 ``[batch, num_items]``."""
        return self._retriever.scores(self._asking.vectors(self._no_query(asker.position), asker))

    def _behind_search(self, channel_scores: tf.Tensor) -> tf.Tensor:
        """The scores of the channels that answer without a query, and nothing of those that answer one."""
        return tf.pad(channel_scores, [[0, 0], [0, 0], [len(PARTS) + 1, 0]])
