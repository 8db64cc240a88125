"""Refused a kilometre away, twelve phones keep their turn, walk to the store, unlock, and are counted as arrivals."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client

from geofence.services.snapshots import forget_snapshot
from promotions import pipeline
from promotions.models import Budget, Campaign, Reservation, Unlock
from promotions.services.accounts.brand_tokens import create_brand_token
from promotions.services.campaigns.states import open_campaign
from tests import factories
from tests.conftest import DeviceClient
from tests.factories import NOW
from tests.fixes import Walk, join
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door, request_unlock

pytestmark = pytest.mark.django_db

PHONES = 12
ARRIVED_AT = NOW + timedelta(minutes=25)


def read_report(campaign: Campaign) -> dict[str, Any]:
    token = create_brand_token(brand=campaign.brand, label="reports", now=NOW)
    answer = Client(headers={"Authorization": f"Bearer {token}"}).get(f"/v1/campaigns/{campaign.uuid}/report")
    reported: dict[str, Any] = answer.json()
    return reported


def test_refused_phones_that_keep_their_turn_come_and_are_counted(set_clock: Callable[[datetime], None]) -> None:
    set_clock(NOW)
    store = factories.store()
    forget_snapshot()
    campaign = factories.campaign(store, state="draft", unlock_cap=5 * PHONES, is_flash=True, opened_at=None)
    open_campaign(campaign_id=campaign.pk, now=NOW)
    clients = [DeviceClient(factories.device()) for _ in range(PHONES)]
    path = f"/v1/offers/{campaign.uuid}/reservation"

    refused = [request_unlock(client, campaign, latitude=FAR_LATITUDE_DEG).status_code for client in clients]
    kept = [client.send("POST", path, {}).status_code for client in clients]
    late = DeviceClient(factories.device()).send("POST", path, {"fix": fix_at_door()}).json()["code"]
    with transaction.atomic():
        walks = [Walk(client.device, ends_at=ARRIVED_AT).stay(minutes=4) for client in clients]
        pipeline.process(join(*walks), now=ARRIVED_AT)
    set_clock(ARRIVED_AT)
    unlocked = [request_unlock(client, campaign, fix_time=ARRIVED_AT.isoformat()).status_code for client in clients]
    set_clock(NOW + timedelta(days=2))
    report = read_report(campaign)

    assert (set(refused), set(kept), late, set(unlocked)) == ({403}, {201}, "reservations_full", {201})
    assert (Unlock.objects.count(), Reservation.objects.count()) == (PHONES, 0)
    assert sum(Budget.objects.values_list("used", flat=True)) == PHONES
    arrivals = {each["within_minutes"]: (each["refused"], each["arrived"]) for each in report["arrivals_after_refusal"]}
    assert arrivals == {30: (PHONES, PHONES), 120: (PHONES, PHONES), 1_440: (PHONES, PHONES)}
    assert report["arrivals_after_refusal"][0]["share"]["low"] > 0.7
    assert report["unlocks"] == PHONES
