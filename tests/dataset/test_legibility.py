from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from dataset.contract import ItemsTable
from dataset.findings import Finding, Findings
from dataset.legibility import TextReader, TextSample, TokenRows, joined

TABLE = ItemsTable(path=("items.csv",), id="sku", text=("title", "body"), numeric={})
KNOWN = {"red": 1, "blue": 2, "lamp": 3, "chair": 4}


def _read(texts: list[str], most: int = 2) -> TokenRows:
    """A token for each known word, and 0 for any other."""
    found = [[KNOWN.get(word.strip(".").lower(), 0) for word in text.split()] for text in texts]
    return TokenRows(
        rows=[tuple(ids[:most]) for ids in found],
        lengths=np.array([len(ids) for ids in found]),
        num_unknown=np.array([ids.count(0) for ids in found]),
        is_cut=np.array([len(ids) > most for ids in found]),
    )


READER = TextReader(encoder="tiny", max_text_tokens=4, read=_read)


def _findings(*texts: str, table: ItemsTable = TABLE, size: int = 100) -> Findings:
    sample = TextSample(table, size)
    for begin in range(0, len(texts), 3):
        part = list(texts[begin : begin + 3])
        batch = pa.record_batch({"title": part, "body": [""] * len(part)})
        sample.add("items.csv", np.arange(begin, begin + len(part)) + 1, batch)
    return sample.findings(READER)


def _counts(findings: Findings) -> dict[str, int]:
    return {finding.rule: finding.count for finding in findings.findings}


def test_texts_that_are_read_are_no_finding() -> None:
    assert _findings("red lamp", "blue lamp", "red chair", "Red Lamp", "") == Findings()


def test_text_of_which_half_the_words_are_unknown_is_found() -> None:
    findings = _findings("red lamp", "red lampa", "โคมไฟ", "blue chair")

    assert _counts(findings) == {"unknown_tokens": 2}
    (finding,) = findings.findings
    assert finding.table == "items"
    assert finding.sentence() == (
        'items.csv, rows 2, 3: column "title" must be in a language that model.encoder, tiny, has tokens '
        'for. Got "red lampa", "โคมไฟ"; of all tokens 29% are unknown'
    )


def test_encoder_that_reads_more_languages_is_named() -> None:
    sample = TextSample(TABLE)
    sample.add("items.csv", np.array([1]), pa.record_batch({"title": ["โคมไฟ"], "body": [""]}))

    (finding,) = sample.findings(dataclasses.replace(READER, multilingual="e5-small-multilingual")).findings

    assert finding.sentence().endswith(
        'of all tokens 100% are unknown; model.encoder = "e5-small-multilingual" reads 94 languages'
    )


def test_text_longer_than_the_encoder_looks_at_is_found() -> None:
    (finding,) = _findings("red lamp", "blue chair red", "red chair blue red lamp").findings

    assert (finding.rule, finding.count) == ("cut_texts", 2)
    assert "fit into model.max_text_tokens, 4" in finding.sentence()
    assert finding.sentence().endswith("half of these have 4 tokens or more")


def test_different_texts_with_the_same_first_tokens_are_found() -> None:
    findings = _findings("red lamp chair", "red lamp blue", "RED  lamp blue", "blue lamp", "Blue lamp")

    assert _counts(findings) == {"alike_texts": 3, "cut_texts": 3}
    finding = next(f for f in findings.findings if f.rule == "alike_texts")
    assert "(model.encoder, tiny, and model.max_text_tokens, 4)" in finding.sentence()
    assert finding.sentence().endswith("5 texts are 2 in tokens")


def test_same_text_twice_is_no_finding() -> None:
    assert _findings("red lamp", "red lamp", "Red lamp") == Findings()


def test_share_of_a_larger_catalogue_is_that_of_its_sample() -> None:
    texts = ["red lamp"] * 600 + ["โคมไฟ"] * 300

    findings = _findings(*texts, size=200)

    assert findings.rows == {"sampled items": 200}
    (finding,) = findings.findings
    assert finding.table == "sampled items"
    assert 0.2 < findings.share(finding) < 0.45
    rows = [example.row for example in finding.examples]
    assert all(row > 600 for row in rows)
    assert findings == _findings(*texts, size=200)


def test_columns_that_are_categories_are_not_read() -> None:
    by_category = dataclasses.replace(TABLE, categorical=("title",))

    assert _findings("โคมไฟ", "เก้าอี้", table=by_category) == Findings()
    assert _counts(_findings("โคมไฟ", table=dataclasses.replace(TABLE, categorical=("title", "body"))))


def test_texts_are_joined_as_sentences() -> None:
    batch = pa.record_batch({"title": ["Lamp", "Lamp.", "", " "], "body": ["Red. ", "", "Blue", "\t"]})

    assert joined(batch) == ["Lamp. Red", "Lamp", "Blue", ""]


def test_categories_of_a_list_are_words_of_a_text() -> None:
    batch = pa.record_batch({"tags": [["Lamp", "red"], [""]], "body": ["Blue", "Blue"]})

    assert joined(batch) == ["Lamp red. Blue", "Blue"]


def test_sample_of_nothing_finds_nothing() -> None:
    assert TextSample(TABLE).findings(READER).findings == ()


def test_finding_without_rows_says_what_there_is() -> None:
    finding = Finding(
        rule="unmeasured_users",
        table="test users",
        column="user",
        expected="be known",
        count=3,
        examples=(),
        got="none of 3",
    )

    assert finding.sentence() == 'column "user" must be known. Got none of 3'
