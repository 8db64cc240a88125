"""The segments of devices, from the service to each reader: messages, unlocks, reservations, offers, tokens, export."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from geofence.models import Store
from geofence.services.snapshots import current_snapshot
from notifications.models import Message
from promotions import pipeline
from promotions.errors import InvalidInput
from promotions.models import Campaign, Device, Refusal, Reservation, Unlock
from promotions.services.campaigns.editing import edit_campaign
from promotions.services.devices.segments import set_segments
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.fixes import Walk, join
from tests.promotions.http.device.doors import fix_at_door, request_unlock

pytestmark = pytest.mark.django_db


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    """A campaign for two segments."""
    made = factories.campaign(store)
    return edit_campaign(campaign_id=made.pk, changes={"segments": ["gold", "staff"]}, now=NOW)


def test_segments_replace_those_before() -> None:
    one, other, gone = factories.device(), factories.device(segments=["old"]), uuid4()

    found = set_segments({one.pk: ["staff", "gold"], other.pk: [], gone: ["gold"]})

    assert found == {one.pk, other.pk}
    assert [Device.objects.get(pk=each.pk).segments for each in (one, other)] == [["gold", "staff"], []]


def test_a_fault_changes_no_device() -> None:
    one, other = factories.device(), factories.device()

    with pytest.raises(InvalidInput) as refused:
        set_segments({one.pk: ["gold"], other.pk: ["Gold", "a,b"]})

    assert [fault.pointer for fault in refused.value.faults] == [f"/{other.pk}/segments/{index}" for index in (0, 1)]
    assert Device.objects.get(pk=one.pk).segments == []


def test_faults_of_a_campaigns_segments_are_found_with_the_others(campaign: Campaign) -> None:
    with pytest.raises(InvalidInput) as refused:
        edit_campaign(campaign_id=campaign.pk, changes={"segments": ["Gold"], "unlock_cap": 0}, now=NOW)

    assert {fault.pointer for fault in refused.value.faults} == {"/segments/0", "/unlock_cap"}


def test_only_members_get_the_message(campaign: Campaign) -> None:
    member, other, outsider = (factories.reachable_device() for _ in range(3))
    set_segments({member.pk: ["staff"], other.pk: ["silver"]})
    walks = join(*(Walk(device).stay(minutes=1) for device in (member, other, outsider)))

    processed = pipeline.run_verbs(walks, current_snapshot(), now=NOW)

    assert list(Message.objects.values_list("device_id", flat=True)) == [member.pk]
    refused = {decision.device_id for decision in processed.decisions if decision.reason == "not_in_segment"}
    assert refused == {other.pk, outsider.pk}


def test_a_segment_costs_the_pipeline_no_query(store: Store, campaign: Campaign) -> None:
    def count(segments: list[str]) -> int:
        device = factories.reachable_device()
        edit_campaign(campaign_id=campaign.pk, changes={"segments": segments}, now=NOW)
        set_segments({device.pk: segments})
        with CaptureQueriesContext(connection) as queries:
            assert pipeline.process(Walk(device).stay(minutes=1), now=NOW) == 1
        return len(queries)

    first = count([])

    assert count(["gold"]) == count([]) <= first


def test_only_a_member_unlocks_and_a_refusal_has_a_reason(
    ada: Device, ada_client: DeviceClient, campaign: Campaign
) -> None:
    refused = request_unlock(ada_client, campaign)
    set_segments({ada.pk: ["gold"]})
    granted = request_unlock(ada_client, campaign)
    set_segments({ada.pk: []})
    again = request_unlock(ada_client, campaign)

    assert_problem(refused, "not_in_segment")
    assert Refusal.objects.get().reason == "not_in_segment"
    assert (granted.status_code, again.status_code) == (201, 200)
    assert Unlock.objects.get().device_id == ada.pk


def test_a_member_is_asked_for_the_segment_before_the_hours(ada_client: DeviceClient, campaign: Campaign) -> None:
    Campaign.objects.update(starts_on=NOW.date() + timedelta(days=1))

    assert_problem(request_unlock(ada_client, campaign), "not_in_segment")


def test_only_a_member_keeps_a_turn(ada: Device, ada_client: DeviceClient, campaign: Campaign) -> None:
    path = f"/v1/offers/{campaign.uuid}/reservation"

    assert_problem(ada_client.send("POST", path, {"fix": fix_at_door()}), "not_in_segment")
    assert not Reservation.objects.exists()
    set_segments({ada.pk: ["gold"]})
    assert ada_client.send("POST", path, {"fix": fix_at_door()}).status_code == 201


def test_only_members_and_those_who_have_it_see_the_offer(
    ada: Device, ada_client: DeviceClient, campaign: Campaign
) -> None:
    def seen() -> list[str]:
        return [offer["state"] for offer in ada_client.get("/v1/offers").json()["offers"]]

    assert seen() == []
    set_segments({ada.pk: ["gold"]})
    assert seen() == ["locked"]
    request_unlock(ada_client, campaign)
    set_segments({ada.pk: []})
    assert seen() == ["unlocked"]


def test_the_export_lists_a_devices_segments(ada: Device, ada_client: DeviceClient) -> None:
    set_segments({ada.pk: ["gold"]})

    assert ada_client.get("/v1/devices/me/export").json()["device"]["segments"] == ["gold"]


def test_an_app_cannot_give_itself_a_segment(ada: Device, ada_client: DeviceClient) -> None:
    response = ada_client.send("PATCH", "/v1/devices/me", {"segments": ["gold"]})

    assert assert_problem(response, "invalid_input")["errors"][0]["code"] == "unknown_field"
    assert Device.objects.get(pk=ada.pk).segments == []
