"""The event log: an event per thing that happened, written with it, once; and reading it without losing one."""

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from geofence.models import Store, Visit
from promotions import pipeline
from promotions.errors import DomainError
from promotions.logic.events import PAYLOADS, CouponIssued, EventKind, NewEvent, name_event
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.models import (
    Budget,
    Campaign,
    Coupon,
    Device,
    Event,
    Redemption,
    Refusal,
    Reservation,
    Unlock,
    Void,
)
from promotions.services.devices import erasure
from promotions.services.devices.erasure import export_device, forget_device
from promotions.services.devices.registration import (
    ConsentGiven,
    DeviceChange,
    NewDevice,
    block_device,
    change_device,
    register_device,
)
from promotions.services.events import find_horizon, read_events, record_events, record_visits
from promotions.services.presence.assurance import GivenFix
from promotions.services.presence.visits import confirm_visits
from promotions.services.till.redemptions import redeem_coupon
from promotions.services.till.scans import Scan
from promotions.services.till.voids import void_redemption
from promotions.services.unlocks import unlocks
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.recalls import recall_coupons
from promotions.services.unlocks.unlocks import unlock_offer
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.fixes import Walk
from tests.promotions.http.device.doors import stay
from tests.promotions.http.staff import tills
from tests.promotions.services.crowds import count_lock_waits, crowd

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

