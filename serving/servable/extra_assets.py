"""The files beside a servable's graph, in its ``assets.extra``: where each is, and what it holds.

TensorFlow is not needed to read them, because the gateway has none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class ExtraAssets:
    """The extra assets of one SavedModel.

    Args:
        model_dir: The SavedModel.
        open_file: What opens a path in a mode; TensorFlow's `GFile` also opens those of other machines.

    Attributes:
        folder: The folder of all of them.
        examples_path: What can be asked: ``queries``, ``users`` and ``items`` of the dataset, as JSON.
        catalogue_path: The columns of the items, for `Catalogue`.
        warmup_path: The requests that a server replays before a version is available.
        choices_path: What the data decided when the servable was built, a sentence each, as a JSON list.
        span_path: The span of the events that the model was trained on.

    Example:
        >>> ExtraAssets("serving/tandem/1").span_path
        'serving/tandem/1/assets.extra/span.txt'
    """

    def __init__(
        self, model_dir: str | os.PathLike[str], *, open_file: Callable[[str, str], Any] = open
    ) -> None:
        self.folder = os.path.join(model_dir, "assets.extra")
        self.examples_path = os.path.join(self.folder, "examples.json")
        self.catalogue_path = os.path.join(self.folder, "items.sqlite")
        self.warmup_path = os.path.join(self.folder, "tf_serving_warmup_requests")
        self.choices_path = os.path.join(self.folder, "choices.json")
        self.span_path = os.path.join(self.folder, "span.txt")
        self._open_file = open_file

    def read_examples(self) -> dict[str, list[Any]]:
        examples: dict[str, list[Any]] = json.loads(self._read(self.examples_path))
        return examples

    def write_examples(self, examples: Mapping[str, Any]) -> None:
        self._write(self.examples_path, json.dumps(examples))

    def read_choices(self) -> list[str]:
        choices: list[str] = json.loads(self._read(self.choices_path))
        return choices

    def write_choices(self, choices: Sequence[str]) -> None:
        self._write(self.choices_path, json.dumps(choices))

    def read_span(self) -> int:
        return int(self._read(self.span_path))

    def write_span(self, span: int) -> None:
        self._write(self.span_path, str(span))

    def _read(self, path: str) -> bytes:
        with self._open_file(path, "rb") as file:
            content: bytes = file.read()
        return content

    def _write(self, path: str, text: str) -> None:
        with self._open_file(path, "wb") as file:
            file.write(text.encode())
