"""What a scan does beside its row: the visit it confirms, the waiting it refuses, the queries it costs."""

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from django.conf import settings
from django.db import connection, transaction
from pytest_django import DjangoAssertNumQueries

from geofence.models import Store, Visit
from promotions.errors import DomainError
from promotions.logic.events import NewEvent
from promotions.models import Coupon, Redemption, Refusal, StaffDevice
from promotions.services import waits
from promotions.services.till import redemptions
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from tests import factories
from tests.factories import NOW
from tests.patience import SLACK_S
from tests.promotions.http.staff import tills


@pytest.fixture(autouse=True)
def _at_noon(now: datetime) -> None:
    """The clock is fixed at `NOW`."""


def scan_of(code: str, scanned_at: datetime = NOW) -> Scan:
    return Scan(nonce=uuid.uuid4(), scanned_at=scanned_at, source=Redemption.Source.TYPED, code=code)


def visit_of(device_id: uuid.UUID, store: Store) -> Visit:
    fence, entered_at = store.geofences.get(), NOW - timedelta(seconds=40)
    return Visit.objects.create(
        id=uuid.uuid4(),
        device_id=device_id,
        geofence=fence,
        store=store,
        geofence_version=fence.version,
        entered_at=entered_at,
        last_inside_at=entered_at,
    )


@contextmanager
def other_transaction(sql: str, *parameters: object) -> Iterator[None]:
    """Holds what `sql` locks, in a transaction on another connection, until the block ends."""
    is_locked, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            is_locked.set()
            assert may_end.wait(SLACK_S)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_locked.wait(SLACK_S)
    try:
        yield
    finally:
        may_end.set()
        thread.join()


@pytest.mark.django_db
def test_a_scan_confirms_the_visit_of_the_customer() -> None:
    store = factories.store()
    coupon = tills.coupon(factories.campaign(store))
    visit = visit_of(coupon.row.device_id, store)

    redeem_coupon(staff_device=tills.till(store).row, scan=scan_of(coupon.code), is_dry_run=False, now=NOW)

    visit.refresh_from_db()
    assert (visit.confirmed_by, visit.confirmed_at) == ("scan", NOW)


@pytest.mark.django_db
def test_a_dry_run_confirms_no_visit() -> None:
    store = factories.store()
    coupon = tills.coupon(factories.campaign(store))
    visit = visit_of(coupon.row.device_id, store)

    redeem_coupon(staff_device=tills.till(store).row, scan=scan_of(coupon.code), is_dry_run=True, now=NOW)

    visit.refresh_from_db()
    assert visit.confirmed_at is None


@pytest.mark.django_db
def test_a_refusal_confirms_no_visit() -> None:
    store = factories.store()
    coupon = tills.coupon(factories.campaign(store))
    visit = visit_of(coupon.row.device_id, store)

    with pytest.raises(DomainError) as refused:
        redeem_coupon(
            staff_device=tills.till(store).row,
            scan=scan_of(coupon.code, NOW + timedelta(days=9)),
            is_dry_run=False,
            now=NOW + timedelta(days=9),
        )

    assert refused.value.code == "coupon_expired"
    visit.refresh_from_db()
    assert visit.confirmed_at is None


@pytest.mark.django_db
def test_a_scan_costs_the_same_few_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    store = factories.store()
    staff_device, campaign = tills.till(store).row, factories.campaign(store)
    for _ in range(3):
        coupon = tills.coupon(campaign)

        # Time-out, device, nonce, guesses, coupon, live ones, three reads of the evidence, insert, visit
        # twice, each of the two caps twice; two savepoints, begun and ended.
        with django_assert_num_queries(20):
            redeem_coupon(staff_device=staff_device, scan=scan_of(coupon.code), is_dry_run=False, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_a_till_that_waits_too_long_gets_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOCK_TIMEOUT_S", 0.2)
    store = factories.store()
    till, coupon = tills.till(store), tills.coupon(factories.campaign(store))

    with other_transaction("SELECT 1 FROM promotions_staffdevice WHERE id = %s FOR UPDATE", till.row.pk):
        response = till.scan(code=coupon.code)

    assert tills.problem_of(response) == (503, "busy")
    assert response.headers["Retry-After"] == "5"
    assert Redemption.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_scan_under_way_does_not_hold_up_other_calls(set_clock: Callable[[datetime], None]) -> None:
    till = tills.till(factories.store())
    set_clock(NOW + timedelta(hours=1))

    with other_transaction("SELECT 1 FROM promotions_staffdevice WHERE id = %s FOR UPDATE", till.row.pk):
        response = till.get("me")

    assert response.status_code == 200


@pytest.mark.django_db(transaction=True)
def test_the_lock_time_out_ends_with_its_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "LOCK_TIMEOUT_S", 0.2)
    store = factories.store()
    coupon = tills.coupon(factories.campaign(store))

    redeem_coupon(staff_device=tills.till(store).row, scan=scan_of(coupon.code), is_dry_run=False, now=NOW)

    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == (f"{settings.COMMAND_LOCK_TIMEOUT_S}s",)


@pytest.mark.django_db(transaction=True)
def test_a_coupon_erased_under_the_scan_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    store = factories.store()
    till, coupon = tills.till(store), tills.coupon(factories.campaign(store))

    def erase_concurrently(**_: object) -> list[NewEvent]:
        with other_transaction(f"DELETE FROM {Coupon._meta.db_table} WHERE id = %s", coupon.row.pk):
            return []

    monkeypatch.setattr(redemptions, "confirm_visits", erase_concurrently)

    response = till.scan(code=coupon.code)

    assert tills.problem_of(response) == (404, "code_unknown")
    assert (Redemption.objects.count(), Refusal.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_a_device_revoked_between_its_credential_and_its_lock_redeems_nothing() -> None:
    store = factories.store()
    staff_device, coupon = tills.till(store).row, tills.coupon(factories.campaign(store))
    StaffDevice.objects.update(revoked_at=NOW)

    with pytest.raises(DomainError) as refused:
        redeem_coupon(staff_device=staff_device, scan=scan_of(coupon.code), is_dry_run=False, now=NOW)

    assert refused.value.code == "token_revoked"
