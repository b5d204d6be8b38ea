from pipeline.report.tables import headlines, main_tables, slice_tables
from tests.pipeline.report.small_report import OURS, small_report


def test_ours_is_first_and_baselines_follow_from_best_to_worst() -> None:
    recommendation, search = main_tables(small_report())
    assert [line.system for line in recommendation.lines] == [OURS, "repeat", "ease", "popular"]
    assert [line.system for line in search.lines] == [OURS, "lexical"]
    assert recommendation.groups() == [("novel", 2), ("all", 2)]


def test_the_best_of_each_column_is_marked() -> None:
    recommendation, _ = main_tables(small_report())
    best = [
        [line.system for line in recommendation.lines if (cell := line.cells[column]) and cell.is_best]
        for column in range(4)
    ]
    assert best == [[OURS], [OURS], [OURS], ["repeat"]]


def test_what_was_not_measured_is_empty() -> None:
    recommendation, _ = main_tables(small_report())
    repeat = recommendation.lines[1]
    assert [cell is None for cell in repeat.cells] == [True, True, False, False]


def test_slices_show_ours_beside_the_best_baseline() -> None:
    by_task = {column.task: lines for column, lines in slice_tables(small_report()).items()}
    assert [line.slice for line in by_task["all"]] == ["", "user=cold", "country=France"]
    assert {line.baseline for line in by_task["all"]} == {"repeat"}


def test_headlines_are_against_the_hardest_baseline() -> None:
    assert [(d.task, d.baseline) for d in headlines(small_report())] == [
        ("search", "lexical"),
        ("novel", "ease"),
        ("all", "repeat"),
    ]
