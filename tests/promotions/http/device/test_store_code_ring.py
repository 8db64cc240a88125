"""A passed-on store code: the code alone unlocks nothing, and one step used by many devices raises an alarm."""

import logging
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from geofence.models import Store
from geofence.services.snapshots import forget_snapshot
from promotions.models import Campaign, Device, Refusal, StoreCodeUse, Unlock
from promotions.services.presence.assurance import GivenFix
from promotions.services.presence.store_codes import render_store_codes
from promotions.services.unlocks.evaluation import UnlockAttempt, UnlockRefused
from promotions.services.unlocks.unlocks import unlock_offer
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.patience import SLACK_S
from tests.promotions.http.device.doors import FAR_LATITUDE_DEG, fix_at_door


def code_of(store: Store) -> str:
    return render_store_codes(store=store, now=NOW, count=1)[0].proof


def request_unlock(device: Device, campaign: Campaign, proof: str, **fix: Any) -> Any:
    body = {"fix": fix_at_door(**fix), "proof": proof}
    return DeviceClient(device).send("POST", f"/v1/offers/{campaign.uuid}/unlock", body)


@pytest.mark.django_db
def test_thirty_phones_elsewhere_with_the_live_code_unlock_nothing(now: Any) -> None:
    store = factories.store()
    campaign = factories.campaign(store, unlock_level=4)

    answers = [
        request_unlock(factories.device(), campaign, code_of(store), latitude=FAR_LATITUDE_DEG) for _ in range(30)
    ]

    for answer in answers:
        assert_problem(answer, "not_at_store")
    assert not Unlock.objects.exists()
    assert not StoreCodeUse.objects.exists()
    assert Refusal.objects.filter(reason="not_at_store").count() == 30


@pytest.mark.django_db
def test_a_ring_that_also_forges_its_place_raises_the_alarm(
    now: Any, caplog: pytest.LogCaptureFixture, django_capture_on_commit_callbacks: Any
) -> None:
    store = factories.store()
    campaign = factories.campaign(store, unlock_level=4)

    with caplog.at_level(logging.WARNING), django_capture_on_commit_callbacks(execute=True):
        # Places of their own: one place for all would be seen before.
        answers = [
            request_unlock(factories.device(), campaign, code_of(store), latitude=LATITUDE_DEG + number / 100_000)
            for number in range(12)
        ]

    assert [answer.status_code for answer in answers] == [201] * 12
    reported = [vars(record)["devices"] for record in caplog.records if record.message == "store_code_crowded"]
    # Counted at the end here, since the test's transaction is one.
    assert reported
    assert set(reported) == {12}


@pytest.mark.django_db(transaction=True)
def test_one_step_shown_for_eight_campaigns_at_once_opens_one() -> None:
    store, device = factories.store(), factories.device()
    campaigns = [factories.campaign(store, unlock_level=4) for _ in range(8)]
    fix, proof, gate = GivenFix(LATITUDE_DEG, LONGITUDE_DEG, 12.0, NOW), code_of(store), threading.Barrier(8)
    forget_snapshot()

    def work(campaign: Campaign) -> str:
        try:
            connection.ensure_connection()
            gate.wait(timeout=SLACK_S)
            unlock_offer(device=device, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix, proof), now=NOW)
        except UnlockRefused as refused:
            return str(refused.fields["missing"][0]["code"])
        finally:
            connection.close()
        return "granted"

    with ThreadPoolExecutor(8) as pool:
        outcomes = Counter(pool.map(work, campaigns))

    assert outcomes == {"granted": 1, "store_code_used": 7}
    assert (Unlock.objects.count(), StoreCodeUse.objects.count()) == (1, 1)
    assert Unlock.objects.get().level == 4
