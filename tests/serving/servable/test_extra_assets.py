from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from serving.servable.extra_assets import ExtraAssets


@pytest.mark.parametrize("open_file", [open, tf.io.gfile.GFile])
def test_what_is_written_is_read(tmp_path: Path, open_file: Callable[[str, str], Any]) -> None:
    extra = ExtraAssets(tmp_path, open_file=open_file)
    Path(extra.folder).mkdir()
    examples = {"queries": ["thé"], "users": [], "items": [{"item_id": "7", "title": "Théière"}]}

    extra.write_examples(examples)
    extra.write_span(12)

    assert ExtraAssets(tmp_path).read_examples() == examples
    assert extra.read_examples() == examples
    assert extra.read_span() == 12


def test_all_files_are_in_one_folder_of_the_model() -> None:
    extra = ExtraAssets("tandem/3")

    paths = {extra.examples_path, extra.catalogue_path, extra.warmup_path, extra.span_path}
    assert {Path(path).parent for path in paths} == {Path("tandem/3/assets.extra")}
    assert len(paths) == 4
