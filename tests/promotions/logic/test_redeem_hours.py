"""Hours frozen into a coupon: unchanged, evaluated in the store's time zone, never after the coupon's end."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.redeem_hours import freeze_hours, next_taking, unfreeze_hours
from promotions.logic.schedule import EVERY_DAY, Opening, TimeWindow

PARIS = ZoneInfo("Europe/Paris")
LUNCH = (TimeWindow(EVERY_DAY, time(12), time(14)),)
# A Tuesday, 12:30 in Paris.
NOON = datetime(2026, 9, 22, 10, 30, tzinfo=UTC)
SECONDS = st.times().map(lambda wall: wall.replace(microsecond=0))
WINDOWS = st.lists(st.builds(TimeWindow, st.frozensets(st.integers(0, 6), min_size=1), SECONDS, SECONDS), max_size=4)


@given(WINDOWS)
def test_what_is_frozen_thaws_as_it_was(windows: list[TimeWindow]) -> None:
    assert unfreeze_hours(freeze_hours(windows)) == tuple(windows)


def test_it_is_stored_in_the_form_that_phones_get() -> None:
    weekend_night = TimeWindow(frozenset({5, 4}), time(22, 30), time(2))

    assert freeze_hours([weekend_night]) == [
        {"weekdays": ["fri", "sat"], "starts_at": "22:30:00", "ends_at": "02:00:00"}
    ]


@pytest.mark.parametrize(
    ("valid_h", "opening_h"),
    [
        # From 14:30 on, after lunch: tomorrow's, all of it, as much as the coupon lasts, or none.
        (48, (23.5, 25.5)),
        (24, (23.5, 24)),
        (23.5, None),
        (3, None),
    ],
)
def test_the_next_time_is_reported_up_to_the_coupons_end(valid_h: float, opening_h: tuple[float, float] | None) -> None:
    valid = Opening(NOON - timedelta(hours=1), NOON + timedelta(hours=valid_h))

    found = next_taking(LUNCH, NOON + timedelta(hours=2), valid, PARIS)

    assert found == (opening_h and Opening(*(NOON + timedelta(hours=hours) for hours in opening_h)))
