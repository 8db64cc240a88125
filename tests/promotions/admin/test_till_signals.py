"""The page "Till signals": six ways to cheat among ten thousand honest scans, each seen by its partner alone."""

import uuid
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from geofence.models import Store, Visit
from promotions.logic.till_signals import Signal
from promotions.models import Coupon, Redemption, Refusal, StaffDevice, StaffMember, Unlock, Void
from promotions.services.till.signals import Line, Period, list_signals
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

PAGE = reverse("admin:promotions_redemption_signals")
HOURS = {day: [["09:00", "20:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
DAYS = 14
TILLS, SCANS_PER_TILL = 20, 500
SEVEN_IN_THE_MORNING = NOW.replace(hour=7, minute=0)


class City:
    """Four stores of one partner, five tills each, and coupons of phones that are, or are not, seen in the store."""

    def __init__(self, seed: int = 7) -> None:
        self.rng = Random(seed)
        self.partner = factories.partner()
        self.stores = [factories.store(partner=self.partner, opening_hours=HOURS, name=f"Store {n}") for n in range(4)]
        self.campaign = factories.campaign(*self.stores)
        self.tills = [rows.staff_device(self.stores[n % 4], label=f"Till {n}") for n in range(TILLS)]
        self.seen = {store.pk: [self._coupon(store, is_seen=True) for _ in range(5)] for store in self.stores}
        self.unseen = {store.pk: [self._coupon(store, is_seen=False) for _ in range(5)] for store in self.stores}
        self.unit = 0

    def _coupon(self, store: Store, *, is_seen: bool) -> Coupon:
        coupon = rows.coupon(self.campaign, store)
        coupon.unlock.granted_at = NOW - timedelta(days=300)
        coupon.unlock.save(update_fields=["granted_at"])
        if is_seen:
            Visit.objects.create(
                id=uuid.uuid4(), device_id=coupon.device_id, geofence=store.geofences.get(), store=store,
                geofence_version=1, entered_at=NOW - timedelta(days=30), last_inside_at=NOW,
            )  # fmt: skip
        return coupon

    def scan(self, till: StaffDevice, **odds: float) -> Redemption:
        """One scan on some day, honest but for the odds given."""
        usual = {"absent": 0.3, "typed": 0.2, "vouched": 0.03, "closed": 0.002, **odds}
        happens = {name: self.rng.random() < chance for name, chance in usual.items()}
        at = SEVEN_IN_THE_MORNING - timedelta(days=self.rng.randrange(1, DAYS), seconds=-self.rng.randrange(39_600))
        if happens["closed"]:
            at = at.replace(hour=20, minute=self.rng.randrange(60))
        self.unit += 1
        return Redemption(
            coupon=self.rng.choice((self.unseen if happens["absent"] else self.seen)[till.store_id]),
            # One for each row: only the member who redeemed it differs.
            unit=self.unit,
            staff_device=till,
            store_id=till.store_id,
            nonce=uuid.uuid4(),
            fingerprint=b"f",
            source="typed" if happens["typed"] else "camera",
            scanned_at=at,
            redeemed_at=at,
            is_vouched=happens["vouched"],
        )

    def work(self, till: StaffDevice, scans: int, *, voided: float = 0.02, guesses: int = 0, **odds: float) -> None:
        """A till's fortnight."""
        done = Redemption.objects.bulk_create([self.scan(till, **odds) for _ in range(scans)])
        Void.objects.bulk_create(
            Void(redemption=row, staff_device=till, reason="mistake", voided_at=row.redeemed_at + timedelta(minutes=3))
            for row in done
            if self.rng.random() < voided
        )
        Refusal.objects.bulk_create(
            Refusal(stage="redeem", reason="code_unknown", store_id=till.store_id, staff_device=till, refused_at=NOW)
            for _ in range(guesses)
        )

    def lines(self) -> list[Line]:
        """What the page is made of."""
        return list_signals(stores=self.stores, period=Period(NOW - timedelta(days=28), NOW + timedelta(seconds=1)))


ABUSES: list[tuple[Signal, dict[str, Any]]] = [
    # Takes coupons, hands nothing out, takes them back and keeps the codes.
    (Signal.VOIDED, {"voided": 0.25}),
    # Works off a pile of codes when the doors are shut.
    (Signal.CLOSED, {"closed": 0.15}),
    # Takes coupons of phones that are somewhere else.
    (Signal.ABSENT, {"absent": 0.95}),
    # Types from a list.
    (Signal.TYPED, {"typed": 0.95}),
    # Answers for friends.
    (Signal.VOUCHED, {"vouched": 0.5}),
    # Tries codes out.
    (Signal.GUESSED, {"guesses": 90}),
]


def test_six_ways_to_cheat_surface_among_ten_thousand_honest_scans() -> None:
    city = City()
    for till in city.tills:
        city.work(till, SCANS_PER_TILL, guesses=city.rng.randrange(6))
    cheats: dict[str, Signal] = {}
    for number, (signal, how) in enumerate(ABUSES):
        cheat = rows.staff_device(city.stores[number % 4], label=f"cheat {signal}")
        city.work(cheat, 100, **how)
        cheats[cheat.label] = signal

    lines = city.lines()

    assert Redemption.objects.count() == TILLS * SCANS_PER_TILL + 600
    marked = {line.label: {mark.signal for mark in line.marks} for line in lines if line.marks}
    assert marked == {label: {signal} for label, signal in cheats.items()}
    assert [line.label for line in lines[: len(cheats)]] == sorted(cheats, key=lambda label: _place(city, label))


def _place(city: City, label: str) -> tuple[str, str]:
    return StaffDevice.objects.values_list("store__name", "label").get(label=label)


@pytest.mark.parametrize(
    ("make", "is_seen", "absent"),
    [(tills.coupon, False, 0), (tills.issued, False, 1), (tills.issued, True, 0)],
    ids=["unlocked in the store", "without an unlock or a visit", "without an unlock, with a visit"],
)
def test_an_unlock_counts_as_presence_only_where_there_is_one(make: Any, is_seen: bool, absent: int) -> None:
    store = factories.store()
    coupon, till = make(factories.campaign(store)).row, rows.staff_device(store)
    # At the till ten minutes after the unlock.
    Unlock.objects.update(granted_at=NOW - timedelta(minutes=10))
    if is_seen:
        Visit.objects.create(
            id=uuid.uuid4(), device_id=coupon.device_id, geofence=store.geofences.get(), store=store,
            geofence_version=1, entered_at=NOW - timedelta(minutes=5), last_inside_at=NOW,
        )  # fmt: skip
    Redemption.objects.create(
        coupon=coupon, staff_device=till, store=store, nonce=uuid.uuid4(), fingerprint=b"f", source="camera",
        scanned_at=NOW, redeemed_at=NOW,
    )  # fmt: skip

    [line] = list_signals(stores=[store], period=Period(NOW - timedelta(days=1), NOW + timedelta(seconds=1)))

    assert (line.figures.redemptions, line.figures.absent) == (1, absent)


def test_a_member_stands_out_at_whichever_till(now: datetime) -> None:
    city = City()
    store = city.stores[0]
    members = [rows.staff_member(store, initials=name) for name in ("AB", "CD", "EF", "ZZ")]
    for member in members:
        for till in [till for till in city.tills if till.store_id == store.pk]:
            scans = [city.scan(till, typed=0.9 if member.initials == "ZZ" else 0.2) for _ in range(20)]
            for scan in scans:
                scan.staff_member = member
            Redemption.objects.bulk_create(scans)

    marked = [(line.label, line.is_member) for line in city.lines() if line.marks]

    assert marked == [("ZZ", True)]


def test_the_page_shows_a_partner_its_own_stores_only() -> None:
    city, stranger = City(), factories.store(name="Stranger's")
    city.work(city.tills[0], 30)
    rows.redemption(factories.campaign(stranger), stranger)

    page = rows.partner_manager(city.partner).get(PAGE).content.decode()
    foreign = rows.partner_manager(factories.partner()).get(PAGE).content.decode()

    assert "Till 0" in page
    assert "Stranger" not in page
    assert "No redemptions in this period" in foreign


def test_brands_and_passers_by_do_not_see_it() -> None:
    brand = factories.brand()

    answers = [rows.brand_manager(brand).get(PAGE), rows.brand_analyst(brand).get(PAGE), Client().get(PAGE)]

    assert [answer.status_code for answer in answers] == [403, 403, 302]


def test_the_page_marks_figures_and_explains_why() -> None:
    city = City()
    for till in city.tills[:12]:
        city.work(till, 60)
    city.work(rows.staff_device(city.stores[0], label="cheat"), 60, voided=0.6)

    page = " ".join(rows.operator().get(PAGE, {"days": "28"}).content.decode().split())

    assert "1 row has a marked figure." in page
    assert "usual here:" in page
    assert page.count('class="is-marked"') == 1


@pytest.mark.parametrize("days", ["", "28", "7", "365", "-1", "x", "٧"])
def test_any_period_in_the_address_is_answered(days: str) -> None:
    answer = rows.operator().get(PAGE, {"days": days})

    assert answer.status_code == 200
    assert answer.context["days"] == (7 if days == "7" else 28)


def test_many_tills_cost_as_many_queries_as_few() -> None:
    city, client = City(), rows.operator()
    city.work(city.tills[0], 5)
    client.get(PAGE)

    few = _count_queries(client)
    for till in city.tills:
        city.work(till, 5, guesses=1)
    StaffMember.objects.bulk_create(StaffMember(store=city.stores[0], initials=f"{n:04}") for n in range(5))

    assert _count_queries(client) == few


def _count_queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(PAGE).status_code == 200
    return len(captured)


# 20:20 in Paris lies in the half hour after closing, 20:40 does not. By UTC, winter's clock is an hour later.
AROUND_CLOSING = [
    (datetime(2026, month, 13, hour, minute, tzinfo=UTC), closed)
    for month, hour in ((7, 18), (1, 19))
    for minute, closed in ((20, 0), (40, 1))
]


@pytest.mark.parametrize(("at", "closed"), AROUND_CLOSING)
def test_closing_time_is_the_stores_own(at: datetime, closed: int) -> None:
    store = factories.store(opening_hours=HOURS)
    row = rows.redemption(factories.campaign(store), store)
    Redemption.objects.filter(pk=row.pk).update(redeemed_at=at)

    (line,) = list_signals(stores=[store], period=Period(at - timedelta(days=1), at + timedelta(days=1)))

    assert line.figures.closed == closed


@pytest.mark.parametrize("spoilt", [{"timezone": "Mars/Olympus"}, {"opening_hours": {"mon": "always"}}])
def test_invalid_hours_mark_no_one(spoilt: dict[str, Any]) -> None:
    store = factories.store(opening_hours=HOURS)
    row = rows.redemption(factories.campaign(store), store)
    Redemption.objects.filter(pk=row.pk).update(redeemed_at=NOW.replace(hour=2))
    Store.objects.filter(pk=store.pk).update(**spoilt)
    store.refresh_from_db()

    (line,) = list_signals(stores=[store], period=Period(NOW - timedelta(days=1), NOW))

    assert (line.figures.redemptions, line.figures.closed) == (1, 0)
