"""Coupons and staff devices for tests of the till, with their secrets in hand."""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.test import Client

from geofence.models import Store
from promotions import clock
from promotions.logic import codes
from promotions.models import Campaign, Coupon, StaffDevice, Unlock
from promotions.services.till.staff_devices import create_enrolment, create_kiosk_enrolment, enrol_device
from promotions.services.unlocks.coupon_tokens import render_token
from promotions.services.unlocks.coupons import NewCoupon, issue_coupon, read_code
from promotions.services.waits import lock_device
from tests import factories
from tests.factories import NOW


@dataclass(frozen=True, slots=True)
class Printed:
    """A coupon and what its owner's phone shows."""

    row: Coupon
    code: str
    token: str


def coupon(campaign: Campaign, **given: Any) -> Printed:
    """A coupon issued an hour before `NOW`, taken for a day in the campaign's stores."""
    stores = list(campaign.stores.all())
    unlock = Unlock.objects.create(
        campaign=campaign,
        device=given.pop("device", None) or factories.device(),
        store=stores[0],
        outcome="coupon",
        level=1,
        granted_at=NOW - timedelta(hours=1),
    )
    pepper, coupon_id = settings.CODE_SECRET.encode(), uuid.uuid4()
    generation = codes.choose_generation(pepper, coupon_id)
    code = codes.derive_code(pepper, coupon_id, generation)
    values: dict[str, Any] = {
        "unlock": unlock,
        "device_id": unlock.device_id,
        "campaign": campaign,
        "generation": generation,
        "code_digest": codes.digest(pepper, code),
        "benefit": campaign.benefit,
        "store_ids": [store.pk for store in stores],
        "valid_from": NOW - timedelta(hours=1),
        "valid_until": NOW + timedelta(hours=23),
        **given,
    }
    row = Coupon.objects.create(id=coupon_id, **values)
    return Printed(row, code, token_of(row))


def issued(campaign: Campaign, *, source: Coupon.Source = Coupon.Source.GOODWILL, **given: Any) -> Printed:
    """A coupon without an unlock, issued at `NOW` as a mechanic does it."""
    device = given.pop("device", None) or factories.device()
    values: dict[str, Any] = {
        "campaign": campaign,
        "store_ids": [store.pk for store in campaign.stores.all()],
        "zone": ZoneInfo("Europe/Paris"),
        "benefit": campaign.benefit,
        "units": campaign.units,
        **given,
    }
    with transaction.atomic():
        lock_device(device.pk)
        row = issue_coupon(NewCoupon(device_id=device.pk, source=source, **values), now=NOW)
    return Printed(row, read_code(row), token_of(row))


def offline_coupon(campaign: Campaign, **given: Any) -> Printed:
    """A coupon on the campaign's terms that a till may redeem offline."""
    return coupon(campaign, **{"allows_offline": True, "value": campaign.value, **given})


def token_of(coupon: Coupon, now: datetime = NOW) -> str:
    """The text of the QR at `now`."""
    return render_token(coupon=coupon, now=now).text


@dataclass(frozen=True, slots=True)
class Till:
    """An enrolled staff device with its access token."""

    row: StaffDevice
    access_token: str

    def get(self, path: str, **query: Any) -> Any:
        """Answer of a GET below `/v1/staff/`."""
        return Client().get(f"/v1/staff/{path}", query_params=query, headers=self._headers)

    def post(self, path: str, body: Any) -> Any:
        """Answer of a POST below `/v1/staff/`."""
        return Client().post(f"/v1/staff/{path}", body, content_type="application/json", headers=self._headers)

    def scan(self, **given: Any) -> Any:
        """The answer to one scan with a new nonce."""
        body = {"nonce": str(uuid.uuid4()), "scanned_at": clock.now().isoformat(), **given}
        return self.post("redemptions", body)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


def till(store: Store, *, label: str = "till 1", is_manager: bool = False) -> Till:
    """A staff device enrolled at `NOW`."""
    token = create_enrolment(store=store, label=label, is_manager=is_manager, user=None, now=NOW)
    row, access_token = enrol_device(token=token, now=NOW)
    return Till(row, access_token)


def kiosk(store: Store) -> Till:
    """A kiosk enrolled at `NOW`."""
    token = create_kiosk_enrolment(store=store, label="counter", user=None, now=NOW)
    row, access_token = enrol_device(token=token, now=NOW)
    return Till(row, access_token)


def unknown_code() -> str:
    """A well-formed code that belongs to no coupon."""
    payload = "".join(secrets.choice(codes.ALPHABET) for _ in range(codes.PAYLOAD_LENGTH))
    return codes.add_check_character(payload)


def problem_of(response: Any) -> tuple[int, str]:
    """Status and code of a problem document."""
    assert response.headers["Content-Type"] == "application/problem+json", response.content
    return response.status_code, response.json()["code"]
