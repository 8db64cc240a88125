"""The store's staff in admin: PINs that are shown once, and redemptions that a manager takes back."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.test import Client
from django.urls import reverse

from geofence.models import Store
from promotions.models import Redemption, StaffDevice, StaffMember, Void
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = pytest.mark.django_db

ADD = reverse("admin:promotions_staffmember_add")


@pytest.fixture
def store(now: Any) -> Store:
    return factories.store()


@pytest.fixture
def client(store: Store) -> Client:
    return rows.partner_manager(store.partner)


def page_of(row: StaffMember | Redemption) -> str:
    return reverse(f"admin:promotions_{row._meta.model_name}_change", args=[row.pk])


def faults_of(answer: Any) -> dict[str, list[str]]:
    return dict(answer.context_data["adminform"].form.errors)


def test_a_new_member_gets_a_pin_that_is_shown_once(client: Client, store: Store) -> None:
    answer = client.post(ADD, {"store": store.pk, "initials": " lm"})

    member = StaffMember.objects.get()
    shown = re.search(r'value="([0-9]{6})"', answer.content.decode())
    assert shown is not None
    assert (member.initials, member.store, check_password(shown[1], member.pin_hash)) == ("LM", store, True)
    assert shown[1] not in client.get(page_of(member)).content.decode()
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_typed_pin_is_kept_and_not_shown(client: Client, store: Store) -> None:
    answer = client.post(ADD, {"store": store.pk, "initials": "LM", "pin": "274918"})

    assert answer.status_code == 302
    assert check_password("274918", StaffMember.objects.get().pin_hash)


@pytest.mark.parametrize("pin", ["12345", "1234567", "12345a", "١٢٣٤٥٦"])
def test_a_pin_has_six_digits(client: Client, store: Store, pin: str) -> None:
    answer = client.post(ADD, {"store": store.pk, "initials": "LM", "pin": pin})

    assert set(faults_of(answer)) == {"pin"}
    assert not StaffMember.objects.exists()


@pytest.mark.parametrize("initials", ["L M", "<b>", "--", ""])
def test_initials_are_letters_and_digits(client: Client, store: Store, initials: str) -> None:
    answer = client.post(ADD, {"store": store.pk, "initials": initials})

    assert set(faults_of(answer)) == {"initials"}


def test_initials_are_one_person_s_in_a_store(client: Client, store: Store) -> None:
    rows.staff_member(store, initials="LM")
    other = rows.staff_member(store, initials="AB")

    added = client.post(ADD, {"store": store.pk, "initials": "lm"})
    changed = client.post(page_of(other), {"initials": "lm", "is_active": "on"})

    assert set(faults_of(added)) == set(faults_of(changed)) == {"initials"}
    assert StaffMember.objects.count() == 2


def test_a_foreign_store_gets_no_member(client: Client) -> None:
    answer = client.post(ADD, {"store": factories.store().pk, "initials": "LM"})

    assert set(faults_of(answer)) == {"store"}


def test_a_new_pin_opens_a_locked_member_and_ends_its_sessions(client: Client, store: Store) -> None:
    member = rows.staff_member(store, initials="LM", failed_tries=5)
    device = rows.staff_device(store, staff_member=member, signed_in_at=NOW)

    answer = client.post(page_of(member), {"initials": "LM", "is_active": "on", "generates_pin": "on"})

    member.refresh_from_db()
    shown = re.search(r'value="([0-9]{6})"', answer.content.decode())
    assert shown is not None
    assert check_password(shown[1], member.pin_hash)
    assert member.failed_tries == 0
    assert StaffDevice.objects.get(pk=device.pk).staff_member is None


def test_a_change_without_a_pin_leaves_the_old_one(client: Client, store: Store) -> None:
    member = rows.staff_member(store, initials="LM", pin_hash="kept")

    client.post(page_of(member), {"initials": "LM", "is_manager": "on", "is_active": "on"})

    member.refresh_from_db()
    assert (member.pin_hash, member.is_manager, member.store) == ("kept", True, store)


def test_a_manager_deletes_no_member(client: Client, store: Store) -> None:
    member = rows.staff_member(store)

    answer = client.post(reverse("admin:promotions_staffmember_delete", args=[member.pk]), {"post": "yes"})

    assert answer.status_code == 403
    assert StaffMember.objects.exists()


# Taking back


def take_back(client: Client, redemption: Redemption, **given: str) -> Any:
    button = reverse("admin:promotions_redemption_take_back", args=[redemption.pk])
    return client.post(button, {"_form_submitted": "True", "reason": "returned", "note": "with receipt", **given})


@pytest.fixture
def redemption(store: Store) -> Redemption:
    return rows.redemption(factories.campaign(store), store)


def test_a_manager_takes_a_redemption_back_with_a_reason(client: Client, redemption: Redemption) -> None:
    answer = take_back(client, redemption)

    assert (answer.status_code, answer.url) == (302, page_of(redemption))
    void = Void.objects.get()
    assert (void.redemption, void.reason, void.note, void.staff_device) == (
        redemption, "returned", "with receipt", None,
    )  # fmt: skip
    assert void.user is not None
    redemption.refresh_from_db()
    assert not redemption.is_live
    assert "take_back" not in client.get(page_of(redemption)).content.decode()


def test_taking_back_wants_a_reason(client: Client, redemption: Redemption) -> None:
    answer = take_back(client, redemption, reason="because")

    assert answer.status_code == 200
    assert not Void.objects.exists()


def test_a_stranger_takes_nothing_back(redemption: Redemption) -> None:
    stranger = rows.partner_manager(factories.partner())

    answer = take_back(stranger, redemption)

    assert answer.status_code == 403
    assert not Void.objects.exists()


def test_a_brand_takes_nothing_back(redemption: Redemption) -> None:
    assert take_back(rows.brand_manager(redemption.coupon.campaign.brand), redemption).status_code == 403


@pytest.mark.parametrize(("who", "count"), [("manager", 0), ("operator", 1)])
def test_after_seven_days_only_the_operator_can(
    client: Client, redemption: Redemption, set_clock: Callable[[datetime], None], who: str, count: int
) -> None:
    set_clock(NOW + timedelta(days=7, seconds=1))

    take_back(client if who == "manager" else rows.operator(), redemption)

    assert Void.objects.count() == count
