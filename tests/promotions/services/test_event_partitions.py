"""Months of the event log: made ahead, filled from the default partition, dropped whole; and what the doctor shows."""

import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from promotions import clock, tasks
from promotions.doctor.context import Context
from promotions.doctor.services import check_event_log
from promotions.logic.diagnosis import State
from promotions.logic.events import CouponIssued, NewEvent
from promotions.models import DeletedRows, Event
from promotions.models.retention import OFFER_DAYS
from promotions.services import retention, retention_ceiling, waits
from promotions.services.event_partitions import (
    MONTHS_AHEAD,
    drop_expired,
    list_months,
    make_partitions,
    read_partitions,
)
from promotions.services.events import record_events
from tests.factories import NOW
from tests.promotions.services.crowds import crowd

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _without_months(request: pytest.FixtureRequest, db: None) -> Iterator[None]:
    """Begin without any month, at any date; a test that commits makes those of today again."""
    is_kept = request.node.get_closest_marker("django_db").kwargs.get("transaction")
    drop_months()
    yield
    if is_kept:
        drop_months()
        make_partitions(now=clock.now())


def drop_months() -> None:
    with connection.cursor() as cursor:
        for month in months():
            cursor.execute(f"DROP TABLE promotions_event_{month:%Y_%m}")


def months() -> list[date]:
    partitions = read_partitions()
    assert partitions is not None
    return list(partitions.months)


def issued_at(instant: datetime) -> NewEvent:
    coupon_id = uuid.uuid4()
    return NewEvent(CouponIssued(coupon_id, "unlock"), coupon_id, instant, device_id=uuid.uuid4())


def record_at(*instants: datetime) -> None:
    record_events([issued_at(instant) for instant in instants])


