"""The typed answers of the server, and the functions that read them from its messages."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from serving.client import messages, tensors
from serving.client.arguments import Tensors
from serving.client.errors import ServingError

# What a search adds up (the meaning, the words, their character 4-grams, words that are not wanted, and the
# asker's history), and the channels that answer without a query.
CHANNELS = (
    "dense_text",
    "words",
    "grams",
    "negation",
    "dense_behaviour",
    "next",
    "next_long",
    "ease",
    "ease_short",
    "ease_binary",
    "basket",
    "text",
    "neighbours",
)
# The outputs of every signature that lists items, in the order in which `read_results` takes them.
_LISTED = (
    "item_ids",
    "scores",
    "titles",
    "channel_scores",
    "probabilities",
    "reasons",
    "reason_item_ids",
    "reason_titles",
    "matches",
)
# What ``rank`` gives a candidate that the catalogue does not have.
_UNKNOWN_SCORE = float(np.finfo(np.float32).min)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One item of an answer.

    Attributes:
        item_id: The catalogue's own id.
        score: The higher, the better; scores can be compared within one answer only. The lowest finite
            float32 marks a candidate of ``rank`` that the catalogue does not have.
        title: The item's first text column; empty if the catalogue does not have the item.
        channel_scores: The score that each candidate channel gave the item, in the order of `CHANNELS`.
        probability: The probability of a choice, or of relevance to the query; the score itself if the model
            has learnt neither.
        reason: What spoke most for the item: ``again`` (the user had it), ``history`` (an item of the
            history), ``popular``, ``new``, ``words`` (the item has words of the query) or ``text``
            (near in meaning to the query, or to the item asked about). Empty for the candidates of ``rank``.
        reason_item_id: The item of the history that spoke most, which is the item itself for ``again``; empty
            if none did.
        reason_title: The title of that item.
        matches: The words of a search that the item has, each with the first column that has it.
    """

    item_id: str
    score: float
    title: str
    channel_scores: tuple[float, ...]
    probability: float = 0.0
    reason: str = ""
    reason_item_id: str = ""
    reason_title: str = ""
    matches: tuple[tuple[str, str], ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether the catalogue has the item, as it may not have a candidate of ``rank``."""
        return self.score != _UNKNOWN_SCORE


class Results(list[Result]):
    """The items of one row, best first.

    Attributes:
        corrected_query: What a search looked for in place of the query; empty if it took it as typed.
    """

    corrected_query: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Suggestion:
    """A whole text that is suggested; its kind is ``query`` (a past one), ``word`` or ``item`` (a title)."""

    text: str
    kind: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Histogram:
    """How many matches lie in each of the bins between the edges; the last bin holds its upper edge too."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facets:
    """What all matches of a search are.

    Attributes:
        num_matches: How many items have a word of the query; without a query, how many there are.
        counts: How many matches have each ``column=value``, the commonest first.
        histograms: By numeric column.
    """

    num_matches: int
    counts: Mapping[str, int]
    histograms: Mapping[str, Histogram]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VersionStatus:
    """A version of a model that the server knows: its number, its state, and the error if its load failed."""

    version: int
    state: str
    error: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorType:
    """The type of an input or output.

    Attributes:
        dtype: TensorFlow's name of the type, for example ``"DT_STRING"``.
        shape: One size per dimension, -1 for any size; ``None`` if the rank is open too.
    """

    dtype: str
    shape: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Signature:
    """The inputs and outputs of a signature, by name."""

    inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelMetadata:
    """The version that answers, and its signatures by name."""

    version: int
    signatures: Mapping[str, Signature]


def read_arrays(response: Any) -> Tensors:
    """The outputs of a PredictResponse."""
    return {name: tensors.to_array(proto) for name, proto in response.outputs.items()}


def read_embedding(response: Any) -> np.ndarray[Any, Any]:
    """The output ``embedding`` of a PredictResponse."""
    return _outputs(response, "embedding")[0]


def read_results(response: Any) -> list[Results]:
    """The rows of a PredictResponse that lists items."""

    def result(
        item_id: bytes,
        score: float,
        title: bytes,
        channel_scores: list[float],
        probability: float,
        *reason: bytes,
    ) -> Result:
        kind, speaker, speaker_title, matches = (text.decode() for text in reason)
        return Result(
            item_id=item_id.decode(),
            score=score,
            title=title.decode(),
            channel_scores=tuple(channel_scores),
            probability=probability,
            reason=kind,
            reason_item_id=speaker,
            reason_title=speaker_title,
            # A word that the query has twice is said once.
            matches=tuple(_match(line) for line in dict.fromkeys(matches.split("\n")) if line),
        )

    rows = zip(*(array.tolist() for array in _outputs(response, *_LISTED)), strict=True)
    # Rows are padded with empty ids. Cutting at num_results would also drop rank's unknown candidates.
    listed = [Results(result(*item) for item in zip(*row, strict=True) if item[0]) for row in rows]
    if "corrected_query" in response.outputs:
        for results, query in zip(listed, tensors.to_array(response.outputs["corrected_query"]), strict=True):
            results.corrected_query = query.decode()
    return listed


def _match(line: str) -> tuple[str, str]:
    # A word has no equals sign, and a column may.
    word, _, column = line.partition("=")
    return word, column


def read_suggestions(response: Any) -> list[list[Suggestion]]:
    """The rows of a PredictResponse of ``suggest``."""
    rows = zip(*(array.tolist() for array in _outputs(response, "suggestions", "kinds")), strict=True)
    return [
        [Suggestion(text=text.decode(), kind=kind.decode()) for text, kind in zip(*row, strict=True) if text]
        for row in rows
    ]


def read_facets(response: Any) -> list[Facets]:
    """The rows of a PredictResponse of ``facets``."""
    names = ("values", "counts", "num_matches", "histogram_columns", "histogram_edges", "histogram_counts")
    outputs = [array.tolist() for array in _outputs(response, *names)]
    return [
        Facets(
            num_matches=num_matches,
            counts={value.decode(): count for value, count in zip(values, counts, strict=True) if value},
            histograms={
                column.decode(): Histogram(edges=tuple(edges_), counts=tuple(bins_))
                for column, edges_, bins_ in zip(columns, edges, bins, strict=True)
            },
        )
        for values, counts, num_matches, columns, edges, bins in zip(*outputs, strict=True)
    ]


def read_status(response: Any) -> list[VersionStatus]:
    """The versions of a GetModelStatusResponse."""
    return [
        VersionStatus(
            version=entry.version, state=messages.STATES[entry.state], error=entry.status.error_message
        )
        for entry in response.model_version_status
    ]


def read_metadata(response: Any) -> ModelMetadata:
    """The signatures of a GetModelMetadataResponse."""
    packed = response.metadata["signature_def"].value
    definitions = messages.SignatureDefMap.FromString(packed).signature_def
    return ModelMetadata(
        version=response.model_spec.version.value,
        signatures={
            name: Signature(inputs=_types(definition.inputs), outputs=_types(definition.outputs))
            for name, definition in sorted(definitions.items())
        },
    )


def _outputs(response: Any, *names: str) -> list[np.ndarray[Any, Any]]:
    if missing := [name for name in names if name not in response.outputs]:
        raise ServingError(
            f"The model must answer with {', '.join(names)}. Got none named {', '.join(missing)}; "
            f"is {response.model_spec.name} one of tandem's?"
        )
    return [tensors.to_array(response.outputs[name]) for name in names]


def _types(infos: Mapping[str, Any]) -> dict[str, TensorType]:
    return {
        name: TensorType(
            dtype=messages.DATA_TYPES[info.dtype],
            shape=None
            if info.tensor_shape.unknown_rank
            else tuple(dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in sorted(infos.items())
    }
