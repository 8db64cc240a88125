"""Enrolling and switching off tills, and the tokens of brands: secrets are shown once and never stored."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from geofence.models import Store
from promotions.models import BrandToken, StaffDevice, StaffEnrolment
from promotions.services.accounts.brand_tokens import recognise_brand
from promotions.services.till.staff_devices import enrol_device
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = pytest.mark.django_db

ENROL = "admin:promotions_staffenrolment_add"


@pytest.fixture
def store(now: Any) -> Store:
    return factories.store()


@pytest.fixture
def client(store: Store) -> Client:
    return rows.partner_manager(store.partner)


def secret_of(page: str, before: str) -> str:
    start = page.index(before) + len(before)
    return page[start : page.index('"', start)]


def test_the_qr_enrols_a_device_of_the_chosen_store(client: Client, store: Store, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://shop.example/"

    answer = client.post(reverse(ENROL), {"store": store.pk, "label": "Till 1", "profile": "till", "is_manager": "on"})

    page = answer.content.decode()
    assert (answer.status_code, answer["Referrer-Policy"]) == (200, "no-referrer")
    assert "no-store" in answer["Cache-Control"]
    assert "<svg" in page
    token = secret_of(page, 'value="https://shop.example/staff/#enrol=')
    device, _ = enrol_device(token=token, now=NOW)
    assert (device.store, device.label, device.is_manager) == (store, "Till 1", True)


def test_the_qr_of_a_kiosk_leads_to_its_page_and_never_makes_a_manager(client: Client, store: Store) -> None:
    answer = client.post(
        reverse(ENROL), {"store": store.pk, "label": "Counter", "profile": "kiosk", "is_manager": "on"}
    )

    token = secret_of(answer.content.decode(), 'value="http://testserver/kiosk/#enrol=')
    device, _ = enrol_device(token=token, now=NOW)
    assert (device.store, device.profile, device.is_manager) == (store, "kiosk", False)


def test_without_a_public_address_the_request_s_own_is_used(client: Client, store: Store) -> None:
    page = client.post(reverse(ENROL), {"store": store.pk, "label": "Till", "profile": "till"}).content.decode()

    assert 'value="http://testserver/staff/#enrol=' in page


def test_the_token_lives_ten_minutes_and_is_not_shown_again(client: Client, store: Store) -> None:
    page = client.post(reverse(ENROL), {"store": store.pk, "label": "Till", "profile": "till"}).content.decode()

    token = secret_of(page, "/staff/#enrol=")
    enrolment = StaffEnrolment.objects.get()
    later = client.get(reverse("admin:promotions_staffenrolment_change", args=[enrolment.pk])).content.decode()
    assert enrolment.expires_at == NOW + timedelta(minutes=10)
    assert enrolment.created_by is not None
    assert token not in later
    assert "2026-09-22 12:40:00 Europe/Paris" in later


def test_a_foreign_store_gets_no_device(client: Client) -> None:
    client.post(reverse(ENROL), {"store": factories.store().pk, "label": "Till", "profile": "till"})

    assert not StaffEnrolment.objects.exists()


def test_a_brand_cannot_enrol_a_device(store: Store) -> None:
    brand = rows.brand_manager(factories.brand())

    assert brand.get(reverse(ENROL)).status_code == 403
    assert brand.get(f"/admin/geofence/store/{store.pk}/enrol_staff_device/").status_code == 403


def test_the_store_s_page_leads_to_an_enrolment_in_it(client: Client, store: Store) -> None:
    answer = client.get(f"/admin/geofence/store/{store.pk}/enrol_staff_device/")

    assert (answer.status_code, answer.url) == (302, f"{reverse(ENROL)}?store={store.pk}")  # type: ignore[attr-defined]
    assert store.name in client.get(answer.url).content.decode()  # type: ignore[attr-defined]


def test_the_store_s_page_leads_nowhere_for_a_foreign_store(client: Client) -> None:
    foreign = factories.store()

    assert client.get(f"/admin/geofence/store/{foreign.pk}/enrol_staff_device/").status_code == 403
    assert client.get("/admin/geofence/store/x/enrol_staff_device/").status_code == 403


def test_the_list_of_tills_leads_to_an_enrolment(client: Client) -> None:
    assert client.get("/admin/promotions/staffdevice/enrol/").url == reverse(ENROL)  # type: ignore[attr-defined]


def test_a_till_is_switched_off_once(client: Client, store: Store) -> None:
    earlier = NOW - timedelta(days=1)
    lost, old = rows.staff_device(store), rows.staff_device(store, revoked_at=earlier)

    client.post(
        reverse("admin:promotions_staffdevice_changelist"),
        {"action": "revoke", "_selected_action": [lost.pk, old.pk], "reason": "It was stolen."},
    )

    revoked = dict(StaffDevice.objects.values_list("pk", "revoked_at"))
    assert revoked == {lost.pk: NOW, old.pk: earlier}


def test_a_till_is_not_added_by_hand(client: Client) -> None:
    assert client.get(reverse("admin:promotions_staffdevice_add")).status_code == 403


def test_a_brand_s_token_is_shown_once_and_opens_its_reports(now: Any) -> None:
    brand = factories.brand()
    client = rows.brand_manager(brand)

    page = client.post(reverse("admin:promotions_brandtoken_add"), {"brand": brand.pk, "label": "BI"}).content.decode()

    token = secret_of(page, 'type="text" readonly value="')
    row = BrandToken.objects.get()
    assert recognise_brand(token=token, now=NOW) == brand
    assert token not in client.get(reverse("admin:promotions_brandtoken_change", args=[row.pk])).content.decode()


def test_a_brand_s_token_is_revoked_and_keeps_its_row(now: Any) -> None:
    brand = factories.brand()
    row = BrandToken.objects.create(brand=brand, label="BI", token_digest=b"x" * 32, created_at=NOW)

    rows.brand_manager(brand).post(
        reverse("admin:promotions_brandtoken_changelist"),
        {"action": "revoke", "_selected_action": [row.pk], "reason": "It may have leaked."},
    )

    row.refresh_from_db()
    assert row.revoked_at == NOW


def test_a_token_is_not_made_for_a_foreign_brand(now: Any) -> None:
    client = rows.brand_manager(factories.brand())

    client.post(reverse("admin:promotions_brandtoken_add"), {"brand": factories.brand().pk, "label": "BI"})

    assert not BrandToken.objects.exists()


@pytest.mark.parametrize(
    ("ahead_ms", "reported"), [(None, "unknown"), (400, "correct"), (90_000, "90 s ahead"), (-90_000, "90 s behind")]
)
def test_a_tills_clock_and_what_it_took_along_are_shown(
    client: Client, store: Store, ahead_ms: int | None, reported: str
) -> None:
    device = rows.staff_device(store, clock_ahead_ms=ahead_ms, synced_at=NOW if ahead_ms is not None else None)

    page = client.get(reverse("admin:promotions_staffdevice_change", args=[device.pk])).content.decode()

    assert reported in page
    assert page.count("2026-09-22 12:30:00") == (1 if ahead_ms is None else 2)
