"""What a check says of the log: its times, its kinds, and who of the test window has a past."""

from __future__ import annotations

import pytest

from dataset.errors import DataError
from tests.dataset.test_check import checked
from tests.tiny_dataset import EVENTS, MANIFEST, Write


def test_repeated_events_are_counted_with_their_rows(dataset: Write) -> None:
    again = "u1,001,2024-01-01\nu2,001,2024-01-01\nu1,001,2024-01-01T00:00:00Z\nu1,001,2024-01-02\n"

    report, summary = checked(dataset(events__csv=EVENTS + again))

    (finding,) = report.findings.findings
    assert (finding.rule, finding.count) == ("duplicate_events", 2)
    assert 'rows 5, 7: column "sku" must not repeat the user, item, time and kind' in summary
    assert 'Got "as in row 1"' in summary
    assert report.events is not None
    assert sum(report.events.splits.values()) == 8


@pytest.mark.parametrize("times", ["1 2 3 4", "2020 2021 2022 2023", "44927.5 44928 44929 44930"])
def test_log_that_counts_days_or_years_is_refused_by_value(dataset: Write, times: str) -> None:
    rows = [f"u1,00{n % 3 + 1},{time}\n" for n, time in enumerate(times.split())]
    sentence = (
        rf'rows 1, 2, 3: column "at" must be from 1973 to 2099 .+ Got "{times.split()[0]}", .+\(4 of 4 rows'
    )

    with pytest.raises(DataError, match=sentence):
        checked(dataset(events__csv="user,sku,at\n" + "".join(rows)))


def test_log_that_mixes_scales_is_refused_by_value(dataset: Write) -> None:
    with pytest.raises(DataError, match=r'row 5: column "at" must be from 1973 .+ Got "19374"'):
        checked(dataset(events__csv=EVENTS + "u1,001,19374\nu1,001,1673740800\n"))


def test_compact_dates_and_milliseconds_are_times(dataset: Write) -> None:
    days = ["20240101", "1704153600000", "20240103", "20240104"]
    events = "".join(f"u{n % 2 + 1},00{n % 3 + 1},{day}\n" for n, day in enumerate(days))

    report, _ = checked(dataset(events__csv="user,sku,at\n" + events))

    assert report.events is not None
    assert (report.events.first_time, report.events.last_time) == (1704067200, 1704326400)


def test_user_who_is_a_word_for_missing_is_a_finding_with_its_share(dataset: Write) -> None:
    folder = dataset(events__csv=EVENTS + "nan,003,2024-01-02\n")

    with pytest.raises(DataError, match=r'row 5: column "user" must hold an id. Got "nan" \(1 of 5 rows'):
        checked(folder)


def test_kind_that_the_manifest_writes_with_a_point_is_known(dataset: Write) -> None:
    manifest = MANIFEST.replace('"purchase"', '{ column = "kind", kinds = { "4.0" = 1.0, "5" = 2.0 } }')
    header, *rows = EVENTS.splitlines()
    events = [
        f"{header},kind",
        *(f"{row},{kind}" for row, kind in zip(rows, ["4.0", "5.0"] * 2, strict=True)),
    ]

    report, _ = checked(dataset(manifest, events__csv="\n".join(events) + "\n"))

    assert report.findings.findings == ()
    assert report.events is not None
    assert report.events.kinds == {"4": 2, "5": 2}


def test_impressions_are_counted_by_kind_and_are_in_no_split(dataset: Write) -> None:
    manifest = MANIFEST.replace('"purchase"', '{ column = "what", kinds = { buy = 1, shown = 0, bad = -1 } }')
    header, *rows = EVENTS.splitlines()
    bought = "".join(f"{row},buy\n" for row in rows)
    events = f"{header},what\n{bought}u1,001,2024-01-04,shown\nu2,001,2024-01-03,bad\n"

    report, summary = checked(dataset(manifest, events__csv=events))

    assert report.events is not None
    assert report.events.kinds == {"buy": 4, "shown": 1, "bad": 1}
    assert report.events.splits == {"train": 2, "validation": 1, "test": 1}
    assert "events                   6" in summary
    with pytest.raises(DataError, match="Got none in test"):
        checked(
            dataset(manifest, events__csv=events.replace("u2,001,2024-01-04,buy", "u2,001,2024-01-04,bad"))
        )


def test_log_of_sessions_says_that_nobody_of_the_test_window_has_a_past(dataset: Write) -> None:
    """Each user is a session of three events within the hour."""
    manifest = MANIFEST.replace('"2024-01-03"', "0.15").replace('"2024-01-04"', "0.15")
    log = [f"s{n},00{1 + (n + i) % 3},2024-01-{n + 1:02} 10:0{i}\n" for n in range(20) for i in range(3)]

    events = "user,sku,at\n" + "".join(log)

    report, summary = checked(dataset(manifest, events__csv=events))

    assert report.events is not None
    assert (report.events.num_test_users, report.events.num_measured) == (3, 0)
    (finding,) = (f for f in report.findings.findings if f.rule == "unmeasured_users")
    assert (finding.count, report.findings.share(finding)) == (3, 1.0)
    assert "0 of 3 users have a past" in summary
    assert "before the test window too, or recommendation cannot be measured; " in summary
    assert 'say session = "user" as well. Got none of 3 users' in summary
    with pytest.raises(DataError, match=r"limits\.unmeasured_users allows 0\.95"):
        checked(dataset(manifest + "[limits]\nunmeasured_users = 0.95\n", events__csv=events))

    by_session = manifest.replace('kind = "purchase"', 'kind = "purchase"\nsession = "user"')
    report, _ = checked(dataset(by_session, events__csv=events))

    assert report.events is not None
    assert (report.events.num_test_users, report.events.num_measured) == (3, 3)
    assert "unmeasured_users" not in {f.rule for f in report.findings.findings}


def test_users_with_a_past_are_those_who_chose_something_before(dataset: Write) -> None:
    manifest = MANIFEST.replace('"purchase"', '{ column = "what", kinds = { buy = 1, shown = 0 } }')
    events = "user,sku,at,what\nu1,001,2024-01-01,shown\nu2,002,2024-01-02,buy\nu1,003,2024-01-03,buy\n"
    events += "u1,001,2024-01-04,buy\nu2,001,2024-01-05,buy\nu3,001,2024-01-05,buy\nu4,001,2024-01-05,shown\n"

    report, _ = checked(dataset(manifest, events__csv=events))

    assert report.events is not None
    assert (report.events.num_test_users, report.events.num_measured) == (3, 2)
    assert [f.rule for f in report.findings.findings] == ["orphan_users"]
