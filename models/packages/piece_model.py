"""The model file of SentencePiece: pieces with their scores, and how characters are mapped before."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sentencepiece

from models.packages.wire import field, fields

# Fields of sentencepiece_model.proto; the package's own message classes ask for a later protobuf than ours.
_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_PIECE, _SCORE, _KIND = 1, 2, 3
_RULE_NAME, _MAP = 1, 2
_UNIGRAM = 1
_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3
PAD, UNK, BEGIN, END = range(4)
# The zero-width joiner, which the models were trained to read as a space; newer SentencePieces keep it.
JOINER = "\u200d"
# What stands for a space within pieces.
SPACE = "\u2581"
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
# The rule of the multilingual models: NFKC, with control characters gone and kinds of spaces one.
_RULE = "nmt_nfkc"


def piece_model(pieces: Sequence[str], scores: Sequence[float]) -> bytes:
    """Makes the model file of a unigram model (Kudo 2018).

    Args:
        pieces: SentencePieces; their ids begin at 4, behind those of `SPECIAL`.
        scores: The logarithm of each one's probability.
    """
    kinds = {PAD: _CONTROL, UNK: _UNKNOWN, BEGIN: _CONTROL, END: _CONTROL}
    content = [
        field(_PIECES, field(_PIECE, piece.encode()) + field(_SCORE, 0.0) + field(_KIND, kinds[i]))
        for i, piece in enumerate(SPECIAL)
    ]
    content += [
        field(_PIECES, field(_PIECE, piece.encode()) + field(_SCORE, float(score)) + field(_KIND, _NORMAL))
        for piece, score in zip(pieces, scores, strict=True)
    ]
    numbers = {3: _UNIGRAM, 4: len(SPECIAL) + len(pieces), 40: UNK, 41: BEGIN, 42: END, 43: PAD}
    content.append(field(_TRAINER, b"".join(field(number, value) for number, value in numbers.items())))
    # A space before the text, spaces that repeat as one, and each of them as its own character.
    settings = b"".join(field(number, 1) for number in (3, 4, 5))
    content.append(
        field(_NORMALIZER, field(_RULE_NAME, _RULE.encode()) + field(_MAP, _character_map()) + settings)
    )
    return b"".join(content)


def piece_reader(model: bytes) -> Callable[[list[str]], list[list[int]]]:
    """What turns texts into ids, without the special ones, as the graph does."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)

    def encode(texts: list[str]) -> list[list[int]]:
        found: list[list[int]] = processor.encode([text.replace(JOINER, " ") for text in texts])
        return found

    return encode


def pieces_of(model: bytes) -> list[str]:
    """The pieces of a model file, in the order of their ids."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [processor.id_to_piece(i) for i in range(processor.get_piece_size())]


def _character_map() -> bytes:
    """The rule as SentencePiece compiled it."""
    rule = sentencepiece.SentencePieceNormalizer(rule_name=_RULE).serialized_model_proto()
    for number, spec in fields(memoryview(rule)):
        if number == _NORMALIZER and not isinstance(spec, int):
            return next(
                bytes(value) for part, value in fields(spec) if part == _MAP and not isinstance(value, int)
            )
    raise ValueError(f"SentencePiece must have the rule {_RULE}. Got none.")
