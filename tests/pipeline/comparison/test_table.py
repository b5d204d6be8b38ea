from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ET

import pytest

from pipeline.comparison.record import VariantRecord
from pipeline.comparison.table import Row, difference, markdown, picture
from tests.pipeline.comparison.small_records import make_record

DEFAULT = Row(name="default", records=[make_record([0.5, 0.25, 0.75, 0.5], [0.25, 0.75])])
WORSE = Row(name="frugal", records=[make_record([0.25, 0.0, 0.5, 0.25], [0.5, 0.5], training_min=0.5)])


def cells(table: str, name: str) -> dict[str, str]:
    """The cells of a row by the head of their column."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    (row,) = [line for line in lines if line[0] == name]
    return dict(zip(lines[0], row, strict=True))


def test_table_has_quality_with_paired_interval_and_costs() -> None:
    table = markdown([DEFAULT, WORSE], dataset="shop")

    assert table.startswith("# Variants on shop\n")
    assert cells(table, "default") == {
        "variant": "default",
        "SEARCH nDCG@10, 4 queries": "0.500",
        "NOVEL nDCG@10, 2 users": "0.500",
        "trained parameters": "1,234,567",
        "training min": "2.0",
        "servable MB": "88.2",
        "search CPU ms": "9.5",
        "search ms": "12.0",
        "recommend CPU ms": "7.2",
        "recommend ms": "10.0",
        "gates": "blessed",
    }
    frugal = cells(table, "frugal")
    # Each query loses as much, so there is no doubt; of the two users one gains what the other loses.
    assert frugal["SEARCH nDCG@10, 4 queries"] == "0.250, **−0.250 [−0.250, −0.250]**"
    assert frugal["NOVEL nDCG@10, 2 users"] == "0.500, +0.000 [−0.250, +0.250]"
    assert frugal["training min"] == "0.5"
    assert "* frugal: worse in SEARCH; not shown to differ in NOVEL.\n" in table


def test_model_that_the_gates_refuse_is_a_row_like_others() -> None:
    refused = Row(name="refused", records=[make_record([0.5, 0.25, 0.75, 0.5], is_blessed=False)])

    row = cells(markdown([DEFAULT, refused], dataset="shop"), "refused")

    assert row["gates"] == "not blessed"
    assert row["SEARCH nDCG@10, 4 queries"] == "0.500, +0.000 [+0.000, +0.000]"
    assert row["NOVEL nDCG@10, 2 users"] == "–"


def test_variant_that_failed_says_why() -> None:
    failed = Row(name="failed one", records=[], failure="the disk was full.")

    table = markdown([DEFAULT, failed, WORSE], dataset="shop")

    assert set(list(cells(table, "failed one").values())[1:]) == {"–", "failed"}
    assert "* failed one failed: the disk was full.\n" in table
    assert "* frugal: worse in SEARCH;" in table


def test_without_the_default_nothing_is_compared() -> None:
    failed = Row(name="default", records=[], failure="it broke.")

    table = markdown([failed, WORSE], dataset="shop")

    assert cells(table, "frugal")["SEARCH nDCG@10, 4 queries"] == "0.250"
    assert "nothing was compared with it: it broke.\n" in table


def test_fewer_queries_are_told_and_only_they_are_paired() -> None:
    fewer = Row(name="fewer", records=[make_record([1.0, 0.75])])

    found = difference(DEFAULT, fewer, "search")
    row = cells(markdown([DEFAULT, fewer], dataset="shop"), "fewer")

    assert found is not None
    assert (found.value, found.num) == (0.5, 2)
    shown = "0.875 (of 2), **+0.500 [+0.500, +0.500] (of 2)**"
    assert row["SEARCH nDCG@10, 4 queries"] == shown


def test_seeds_are_averaged_and_their_range_is_shown() -> None:
    rows = [
        dataclasses.replace(DEFAULT, records=DEFAULT.records * 2),
        Row(name="two", records=[make_record([0.5] * 4), make_record([0.75] * 4, training_min=4.0)]),
    ]

    table = markdown(rows, dataset="shop")

    two = cells(table, "two")
    assert two["SEARCH nDCG@10, 4 queries"].startswith("0.625 (0.500 to 0.750), +0.125 [")
    assert two["training min"] == "3.0"
    assert "means over 2 seeds" in table


def test_name_does_not_break_the_table() -> None:
    odd = dataclasses.replace(WORSE, name="a | b")

    assert "\n| a \\| b | 0.250" in markdown([DEFAULT, odd], dataset="shop")


@pytest.mark.parametrize("records", [[make_record([0.5, 0.25])], []])
def test_picture_is_one_file_with_a_panel_for_each_number(records: list[VariantRecord]) -> None:
    rows = [DEFAULT, WORSE, Row(name="<b>", records=records, failure="" if records else "it broke.")]

    root = ET.fromstring(picture(rows, dataset="shop"))

    space = "{http://www.w3.org/2000/svg}"
    titles = [text.text for text in root.findall(f"{space}text")]
    assert titles[:2] == [f"{task} nDCG@10, difference from the default" for task in ("SEARCH", "NOVEL")]
    assert titles[2:] == [
        *("trained parameters", "training min", "servable MB"),
        *("search CPU ms", "search ms", "recommend CPU ms", "recommend ms"),
    ]
    panels = root.findall(f"{space}svg")
    assert len(panels) == len(titles)
    search = [text.text for text in panels[0].findall(f"{space}text[@text-anchor='end']")]
    assert search == ["default", "frugal", *(["<b>"] if records else [])]
    assert root.find(f".//{space}image") is None