MINUTE = timedelta(minutes=1)
FIX = GivenFix(LATITUDE_DEG, LONGITUDE_DEG, 10.0, NOW)
FAR = GivenFix(LATITUDE_DEG + 0.01, LONGITUDE_DEG, 10.0, NOW)


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def _without_trigger(transactional_db: None) -> Iterator[None]:
    """Leave the events of a device to the erasure itself."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE promotions_device DISABLE TRIGGER promotions_device_erases_events")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE promotions_device ENABLE TRIGGER promotions_device_erases_events")


def log() -> list[tuple[str, uuid.UUID]]:
    return list(Event.objects.order_by("position").values_list("kind", "device_id"))


def kinds() -> list[str]:
    return [kind for kind, _device_id in log()]


def ask(device: Device, campaign: Campaign, fix: GivenFix = FIX) -> Unlock:
    return unlock_offer(device=device, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix), now=NOW)[0]


def enter(device: Device, store: Store) -> Visit:
    fence = store.geofences.get()
    stay(device.pk, store, since=NOW - 10 * MINUTE, until=NOW)
    return Visit.objects.create(
        id=uuid.uuid4(), device_id=device.pk, geofence=fence, store=store, geofence_version=fence.version,
        entered_at=NOW - 10 * MINUTE, last_inside_at=NOW,
    )  # fmt: skip


def scan(coupon: tills.Printed, till: tills.Till) -> Redemption:
    given = Scan(nonce=uuid.uuid4(), scanned_at=NOW, source=Redemption.Source.TYPED, code=coupon.code)
    taken = redeem_coupon(staff_device=till.row, scan=given, is_dry_run=False, now=NOW)
    assert taken.redemption is not None
    return taken.redemption


def prize(campaign: Campaign) -> None:
    lot = PrizeLot.objects.create(campaign=campaign, name="1 bicycle", quantity=1)
    WinningMoment.objects.create(lot=lot, campaign=campaign, number=1, opens_at=NOW - MINUTE)


def void(till: tills.Till, redemption: Redemption) -> None:
    void_redemption(
        staff_device=till.row, redemption_id=redemption.pk, reason=Void.Reason.MISTAKE, note="", now=NOW + MINUTE
    )


# One real path per kind; `test_every_kind_has_a_producer` compares them with the kinds.


def stay_long(store: Store) -> uuid.UUID:
    ada = factories.device()
    pipeline.process(Walk(ada).stay(minutes=5), now=NOW)
    return ada.pk


def unlock(store: Store) -> uuid.UUID:
    ada = factories.device()
    ask(ada, factories.campaign(store))
    return ada.pk


def be_refused(store: Store) -> uuid.UUID:
    ada = factories.device()
    with pytest.raises(DomainError, match="not_at_store"):
        ask(ada, factories.campaign(store), FAR)
    return ada.pk


def give_way(store: Store) -> uuid.UUID:
    ada, campaign = factories.device(), factories.campaign(store, unlock_cap=1)
    Budget.objects.create(campaign=campaign, slot=0, cap=1, used=1)
    Reservation.objects.create(campaign=campaign, device=ada, store=store, reserved_at=NOW, expires_at=NOW + MINUTE)
    ask(factories.device(), campaign)
    return ada.pk


def play(store: Store) -> uuid.UUID:
    ada = factories.device()
    ask(ada, factories.campaign(store, kind="instant_win"))
    return ada.pk


def redeem(store: Store) -> uuid.UUID:
    coupon = tills.coupon(factories.campaign(store))
    scan(coupon, tills.till(store))
    return coupon.row.device_id


def recall(store: Store) -> uuid.UUID:
    coupon = tills.coupon(factories.campaign(store)).row
    recall_coupons(coupons=Coupon.objects.all(), now=NOW)
    return coupon.device_id


def take_back(store: Store) -> uuid.UUID:
    coupon, till = tills.coupon(factories.campaign(store)), tills.till(store)
    void(till, scan(coupon, till))
    return coupon.row.device_id


def register(store: Store) -> uuid.UUID:
    consents = ConsentGiven(frozenset({"geo_match"}))
    return register_device(NewDevice("android", "", "fr", consents), now=NOW)[0].pk


PRODUCERS: Mapping[EventKind, Callable[[Store], uuid.UUID]] = {
    EventKind.VISIT_CONFIRMED: stay_long,
    EventKind.OFFER_UNLOCKED: unlock,
    EventKind.UNLOCK_REFUSED: be_refused,
    EventKind.RESERVATION_GAVE_WAY: give_way,
    EventKind.OFFER_PLAYED: play,
    EventKind.COUPON_ISSUED: unlock,
    EventKind.COUPON_REDEEMED: redeem,
    EventKind.COUPON_RECALLED: recall,
    EventKind.REDEMPTION_VOIDED: take_back,
    EventKind.CONSENT_CHANGED: register,
}


def test_every_kind_has_a_payload_and_a_producer() -> None:
    assert set(PRODUCERS) == set(PAYLOADS) == set(EventKind)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", EventKind)
def test_each_path_writes_one_event_of_its_device_that_can_be_read(kind: EventKind, store: Store) -> None:
    device_id = PRODUCERS[kind](store)

    [event] = read_events(after=0, kinds=[kind], limit=10).events
    assert (event.kind, event.device_id) == (kind, device_id)
    assert isinstance(event.payload, PAYLOADS[kind])
    assert event.occurred_at.tzinfo is not None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", EventKind)
def test_a_payload_holds_ids_and_codes_only(kind: EventKind, store: Store) -> None:
    PRODUCERS[kind](store)

    payload = Event.objects.get(kind=kind).payload
    assert len(json.dumps(payload)) < 200
    for name, value in payload.items():
        if name.endswith("_id"):
            uuid.UUID(value)
        else:
            assert isinstance(value, bool | int) or " " not in value, name


def test_an_unlock_that_confirms_the_visit_writes_all_three_with_their_places(ada: Device, store: Store) -> None:
    visit, campaign = enter(ada, store), factories.campaign(store)

    granted = ask(ada, campaign)

    rows = Event.objects.order_by("position").values_list("kind", "campaign_id", "store_id", "occurred_at")
    assert list(rows) == [
        ("offer.unlocked", campaign.pk, store.pk, NOW),
        ("visit.confirmed", None, store.pk, NOW),
        ("coupon.issued", campaign.pk, store.pk, NOW),
    ]
    assert Event.objects.get(kind="visit.confirmed").payload == {"visit_id": str(visit.pk), "confirmed_by": "unlock"}
    assert Event.objects.get(kind="offer.unlocked").payload == {"unlock_id": str(granted.pk), "level": granted.level}


@pytest.mark.parametrize("has_prize", [True, False])
def test_a_play_is_recorded_won_or_not(ada: Device, store: Store, has_prize: bool) -> None:
    campaign = factories.campaign(store, kind="instant_win")
    if has_prize:
        prize(campaign)

    ask(ada, campaign)

    assert Event.objects.get(kind="offer.played").payload["is_won"] is has_prize
    assert ("coupon.issued" in kinds()) is has_prize


def test_asking_again_writes_no_second_event(ada: Device, store: Store) -> None:
    campaign = factories.campaign(store)

    for _ in range(3):
        ask(ada, campaign)

    assert kinds() == ["offer.unlocked", "coupon.issued"]


def test_an_unlock_that_is_taken_back_leaves_no_event(ada: Device, store: Store, monkeypatch: Any) -> None:
    enter(ada, store)
    monkeypatch.setattr(unlocks, "take_turn", lambda **_: False)

    with pytest.raises(DomainError, match="sold_out"):
        ask(ada, factories.campaign(store))

    # Sold out here, so the answer names no other store but this one.
    assert kinds() == ["unlock.refused"]
    assert not Unlock.objects.exists()


def test_a_refusal_that_names_no_store_is_no_event(cy: Device, store: Store) -> None:
    with pytest.raises(DomainError, match="consent_required"):
        ask(cy, factories.campaign(store))

    assert Refusal.objects.count() == 1
    assert log() == []


def test_a_scan_repeated_writes_once_and_a_dry_run_nothing(store: Store) -> None:
    coupon, till = tills.coupon(factories.campaign(store)), tills.till(store)
    given = Scan(nonce=uuid.uuid4(), scanned_at=NOW, source=Redemption.Source.TYPED, code=coupon.code)

    for is_dry_run in (True, False, False):
        redeem_coupon(staff_device=till.row, scan=given, is_dry_run=is_dry_run, now=NOW)

    assert log() == [("coupon.redeemed", coupon.row.device_id)]


def test_a_redemption_refused_by_a_cap_leaves_no_event(store: Store) -> None:
    campaign = factories.campaign(store, redeem_cap=1)
    Budget.objects.create(campaign=campaign, scope=Budget.Scope.REDEEM, slot=0, cap=0)
    coupon, till = tills.coupon(campaign), tills.till(store)
    enter(Device.objects.get(pk=coupon.row.device_id), store)

    with pytest.raises(DomainError, match="redeem_cap_reached"):
        scan(coupon, till)

    assert log() == []
    assert not Visit.objects.exclude(confirmed_at=None).exists()


def test_a_coupon_redeemed_again_after_a_void_is_a_second_event(store: Store) -> None:
    coupon, till = tills.coupon(factories.campaign(store)), tills.till(store)
    void(till, scan(coupon, till))

    scan(coupon, till)

    assert kinds() == ["coupon.redeemed", "redemption.voided", "coupon.redeemed"]


def test_a_scan_that_confirms_the_visit_reports_it(store: Store) -> None:
    coupon, till = tills.coupon(factories.campaign(store)), tills.till(store)
    enter(Device.objects.get(pk=coupon.row.device_id), store)

    scan(coupon, till)

    assert sorted(kinds()) == ["coupon.redeemed", "visit.confirmed"]


def test_a_recall_reports_each_coupon_once(store: Store) -> None:
    campaign = factories.campaign(store)
    coupons = [tills.coupon(campaign).row for _ in range(3)]

    counts = [recall_coupons(coupons=Coupon.objects.all(), now=NOW + place * MINUTE) for place in range(2)]

    assert counts == [3, 0]
    assert set(log()) == {("coupon.recalled", coupon.device_id) for coupon in coupons}
    assert len(log()) == 3
    assert set(Coupon.objects.values_list("recalled_at", flat=True)) == {NOW}


def test_a_blocked_device_s_coupons_are_reported_as_recalled(ada: Device, store: Store) -> None:
    tills.coupon(factories.campaign(store), device=ada)
    tills.coupon(factories.campaign(store))

    block_device(ada.pk, now=NOW)

    assert log() == [("coupon.recalled", ada.pk)]


def test_only_what_changed_of_the_consents_is_reported(ada: Device) -> None:
    consents = ConsentGiven(frozenset({"geo_match", "messages"}))

    for _ in range(2):
        change_device(ada.pk, DeviceChange(consents=consents), now=NOW)

    payloads = Event.objects.values_list("payload", flat=True)
    assert sorted((payload["purpose"], payload["is_granted"]) for payload in payloads) == [
        ("fraud_checks", False),
        ("statistics", False),
    ]


def test_a_consent_given_twice_is_three_events(ada: Device) -> None:
    for place, purposes in enumerate([{"messages"}, set(), {"messages"}]):
        consents = ConsentGiven(frozenset(purposes))
        change_device(ada.pk, DeviceChange(consents=consents), now=NOW + place * MINUTE)

    messages = Event.objects.filter(payload__purpose="messages").order_by("position")
    assert [event.payload["is_granted"] for event in messages] == [False, True]


class TestBatches:
    def test_a_batch_delivered_again_writes_once(self, store: Store) -> None:
        walk = Walk(factories.device()).stay(minutes=5)

        for _ in range(2):
            pipeline.process(walk, now=NOW)

        assert kinds() == ["visit.confirmed"]

    def test_a_batch_rolled_back_leaves_nothing(self, store: Store) -> None:
        with transaction.atomic():
            pipeline.process(Walk(factories.device()).stay(minutes=5), now=NOW)
            transaction.set_rollback(True)

        assert log() == []

    def test_a_pass_by_is_no_event(self, store: Store) -> None:
        pipeline.process(Walk(factories.device()).stay(minutes=1), now=NOW)

        assert Visit.objects.count() == 1
        assert log() == []

    def test_a_visit_that_an_unlock_confirmed_keeps_its_one_event(self, ada: Device, store: Store) -> None:
        pipeline.process(Walk(ada, ends_at=NOW - 2 * MINUTE).stay(minutes=2), now=NOW)
        ask(ada, factories.campaign(store, max_speed_mps=15))
        before = list(Event.objects.filter(kind="visit.confirmed").values())
        assert Visit.objects.get().confirmed_by in {"", Visit.ConfirmedBy.UNLOCK}

        pipeline.process(Walk(ada, ends_at=NOW + 5 * MINUTE).stay(minutes=6), now=NOW + 5 * MINUTE)

        [event] = Event.objects.filter(kind="visit.confirmed").values()
        visit = Visit.objects.get()
        assert (event["occurred_at"], event["payload"]["confirmed_by"]) == (visit.confirmed_at, visit.confirmed_by)
        assert before in ([], [event])

    def test_a_visit_that_does_not_count_is_not_reported_by_its_id(self, ada: Device, store: Store) -> None:
        record_visits([enter(ada, store).pk, uuid.uuid4()])

        assert log() == []


class TestRaces:
    pytestmark = pytest.mark.django_db(transaction=True)

    def test_a_device_that_asks_at_once_has_one_event_of_each_kind(self, store: Store) -> None:
        campaign, ada = factories.campaign(store), factories.device()

        crowd(12, lambda _number: ask(ada, campaign))

        assert sorted(kinds()) == ["coupon.issued", "offer.unlocked"]

    def test_a_batch_that_waits_for_a_scan_keeps_the_event_of_the_scan(self, ada: Device, store: Store) -> None:
        pipeline.process(Walk(ada).stay(minutes=2), now=NOW)
        walk, later = Walk(ada, ends_at=NOW + 3 * MINUTE).stay(minutes=2), NOW + 3 * MINUTE

        def confirm() -> None:
            record_events(confirm_visits(device_id=ada.pk, store_id=store.pk, by=Visit.ConfirmedBy.SCAN, at=NOW))

        with open_transaction(confirm) as commit, ThreadPoolExecutor(1) as pool:
            batch = pool.submit(in_own_connection, lambda: pipeline.process(walk, now=later))
            wait_for_lock()
            commit()
            batch.result(timeout=60)

        [event] = Event.objects.filter(kind="visit.confirmed")
        assert (event.occurred_at, event.payload["confirmed_by"]) == (NOW, "scan")

    @pytest.mark.usefixtures("_without_trigger")
    @pytest.mark.parametrize("is_locked", [True, False])
    def test_an_erasure_waits_for_a_recall_and_deletes_its_event(
        self, ada: Device, store: Store, is_locked: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tills.coupon(factories.campaign(store), device=ada)
        if not is_locked:
            monkeypatch.setattr(erasure, "_lock_coupons", lambda _device_id: None)

        with (
            open_transaction(lambda: recall_coupons(coupons=Coupon.objects.all(), now=NOW)) as commit,
            ThreadPoolExecutor(1) as pool,
        ):
            erased = pool.submit(in_own_connection, lambda: forget_device(ada.pk, now=NOW))
            wait_for_lock()
            commit()
            erased.result(timeout=60)

        assert not Device.objects.exists()
        # Without the lock the events were deleted before the recall recorded its own.
        assert log() == ([] if is_locked else [("coupon.recalled", ada.pk)])

    def test_the_same_event_from_many_writers_is_one_row(self, store: Store) -> None:
        event = issued(factories.device().pk)

        crowd(12, lambda _number: record_events([event]))

        assert len(log()) == 1

    def test_without_the_derived_id_the_same_race_writes_many(self, store: Store) -> None:
        device_id, coupon_id = factories.device().pk, uuid.uuid4()

        crowd(12, lambda _number: record_events([issued(device_id, coupon_id, subject=uuid.uuid4())]))

        assert len(log()) == 12


class TestSeal:
    def test_an_event_cannot_be_changed(self, ada: Device) -> None:
        record_events([issued(ada.pk)])

        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            Event.objects.update(kind="coupon.redeemed")

    def test_an_event_cannot_be_deleted(self, ada: Device) -> None:
        record_events([issued(ada.pk)])

        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            Event.objects.all().delete()

    def test_an_erasure_deletes_the_events_of_the_device_in_all_months(self, ada: Device) -> None:
        bo = factories.device()
        for device in (ada, bo):
            record_events([issued(device.pk, at=NOW + months * timedelta(days=31)) for months in range(-3, 4)])

        for _ in range(2):
            forget_device(ada.pk, now=NOW)

        assert {device_id for _kind, device_id in log()} == {bo.pk}
        assert len(log()) == 7

    def test_an_erasure_by_the_release_before_deletes_the_events_too(self, ada: Device) -> None:
        bo = factories.device()
        record_events(
            [issued(device.pk, at=NOW + months * timedelta(days=31)) for device in (ada, bo) for months in (0, 2)]
        )

        # It knows the device and the rows with a key to it, but not the log.
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL doorstep.erasure = 'on'")
            ada.delete()
            cursor.execute("SET LOCAL doorstep.erasure = 'off'")

        assert [device_id for _kind, device_id in log()] == [bo.pk, bo.pk]

    def test_the_erasure_finds_the_rows_by_index_in_each_partition(self, ada: Device) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("EXPLAIN DELETE FROM promotions_event WHERE device_id = %s", [ada.pk])
            plan = "\n".join(line for (line,) in cursor.fetchall())

        assert "Seq Scan" not in plan
        assert "Index" in plan

    def test_the_export_shows_the_events(self, ada: Device, store: Store) -> None:
        campaign = factories.campaign(store)
        granted = ask(ada, campaign)

        events = export_device(ada, now=NOW)["promotions"]["events"]

        [unlocked] = [event for event in events if event["kind"] == "offer.unlocked"]
        assert (unlocked["campaign_id"], unlocked["store_id"]) == (campaign.uuid, store.uuid)
        assert unlocked["payload"]["unlock_id"] == str(granted.pk)


def issued(
    device_id: uuid.UUID, coupon_id: uuid.UUID | None = None, *, at: datetime = NOW, subject: object = None
) -> NewEvent:
    coupon_id = coupon_id or uuid.uuid4()
    return NewEvent(CouponIssued(coupon_id, "unlock"), subject or coupon_id, at, device_id=device_id)


@contextmanager
def open_transaction(write_rows: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Call this on another connection and leave its transaction open; yield what commits it."""
    is_written, may_commit, is_over = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        try:
            with transaction.atomic():
                write_rows()
                is_written.set()
                may_commit.wait(timeout=60)
        finally:
            connection.close()
            is_over.set()

    def commit() -> None:
        may_commit.set()
        assert is_over.wait(timeout=60)

    writer = threading.Thread(target=write)
    writer.start()
    assert is_written.wait(timeout=60)
    try:
        yield commit
    finally:
        may_commit.set()
        writer.join()


