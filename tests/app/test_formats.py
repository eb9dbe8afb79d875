"""Figures are written one way."""

from datetime import UTC, datetime, timedelta

import pytest

from app import formats

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_counts_have_thin_spaces():
    assert formats.count(1234567) == "1\u202f234\u202f567"
    assert formats.plural(1, "passage") == "1 passage"
    assert formats.plural(2000, "passage") == "2\u202f000 passages"


@pytest.mark.parametrize(("number", "shown"), [(None, "–"), (0.12345, "0.123"), (12, "12.000")])
def test_scores_have_three_decimals(number, shown):
    assert formats.score(number) == shown


@pytest.mark.parametrize(
    ("size_bytes", "shown"), [(999, "999 B"), (52_100_000, "52.1 MB"), (1.2e9, "1.2 GB"), (3e15, "3000.0 TB")]
)
def test_sizes_are_in_base_ten(size_bytes, shown):
    assert formats.size(size_bytes) == shown


def test_times_are_in_their_natural_unit():
    assert formats.milliseconds(38.4) == "38 ms"
    assert formats.milliseconds(1_500) == "1.5 s"
    assert [formats.duration(seconds) for seconds in (5, 200, 7_500)] == ["5 s", "3 min 20 s", "2 h 5 min"]


@pytest.mark.parametrize(
    ("before", "shown"),
    [(3, "just now"), (240, "4 min ago"), (7200, "2 h ago"), (86400, "1 day ago"), (-9, "just now")],
)
def test_freshness_is_in_one_unit(before, shown):
    assert formats.ago(NOW - timedelta(seconds=before), NOW) == shown
    assert formats.parse_moment("no date") is None
