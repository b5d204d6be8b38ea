from __future__ import annotations

import itertools
import re

import pytest

from dataset import features

# What tf.name_scope allows.
SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("brand", "vocabulary_brand"),
        ("Product_Type2", "vocabulary_Product_Type2"),
        ("user_id", "vocabulary_user_id"),
        ("user/country", "vocabulary_user_country"),
    ],
)
def test_vocabulary_of_a_plain_name_is_the_name(name: str, file: str) -> None:
    assert features.vocabulary_of(name) == file


def test_no_two_names_share_a_vocabulary() -> None:
    names = [
        "size (EU)",
        "size [EU]",
        "size__EU_",
        "Größe",
        "Groesse",
        "Gr__e",
        "品牌",
        "价格",
        "a b",
        "a-b",
        "a_b",
    ]
    names += [features.user_feature(name) for name in (*names, "id", "user_id")] + ["user_id"]

    files = [features.vocabulary_of(name) for name in names]

    assert not [pair for pair in itertools.combinations(files, 2) if pair[0] == pair[1]]
    assert all(SCOPE.fullmatch(f"{file}_unpruned_vocab_size") for file in files)
    assert files == [features.vocabulary_of(name) for name in names]
