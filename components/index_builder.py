"""IndexBuilder: encodes the catalogue with the trained item tower and writes the one servable."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils
from tfx.v1.dsl.components import InputArtifact, OutputArtifact, Parameter, component

from components.artifacts import TextEmbeddings
from components.index_files import available_times, make_examples, read_numbers, save_catalogue
from dataset import features
from dataset.frames import BYTES, read_frame
from dataset.manifest import Manifest
from models.config import ModelConfig
from models.event_log import read_dislikes, read_event_log
from models.interactions import Contexts, InteractionSource
from models.item_table import ItemTable, load_item_table, load_text_vectors, read_item_columns
from models.lexical.index import LexicalIndex
from models.matrices import text_matrix
from models.recommender import Recommender
from models.trained import TrainedModel, config_of
from models.vocabularies import Vocabularies, rows_of
from serving.servable.approximation import approximate
from serving.servable.dense_text import choose_titles
from serving.servable.extra_assets import ExtraAssets
from serving.servable.fusion import learn_weights
from serving.servable.histories import UserTable
from serving.servable.query_encoder import choose_query_table, query_vectors
from serving.servable.recommending import Recommending
from serving.servable.saving import save_servable
from serving.servable.search_quality import JudgedQueries
from serving.servable.searching import Searching
from serving.servable.servable import Servable
from serving.servable.suggesting import Suggesting
from serving.servable.warmup_requests import write_warmup_requests


@component
def IndexBuilder(
    model: InputArtifact[standard_artifacts.Model],
    raw_items: InputArtifact[standard_artifacts.Examples],
    item_examples: InputArtifact[standard_artifacts.Examples],
    item_transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    text_embeddings: InputArtifact[TextEmbeddings],
    interactions: InputArtifact[standard_artifacts.Examples],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    servable: OutputArtifact[standard_artifacts.Model],
    manifest: Parameter[str],
    num_candidates: Parameter[int],
    max_users: Parameter[int],
    exploration_share: Parameter[float],
    query_encoder: Parameter[str],
    max_quality_loss: Parameter[float],
    index: Parameter[str],
    min_index_recall: Parameter[float],
    forgotten: Parameter[str],
    # An optional input is spelt so; `Optional` TFX does not know here.
    events: InputArtifact[standard_artifacts.Examples] = None,
    newer_events: InputArtifact[standard_artifacts.Examples] = None,
) -> None:
    """Writes the SavedModel with its warm-up requests, its items' columns and examples of what can be asked.

    Args:
        model: From Trainer; items it was not trained on live on their text, and those gone are left out.
        raw_items: Items as they came; their columns are what people are shown.
        item_examples: Transformed items.
        item_transform_graph: What transformed them.
        text_embeddings: From TextEmbedder.
        interactions: Transformed interactions that the model was trained on; the histories as of the end of
            the log are taken from them.
        transform_graph: What transformed them.
        servable: Where to.
        manifest: The dataset as JSON.
        num_candidates: Items that are arranged as the caller wishes, or ranked.
        max_users: Users whose latest history the servable carries, most recently active first.
        exploration_share: The share of the slots of a recommendation that new items take.
        query_encoder: What encodes a query: ``encoder``, ``table`` or ``auto``.
        max_quality_loss: How much of nDCG@10 the table may lose under ``auto``.
        index: ``exact`` or ``approximate``.
        min_index_recall: How much of the first hundred of the exact index the approximate one must find.
        forgotten: The SHA-256 of the ids of users of whom nothing is served, as a JSON list.
        events: The log that the model was trained on: what users did is read from it, and its span is written
            down.
        newer_events: The log as it is now, in its place: what users did is read from it, and the channels
            are fitted to it anew.
    """
    dataset = Manifest.from_json(manifest)
    items = load_item_table(
        dataset.items,
        examples_pattern=os.path.join(artifact_utils.get_split_uri([item_examples], features.ALL), "*"),
        transform_graph=item_transform_graph.uri,
        text_vectors=load_text_vectors(text_embeddings.uri),
    )
    folder = path_utils.serving_model_path(model.uri)
    config = config_of(folder)
    trained, trained_on = TrainedModel.load(folder, items), Vocabularies.load(folder).items
    source = InteractionSource(
        interactions.uri, transform_graph=transform_graph.uri, manifest=dataset, model=config
    )
    users = on_catalogue(source.load(features.USERS_AT_END), rows_of(trained_on, items.ids))
    digests = frozenset(json.loads(forgotten))
    users = users.take(np.flatnonzero(~is_forgotten(users.user_ids, digests)))
    if len(users) > max_users:
        last_seen = np.argsort(-users.times, kind="stable")[:max_users]
        users = users.take(np.sort(last_seen))
    raw = artifact_utils.get_split_uri([raw_items], features.ALL)
    table = dataset.items
    _, columns = read_item_columns(os.path.join(raw, "*"), (*table.text, *table.categorical, *table.codes))
    lexical = LexicalIndex(
        {name: columns[name] for name in (*table.text, *table.categorical)},
        table.language,
        other_words=trained.tokenizer.words,
    )
    past_queries = _past_queries(dataset, newer_events or events, digests)
    suggesting = Suggesting(lexical.word_counts, columns[table.text[0]], past_queries)
    texts = text_matrix(trained.two_tower, items)
    searching = Searching(lexical, texts, suggesting)
    # Those of the test are for the evaluator.
    splits = [source.load(split) for split in (features.JUDGED_TRAIN, features.JUDGED_VALIDATION)]
    judged = JudgedQueries.on_catalogue(splits, rows_of(trained_on, items.ids), len(items))
    titles, lengths = columns[table.text[0]], {"max_query_tokens": config.max_query_tokens}
    of_titles, about_text = None, ""
    if len(table.text) > 1:
        vectors = query_vectors(judged.queries, trained, None, **lengths)
        of_titles, about_text = choose_titles(
            searching, trained, titles, judged, vectors, max_text_tokens=config.max_text_tokens
        )
    searched = texts if of_titles is None else of_titles
    if of_titles is not None:
        searching = searching.by_meaning_of(of_titles)
    query_table, about_table = choose_query_table(
        query_encoder, trained, searching, titles, judged, **lengths, max_loss=max_quality_loss
    )
    vectors = query_vectors(judged.queries, trained, query_table, **lengths)
    weights, about_weights = learn_weights(searching, judged, vectors)
    if weights is not None:
        searching.weigh(weights)
    module = Servable(
        trained,
        items,
        _user_table(users, source, config, _dislikes(dataset, newer_events or events, items, users.user_ids)),
        searching,
        _recommending(
            trained.recommender,
            dataset,
            events,
            newer_events,
            items,
            # What is as large as the catalogue is held once, where both have the same vectors.
            searching.text_vectors if searched is items.text_vectors else items.text_vectors,
            users.user_ids,
            digests,
        ),
        query_table=query_table,
        numbers=read_numbers(table, os.path.join(raw, "*")),
        times=available_times(table, os.path.join(raw, "*")),
        codes=[np.array([code.encode() for code in columns[name]], object) for name in table.codes],
        max_history=config.max_history,
        max_query_tokens=config.max_query_tokens,
        max_text_tokens=config.max_text_tokens,
        num_candidates=num_candidates,
        exploration_share=exploration_share,
    )
    about_index = ""
    if index == "approximate":
        recall, about_index = approximate(
            searching,
            module.likeness,
            items,
            text_vectors=searched,
            titles=titles,
            encode=lambda queries: query_vectors(queries, trained, query_table, **lengths),
            num_candidates=num_candidates,
            min_recall=min_index_recall,
        )
        servable.set_float_custom_property("index_recall", recall.lowest)
    choices = [about for about in (about_text, about_table, about_weights, about_index) if about]
    print("\n".join(choices))
    folder = path_utils.serving_model_dir(servable.uri)
    save_servable(module, folder, module.signatures())
    extra = ExtraAssets(folder, open_file=tf.io.gfile.GFile)
    tf.io.gfile.makedirs(extra.folder)
    save_catalogue(dataset.items, raw, extra.catalogue_path)
    examples = make_examples(items, users, source)
    extra.write_examples(examples)
    write_warmup_requests(extra.warmup_path, examples)
    extra.write_choices(choices)
    extra.write_span(events.get_int_custom_property("span") if events else 0)
    # The evaluator must not measure on what was learnt from.
    servable.set_int_custom_property(
        "learns_from_judgments", int(weights is not None or of_titles is not None)
    )
    servable.set_int_custom_property("num_items", len(items))
    servable.set_int_custom_property("num_new_items", int((rows_of(items.ids, trained_on) < 0).sum()))


def is_forgotten(user_ids: np.ndarray, digests: Collection[str]) -> np.ndarray:
    """Which of object ``[n]`` ids, bytes, are of users to forget: bool ``[n]``."""
    if not digests:
        return np.zeros(len(user_ids), bool)
    return np.array([hashlib.sha256(user).hexdigest() in digests for user in user_ids], bool)


def _past_queries(dataset: Manifest, events: Any, forgotten: Collection[str]) -> dict[str, int]:
    """How often each query of the log was asked; none where the log has no queries."""
    if dataset.events is None or dataset.events.query is None or events is None:
        return {}
    pattern = os.path.join(artifact_utils.get_split_uri([events], features.ALL), "*")
    frame = read_frame(pattern, {features.USER_ID: BYTES, features.QUERY: BYTES}).dropna()
    asked = frame[~is_forgotten(frame[features.USER_ID].to_numpy(), forgotten)]
    texts = asked[features.QUERY].str.decode("utf-8").str.lower().str.split().str.join(" ")
    counts = texts[texts != ""].value_counts()
    return {text: int(count) for text, count in counts.items()}


def _recommending(
    recommender: Recommender | None,
    dataset: Manifest,
    events: Any,
    newer_events: Any,
    items: ItemTable,
    text_vectors: np.ndarray | tf.Variable,
    user_ids: np.ndarray,
    forgotten: Collection[str],
) -> Recommending | None:
    """The recommender with the log that the servable carries."""
    if recommender is None or dataset.events is None or events is None:
        return None
    pattern = os.path.join(artifact_utils.get_split_uri([newer_events or events], features.ALL), "*")
    log, log_users = read_event_log(pattern, dataset.events, items.ids)
    log = log.where(~is_forgotten(log_users, forgotten)[log.user_rows])
    if newer_events:
        recommender = recommender.refitted(log, log_users, items.text_vectors)
    return Recommending(recommender, text_vectors, log=log, log_users=log_users, user_ids=user_ids)


def on_catalogue(users: Contexts, rows: np.ndarray) -> Contexts:
    """Histories in the rows of another catalogue; items it does not have are passed over.

    Args:
        users: Contexts without targets.
        rows: int64 ``[num_items_before]``, the new row of each item, -1 where it is gone.
    """
    if not len(users):
        return users
    # Padding, which is -1, finds the last one.
    moved = np.append(rows, -1)
    history = moved[users.inputs[features.HISTORY_ROWS]].astype(np.int32)
    counts = np.where(history >= 0, users.inputs[features.HISTORY_COUNTS], 0).astype(np.float32)
    inputs = users.inputs | {features.HISTORY_ROWS: history, features.HISTORY_COUNTS: counts}
    histories = [kept[kept >= 0] for kept in (moved[seen] for seen in users.histories)]
    return dataclasses.replace(users, inputs=inputs, histories=histories)


def _dislikes(dataset: Manifest, events: Any, items: ItemTable, user_ids: np.ndarray) -> list[np.ndarray]:
    """What each user disliked, int32 ``[n]`` rows; nothing where there is no log."""
    if dataset.events is None or events is None:
        return [np.zeros(0, np.int32)] * len(user_ids)
    pattern = os.path.join(artifact_utils.get_split_uri([events], features.ALL), "*")
    return read_dislikes(pattern, dataset.events, items.ids, user_ids)


def _user_table(
    users: Contexts, source: InteractionSource, config: ModelConfig, disliked: list[np.ndarray]
) -> UserTable:
    length = config.max_history
    unknown = np.array([size - 1 for size in source.category_sizes], np.int32)
    if not len(users):
        return UserTable(
            ids=np.zeros(0, object),
            history_rows=np.zeros((0, length), np.int32),
            history_counts=np.zeros((0, length), np.float32),
            seen=[],
            user_rows=np.zeros(0, np.int32),
            categories=np.zeros((0, len(unknown)), np.int32),
            numbers=np.zeros((0, source.num_user_numbers), np.float32),
            unknown_row=source.num_users,
            unknown_categories=unknown,
        )
    return UserTable(
        ids=users.user_ids,
        history_rows=users.inputs[features.HISTORY_ROWS],
        history_counts=users.inputs[features.HISTORY_COUNTS],
        seen=users.histories,
        disliked=disliked,
        user_rows=users.inputs[features.USER_ROW],
        categories=users.inputs[features.USER_CATEGORIES],
        numbers=users.inputs[features.USER_NUMBERS],
        unknown_row=source.num_users,
        unknown_categories=unknown,
    )