def in_own_connection(work: Callable[[], object]) -> object:
    try:
        return work()
    finally:
        connection.close()


def wait_for_lock() -> None:
    """Return once another connection of this database waits for a lock."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if count_lock_waits():
            return
        time.sleep(0.02)
    raise AssertionError("nothing waited for a lock")


class TestReading:
    pytestmark = pytest.mark.django_db(transaction=True)

    def test_pages_follow_each_other_and_end(self, ada: Device) -> None:
        events = [issued(ada.pk, at=NOW + months * timedelta(days=31)) for months in (2, 0, 1, 0, 2)]
        record_events(events)

        first = read_events(after=0, limit=3)
        second = read_events(after=first.cursor, limit=3)
        third = read_events(after=second.cursor, limit=3)

        assert [event.id for page in (first, second) for event in page.events] == [event.id for event in events]
        assert (third.events, third.cursor) == ([], second.cursor)

    def test_a_reader_does_not_read_what_its_own_transaction_writes(self, ada: Device) -> None:
        with transaction.atomic():
            record_events([issued(ada.pk)])
            assert read_events(after=0, limit=1).events == []

        assert len(read_events(after=0, limit=1).events) == 1

    def test_a_reader_of_one_kind_moves_past_the_others(self, ada: Device) -> None:
        record_events([issued(ada.pk) for _ in range(3)])

        page = read_events(after=0, kinds=[EventKind.COUPON_REDEEMED], limit=10)

        assert (page.events, page.cursor) == ([], find_horizon())
        assert read_events(after=page.cursor, limit=10).events == []

    def test_a_cursor_never_moves_back(self) -> None:
        ahead = find_horizon() + 1

        assert read_events(after=ahead, limit=1).cursor == ahead


class TestCommitOrder:
    pytestmark = pytest.mark.django_db(transaction=True)

    def test_a_cursor_at_the_highest_visible_position_loses_an_event(self, ada: Device) -> None:
        slow, fast = issued(ada.pk), issued(ada.pk)

        with open_transaction(lambda: record_events([slow])) as commit:
            record_events([fast])
            cursor = max(Event.objects.values_list("position", flat=True))
            commit()

        behind_it = Event.objects.filter(position__gt=cursor)
        assert set(Event.objects.values_list("id", flat=True)) == {slow.id, fast.id}
        assert not behind_it.exists()

    def test_the_horizon_loses_none(self, ada: Device) -> None:
        slow, fast = issued(ada.pk), issued(ada.pk)

        with open_transaction(lambda: record_events([slow])) as commit:
            record_events([fast])
            before = read_events(after=0, limit=10)
            commit()
        after = read_events(after=before.cursor, limit=10)

        assert before.events == []
        assert [event.id for event in after.events] == [slow.id, fast.id]

    def test_a_transaction_without_events_holds_up_no_reader(self, ada: Device) -> None:
        with open_transaction(factories.device):
            record_events([issued(ada.pk)])

            assert len(read_events(after=0, limit=10).events) == 1

    def test_a_transaction_that_rolls_back_holds_up_no_reader_afterwards(self, ada: Device) -> None:
        with transaction.atomic():
            record_events([issued(ada.pk)])
            transaction.set_rollback(True)
        record_events([issued(ada.pk)])

        assert len(read_events(after=0, limit=10).events) == 1

    def test_the_first_event_of_all_is_waited_for(self, ada: Device) -> None:
        with connection.cursor() as cursor:
            cursor.execute("ALTER SEQUENCE promotions_event_position_seq RESTART")

        with open_transaction(lambda: record_events([issued(ada.pk)])):
            assert find_horizon() == 0

        assert len(read_events(after=0, limit=10).events) == 1

    def test_while_many_write_a_reader_sees_each_event_once(self, ada: Device) -> None:
        written: list[uuid.UUID] = []
        seen: list[uuid.UUID] = []
        is_done = threading.Event()

        def read_all() -> None:
            cursor = 0
            while True:
                is_last = is_done.is_set()
                page = read_events(after=cursor, limit=7)
                seen.extend(event.id for event in page.events)
                cursor = page.cursor
                if is_last and not page.events:
                    break
            connection.close()

        def write(_number: int) -> None:
            for _ in range(10):
                events = [issued(ada.pk) for _ in range(3)]
                with transaction.atomic():
                    record_events(events[:1])
                    record_events(events[1:])
                written.extend(event.id for event in events)

        reader = threading.Thread(target=read_all)
        reader.start()
        crowd(8, write, threads=8)
        is_done.set()
        reader.join(timeout=120)

        assert sorted(seen) == sorted(written)
        assert len(seen) == 240


def test_an_id_depends_on_the_kind_and_the_subject_alone() -> None:
    subject = uuid.uuid4()

    assert name_event(EventKind.COUPON_ISSUED, subject) == name_event(EventKind.COUPON_ISSUED, str(subject))
    assert name_event(EventKind.COUPON_ISSUED, subject) != name_event(EventKind.COUPON_RECALLED, subject)
