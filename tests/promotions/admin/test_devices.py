"""An operator blocks a device that cheats."""

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from promotions.admin.devices import EVENTS_SHOWN
from promotions.logic.events import EventKind
from promotions.models import Coupon, Device
from tests import factories
from tests.conftest import DeviceClient
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def block(client: Client, device: Device) -> HttpResponse:
    return client.post(
        reverse("admin:promotions_device_changelist"),
        {"action": "block", "_selected_action": [str(device.pk)], "reason": "It forges positions."},
    )


def test_a_blocked_device_is_refused_from_then_on(ada: Device, ada_client: DeviceClient) -> None:
    assert ada_client.send("GET", "/v1/offers").status_code == 200

    block(rows.operator(), ada)

    ada.refresh_from_db()
    assert (ada.is_blocked, ada.tokens_not_before) == (True, NOW)
    assert_problem(ada_client.send("GET", "/v1/offers"), "token_revoked")


def test_only_the_coupons_of_a_blocked_device_are_recalled(ada: Device) -> None:
    campaign = factories.campaign(factories.store())
    hers, other = tills.coupon(campaign, device=ada), tills.coupon(campaign)

    block(rows.operator(), ada)

    assert [Coupon.objects.get(pk=each.row.pk).recalled_at for each in (hers, other)] == [NOW, None]


def test_the_operator_withdraws_single_coupons(ada: Device) -> None:
    campaign = factories.campaign(factories.store())
    chosen, other = tills.coupon(campaign), tills.coupon(campaign)
    address = reverse("admin:promotions_coupon_changelist")
    form = {"action": "recall", "_selected_action": [str(chosen.row.pk)], "reason": "Issued by mistake."}

    rows.brand_manager(campaign.brand).post(address, form)
    assert not Coupon.objects.exclude(recalled_at=None).exists()
    rows.operator().post(address, form)

    assert [Coupon.objects.get(pk=each.row.pk).recalled_at for each in (chosen, other)] == [NOW, None]


def test_all_coupons_there_are_cannot_be_withdrawn_by_one_click() -> None:
    coupon = tills.coupon(factories.campaign(factories.store()))
    form = {"action": "recall", "_selected_action": [str(coupon.row.pk)], "select_across": "1"}

    rows.operator().post(reverse("admin:promotions_coupon_changelist"), form)

    assert Coupon.objects.get().recalled_at is None


def test_a_stranger_cannot_block(ada: Device) -> None:
    block(Client(), ada)

    ada.refresh_from_db()
    assert not ada.is_blocked


def test_the_page_of_a_device_shows_its_segments(ada: Device) -> None:
    Device.objects.filter(pk=ada.pk).update(segments=["gold-card"])

    page = rows.operator().get(reverse("admin:promotions_device_change", args=[ada.pk])).content.decode()

    assert "gold-card" in page


class TestTimeline:
    def page(self, client: Client, device: Device) -> HttpResponse:
        return client.get(reverse("admin:promotions_device_change", args=[device.pk]))

    def test_the_page_of_a_device_shows_its_events_and_no_other_s(self, ada: Device) -> None:
        store = factories.store()
        campaign = factories.campaign(store)
        hers = rows.event(campaign, store, device_id=ada.pk)
        other = rows.event(campaign, store)

        page = self.page(rows.operator(), ada).content.decode()

        assert "coupon.issued" in page
        assert hers.payload["coupon_id"] in page
        assert store.format_time(NOW) in page
        assert other.payload["coupon_id"] not in page

    def test_a_link_leads_to_all_events_of_the_device(self, ada: Device) -> None:
        store = factories.store()
        campaign = factories.campaign(store)
        for device_id in (ada.pk, None):
            rows.event(campaign, store, device_id=device_id)
        client = rows.operator()
        address = reverse("admin:promotions_event_changelist", query={"q": str(ada.pk)})

        assert address in self.page(client, ada).content.decode()
        listed = client.get(address).context_data["cl"].result_list  # type: ignore[attr-defined]

        assert [event.device_id for event in listed] == [ada.pk]

    def test_only_the_latest_events_are_on_the_page(self, ada: Device) -> None:
        store = factories.store()
        campaign = factories.campaign(store)
        for _ in range(EVENTS_SHOWN + 2):
            rows.event(campaign, store, device_id=ada.pk)

        page = self.page(rows.operator(), ada).content.decode()

        assert page.count("coupon_id: ") == EVENTS_SHOWN

    @pytest.mark.parametrize("kind", EventKind)
    def test_the_events_of_one_kind_can_be_listed(self, kind: EventKind) -> None:
        store = factories.store()
        rows.event(factories.campaign(store), store)

        answer = rows.operator().get(reverse("admin:promotions_event_changelist", query={"kind": kind.value}))

        assert len(answer.context_data["cl"].result_list) == (kind is EventKind.COUPON_ISSUED)  # type: ignore[attr-defined]

    def test_no_role_sees_the_timeline(self, ada: Device) -> None:
        store = factories.store()
        campaign = factories.campaign(store)
        event = rows.event(campaign, store, device_id=ada.pk)
        address = reverse("admin:promotions_event_change", args=[event.pk])

        for client in (rows.brand_manager(campaign.brand), rows.partner_manager(store.partner)):
            assert client.get(address).status_code == 403
            assert self.page(client, ada).status_code == 403
