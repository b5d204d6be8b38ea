from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from dataset.values import as_labels, as_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("12471.0000", "12471"),
        ("-12.5000", "-12.5"),
        ("100.0000", "100"),
        ("0.0000", "0"),
        ("0.0001", "0.0001"),
        ("1234567890123456789012345678901234.5000", "1234567890123456789012345678901234.5"),
    ],
)
def test_decimal_is_text_without_the_zeros_of_its_column(value: str, text: str) -> None:
    column = pa.array([Decimal(value), None], pa.decimal128(38, 4))

    assert as_text(column).to_pylist() == [text, None]
    assert as_labels(column).to_pylist() == [text, None]


def test_decimal_has_no_exponent_and_whole_ones_keep_their_zeros() -> None:
    assert as_text(pa.array([Decimal("1E-10")], pa.decimal128(20, 10))).to_pylist() == ["0.0000000001"]
    assert as_text(pa.array([Decimal("12500")], pa.decimal128(38, 0))).to_pylist() == ["12500"]