def homes() -> dict[datetime, str]:
    """Return the partition of each event, by its time."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT occurred_at, tableoid::regclass::text FROM promotions_event")
        return dict(cursor.fetchall())


def test_the_months_of_a_day_in_december_go_on_in_the_next_year() -> None:
    assert list_months(datetime(2026, 12, 31, 23, 59, tzinfo=UTC)) == [
        date(2026, 12, 1), date(2027, 1, 1), date(2027, 2, 1), date(2027, 3, 1)
    ]  # fmt: skip


def test_this_month_and_the_coming_ones_are_made_once() -> None:
    made = [make_partitions(now=NOW) for _ in range(2)]

    assert made == [list_months(NOW), []]
    assert months() == list_months(NOW)
    assert len(months()) == 1 + MONTHS_AHEAD


def test_a_month_begins_at_midnight_utc() -> None:
    make_partitions(now=DECEMBER - SECOND)
    last, first = DECEMBER - timedelta(microseconds=1), DECEMBER

    record_at(last, first)

    assert homes() == {last: "promotions_event_2026_11", first: "promotions_event_2026_12"}


def test_the_next_month_is_there_before_it_begins() -> None:
    make_partitions(now=DECEMBER - SECOND)

    assert date(2027, 1, 1) in months()
    assert read_partitions().find_missing(now=DECEMBER - SECOND) == []  # type: ignore[union-attr]
    assert read_partitions().find_missing(now=DECEMBER) == [date(2027, 3, 1)]  # type: ignore[union-attr]


def test_an_event_of_a_missing_month_is_kept_and_moved_when_the_month_is_made() -> None:
    before, now, after = NOW - timedelta(days=40), NOW, NOW + timedelta(days=800)
    record_at(before, now, after)
    assert set(homes().values()) == {"promotions_event_default"}
    positions = set(Event.objects.values_list("id", "position"))

    made = make_partitions(now=NOW)

    assert homes() == {
        before: "promotions_event_2026_08", now: "promotions_event_2026_09", after: "promotions_event_2028_11"
    }  # fmt: skip
    assert {date(2026, 8, 1), date(2028, 11, 1)} <= set(made)
    assert set(Event.objects.values_list("id", "position")) == positions


def test_a_moved_event_is_not_recorded_again() -> None:
    event = issued_at(NOW)
    record_events([event])
    make_partitions(now=NOW)

    record_events([event])

    assert Event.objects.count() == 1


def test_a_new_month_is_sealed_and_indexed_like_the_others() -> None:
    make_partitions(now=NOW)

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'promotions_event_2026_09'")
        assert cursor.fetchone() == (3,)
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'promotions_event_2026_09'::regclass")
        assert cursor.fetchone() == (1,)


@pytest.mark.django_db(transaction=True)
def test_two_jobs_at_once_make_each_month_once_while_others_write() -> None:
    def work(number: int) -> object:
        if number % 2:
            return make_partitions(now=NOW)
        return record_at(*(NOW - place * timedelta(days=20) for place in range(8)))

    crowd(32, work, threads=8)
    make_partitions(now=NOW)

    assert set(list_months(NOW)) <= set(months())
    assert Event.objects.count() == 128
    assert "promotions_event_default" not in homes().values()


@pytest.mark.django_db(transaction=True)
def test_making_a_month_does_not_wait_for_a_transaction_that_writes_to_another() -> None:
    make_partitions(now=NOW)
    ahead = NOW + timedelta(days=31)

    with transaction.atomic():
        record_at(NOW)
        [made] = crowd(1, lambda _number: make_partitions(now=ahead))

    assert made == [list_months(ahead)[-1]]


class TestRetention:
    def test_a_month_is_dropped_before_its_first_event_is_older_than_the_promise(self) -> None:
        make_partitions(now=DECEMBER)
        record_at(DECEMBER, DECEMBER + timedelta(days=30))
        expires_at = DECEMBER + timedelta(days=OFFER_DAYS)

        assert drop_expired(now=expires_at) == 0
        assert drop_expired(now=expires_at + SECOND) == 2

        assert months() == [date(2027, month, 1) for month in (1, 2, 3)]
        assert not Event.objects.exists()

    def test_the_last_twelve_months_are_kept_at_any_time(self) -> None:
        for days in range(0, 800, 15):
            now = DECEMBER + timedelta(days=days)
            make_partitions(now=now)
            record_at(now)
            drop_expired(now=now)

            instants = Event.objects.values_list("occurred_at", flat=True)
            assert all(now - at <= timedelta(days=OFFER_DAYS) for at in instants)
            assert len(set(instants)) >= min(days // 15, 24)

    def test_a_run_of_retention_drops_a_month_and_counts_its_rows(self) -> None:
        make_partitions(now=DECEMBER)
        record_at(DECEMBER, *(DECEMBER + timedelta(days=20 + day) for day in range(50)))

        ceiling = retention.drop_expired(now=DECEMBER + timedelta(days=OFFER_DAYS) + SECOND)

        assert (ceiling.held, ceiling.deleted["promotions_event"]) == ([], 12)
        assert DeletedRows.objects.get(table="promotions_event").rows == 12
        assert months() == [date(2027, month, 1) for month in (1, 2, 3)]

    def test_a_clock_a_year_ahead_drops_nothing(self) -> None:
        make_partitions(now=DECEMBER)
        record_at(*(DECEMBER + timedelta(days=day) for day in range(60)))

        ceiling = retention.drop_expired(now=DECEMBER + timedelta(days=500))

        assert [due.table for due in ceiling.held] == ["promotions_event"]
        assert Event.objects.count() == 60

    def test_an_operator_overrides_it(self) -> None:
        make_partitions(now=DECEMBER)
        record_at(*(DECEMBER + timedelta(days=day) for day in range(60)))

        retention.drop_expired(now=DECEMBER + timedelta(days=500), allow_large=True)

        assert months() == []
        assert not Event.objects.exists()

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("is_whole", [False, True], ids=["each partition", "the whole log, as after a restore"])
    def test_the_size_of_the_log_is_estimated_from_its_partitions(self, is_whole: bool) -> None:
        make_partitions(now=NOW)
        record_at(*(NOW + timedelta(days=place % 60) for place in range(500)))
        tables = ["promotions_event"] if is_whole else [f"promotions_event_{month:%Y_%m}" for month in months()]
        with connection.cursor() as cursor:
            for table in tables:
                cursor.execute(f"ANALYZE {table}")
            cursor.execute(retention_ceiling._ESTIMATE_SQL, {"table": "promotions_event"})
            assert cursor.fetchone()[0] == 500

    @pytest.mark.django_db(transaction=True)
    def test_the_drop_waits_for_a_writer_only_so_long(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(waits, "LOCK_TIMEOUT_S", 0.2)
        make_partitions(now=DECEMBER)
        now = DECEMBER + timedelta(days=OFFER_DAYS + 1)

        def drop(_number: int) -> object:
            with pytest.raises(OperationalError, match="lock timeout"):
                drop_expired(now=now)
            return "waited"

        with transaction.atomic():
            record_at(NOW)
            assert crowd(1, drop) == ["waited"]
        drop_expired(now=now)

        assert date(2026, 12, 1) not in months()


class TestSchedule:
    def test_the_task_makes_the_months_of_today(self) -> None:
        tasks.make_event_partitions()

        assert set(list_months(clock.now())) <= set(months())

    def test_a_migration_makes_them_before_the_first_event(self) -> None:
        call_command("migrate", verbosity=0)

        assert set(list_months(clock.now())) <= set(months())

    def test_before_the_log_s_migration_there_is_nothing_to_make(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE promotions_event RENAME TO promotions_event_away")
            assert (read_partitions(), make_partitions(now=NOW)) == (None, [])
            cursor.execute("ALTER TABLE promotions_event_away RENAME TO promotions_event")


class TestDoctor:
    def findings(self, now: datetime) -> list[tuple[State, str]]:
        return [(row.state, row.finding) for row in check_event_log(Context(now=now, url="", faults=()))]

    def test_all_is_well_with_the_coming_months(self) -> None:
        make_partitions(now=NOW)

        assert [state for state, _ in self.findings(NOW)] == [State.OK]

    def test_a_missing_month_is_a_fault_by_name(self) -> None:
        make_partitions(now=NOW)

        assert [state for state, _ in self.findings(NOW + timedelta(days=62))] == [State.OK]
        assert self.findings(NOW + timedelta(days=93)) == [(State.FAULT, "The event log has no partition for 2027-01.")]

    def test_rows_of_no_month_are_a_warning(self) -> None:
        make_partitions(now=NOW)
        record_at(NOW - timedelta(days=62))

        assert self.findings(NOW) == [
            (State.WARNING, "Events of 2026-07 are in the default partition, which retention does not drop.")
        ]
