import dataclasses
import itertools
import re
from html.parser import HTMLParser

import pytest

from components.verdict import Verdict
from pipeline.report.html import render
from pipeline.report.report import ReportData
from tests.pipeline.report.small_report import OURS, small_report

VOID = {"meta", "link", "br", "hr", "img", "input", "col"}


class Page(HTMLParser):
    """Collects what a page holds, and checks that its elements nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def named(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.tags if tag == name]


@pytest.fixture(scope="module")
def text() -> str:
    return render(small_report())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_every_number_of_the_main_table_is_shown(page: Page) -> None:
    shown = " ".join(page.texts)
    for row in small_report().rows:
        if not row.slice:
            assert f"{row.value:.3f}" in shown
            assert row.low is None or f"{row.low:.3f} – {row.high:.3f}" in shown


def test_the_page_is_one_file_without_scripts(text: str, page: Page) -> None:
    assert not re.search(r"https?://|@import|url\(", text)
    assert page.named("script") == page.named("link") == page.named("img") == []


def test_titles_are_escaped(text: str) -> None:
    assert "&lt;script&gt;alert(" in text


def test_screen_readers_get_captions_scopes_and_texts_for_plots(page: Page) -> None:
    assert len(page.named("caption")) == len(page.named("table"))
    assert all("scope" in attributes for attributes in page.named("th"))
    plots = [attributes for attributes in page.named("svg") if "aria-hidden" not in attributes]
    assert plots
    assert all(plot["role"] == "img" and plot["aria-label"] for plot in plots)
    assert page.named("html")[0]["lang"] == "en"


def test_headings_skip_no_level(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_links_lead_to_sections_that_are_there(page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    targets = {attributes["href"].removeprefix("#") for attributes in page.named("a")}
    assert targets <= ids


def test_the_decision_and_its_reasons_are_told() -> None:
    gate = Verdict(is_blessed=False, reasons=("It is 0.02 below the last blessed model.",))
    text = render(dataclasses.replace(small_report(), gate=gate))
    assert "Not blessed" in text
    assert "It is 0.02 below the last blessed model." in text


def test_a_report_with_nothing_but_rows_is_a_page_too() -> None:
    report = small_report()
    rows = tuple(row for row in report.rows if row.task == "search" and not row.slice)
    bare = ReportData(
        dataset="bare", created="2025-01-31", summary={}, ours=OURS, rows=rows, gate=report.gate
    )
    Page(render(bare))


def test_what_training_left_out_is_said() -> None:
    cut = "The recommender learnt from 2 of 3 past windows."

    assert cut in render(dataclasses.replace(small_report(), cuts=(cut,)))
    assert "train.max_minutes" not in render(small_report())


def test_drift_is_said_in_words_and_what_is_past_its_limit_is_marked(text: str) -> None:
    section = text[text.index('id="drift"') : text.index('id="skew"')]

    assert "In item_id of events one value&#39;s share has changed by 21.3%." in section
    assert "Price of items is distributed as before." in section
    assert section.count("drifted") == 1


def test_skew_is_told_apart_from_drift(text: str) -> None:
    section = text[text.index('id="skew"') : text.index('id="cost"')]

    assert "Skew: newest window against training" in section
    assert "In query of interactions no value&#39;s share has changed by more than 0.4%." in section
    assert "value of interactions has moved." in section
    assert section.count("skewed") == 1
    assert "item_id" not in section


def test_report_of_a_table_without_spans_has_no_drift() -> None:
    text = render(dataclasses.replace(small_report(), drift=()))

    assert 'id="drift"' not in text
    assert 'id="skew"' in text
