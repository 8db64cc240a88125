"""The audit as people read it: the history of a row, the page of all records, and its export."""

import csv
import io
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from promotions.database.acting import Actor, ActorKind, Deed, acting
from promotions.models import AuditRecord, Campaign, Coupon, StaffDevice
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

REASON = "The offer was misprinted."
LIST = "/admin/promotions/auditrecord/"
EXPORT = f"{LIST}export/"


def history(client: Client, row: Any) -> str:
    options = row._meta
    return client.get(
        reverse(f"admin:{options.app_label}_{options.model_name}_history", args=[row.pk])
    ).content.decode()


def press(client: Client, row: Any, button: str, **given: str) -> Any:
    address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{button}", args=[row.pk])
    return client.post(address, {"_form_submitted": "on", **given})


def export(client: Client, **query: str) -> list[list[str]]:
    answer = client.get(EXPORT, query)
    assert answer.status_code == 200
    text = b"".join(answer.streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    return list(csv.reader(io.StringIO(text)))


def user_of(client: Client) -> User:
    return User.objects.get(pk=client.session["_auth_user_id"])


def test_the_history_of_a_campaign_shows_who_ended_it_and_why() -> None:
    campaign = factories.campaign(name="Free coffee")
    client = rows.brand_manager(campaign.brand)

    press(client, campaign, "end", reason=REASON)

    page = history(client, campaign)
    assert user_of(client).username in page
    assert "<del>live</del> → <ins>ended</ins>" in page
    assert REASON in page
    assert "End" in page


def test_the_history_shows_no_sealed_value() -> None:
    campaign = factories.campaign(salt="5a17" * 8, seed=b"\x5e\xed" * 16)

    page = history(rows.operator(), campaign)

    assert "Salt" in page
    assert "5a17" not in page
    assert "5eed" not in page


def test_a_recall_is_counted_in_the_history_of_its_campaign() -> None:
    campaign = factories.campaign()
    tills.coupon(campaign)
    tills.coupon(campaign)

    press(rows.brand_manager(campaign.brand), campaign, "recall", reason=REASON)

    record = AuditRecord.objects.get(operation="action", subject="promotions.campaign")
    assert (record.changes, record.reason) == ({"coupons_recalled": [None, 2]}, REASON)
    assert (record.action, record.brand_id) == ("admin promotions.campaign recall", campaign.brand_id)


@pytest.mark.parametrize("reason", ["", "   ", "too short", "x" * 241])
@pytest.mark.parametrize("button", ["end", "recall"])
def test_without_a_reason_nothing_happens(button: str, reason: str) -> None:
    campaign = factories.campaign()
    tills.coupon(campaign)

    answer = press(rows.brand_manager(campaign.brand), campaign, button, reason=reason)

    assert answer.status_code == 200
    assert "Reason" in answer.content.decode()
    assert Campaign.objects.get().state == "live"
    assert not Coupon.objects.exclude(recalled_at=None).exists()


def test_a_void_needs_its_details() -> None:
    redemption = rows.redemption(factories.campaign(), factories.store())

    answer = press(rows.operator(), redemption, "take_back", reason="returned", note="")

    redemption.refresh_from_db()
    assert (answer.status_code, redemption.is_live) == (200, True)


def test_an_action_on_selected_rows_asks_first_and_names_them() -> None:
    store = factories.store()
    client, device = rows.partner_manager(store.partner), rows.staff_device(store, label="Till by the window")
    form = {"action": "revoke", "_selected_action": [device.pk]}
    address = reverse("admin:promotions_staffdevice_changelist")

    asked = client.post(address, form).content.decode()
    short = client.post(address, {**form, "reason": "lost"}).content.decode()
    assert "Till by the window" in asked
    assert "It was lost or stolen." in asked
    assert "at least 10 characters" in short
    assert StaffDevice.objects.get().revoked_at is None
    client.post(address, {**form, "reason": "It was lost or stolen."})

    record = AuditRecord.objects.get(subject="promotions.staffdevice", operation="update")
    assert (record.reason, record.action) == ("It was lost or stolen.", "admin promotions.staffdevice revoke")
    assert record.partner_id == store.partner_id
    assert "Switch off" in history(client, device)


def test_people_of_a_brand_or_partner_see_the_changes_of_their_own_rows_alone() -> None:
    mine, other = factories.campaign(name="Mine"), factories.campaign(name="Other")
    store = mine.stores.get()
    clients = rows.brand_manager(mine.brand), rows.partner_manager(store.partner)

    seen = [client.get(LIST).context_data["cl"].result_list for client in clients]  # type: ignore[attr-defined]

    assert seen[0]
    assert {record.brand_id for record in seen[0]} == {mine.brand_id}
    assert seen[1]
    assert {record.partner_id for record in seen[1]} == {store.partner_id}
    text = str(export(clients[0]))
    assert "Mine" in text
    assert "Other" not in text
    foreign = AuditRecord.objects.filter(brand_id=other.brand_id).first()
    assert clients[0].get(f"{LIST}{foreign.pk}/change/").status_code == 302  # type: ignore[union-attr]
    assert clients[0].get(EXPORT, {"brand__id__exact": str(other.brand_id)}).status_code == 200
    assert len(export(clients[0], brand__id__exact=str(other.brand_id))) == 1


def test_an_analyst_and_a_stranger_do_not_see_the_audit() -> None:
    assert rows.brand_analyst(factories.brand()).get(LIST).status_code == 403
    assert rows.brand_analyst(factories.brand()).get(EXPORT).status_code == 403
    assert Client().get(EXPORT).status_code == 302


def test_a_partner_that_shares_a_brand_s_campaign_does_not_see_its_history() -> None:
    campaign = factories.campaign()
    partner = campaign.stores.get().partner

    assert "No change is recorded" in history(rows.partner_manager(partner), campaign)


def test_the_operator_finds_records_by_user_kind_and_row() -> None:
    campaign, client = factories.campaign(name="Free coffee"), rows.operator()
    press(client, campaign, "pause")

    def found(**query: str) -> set[str]:
        answer = client.get(LIST, query)
        assert answer.status_code == 200
        return {record.action for record in answer.context_data["cl"].result_list}  # type: ignore[attr-defined]

    pause = "admin promotions.campaign pause"
    assert pause in found(q=user_of(client).username)
    assert found(kind_of_actor="user") == {pause}
    assert found(kind_of_row="promotions.campaign", operation__exact="update") == {pause}
    assert found(q="nothing of this name") == set()
    deed = AuditRecord.objects.get(action=pause).deed_id
    assert found(q=str(deed)) == {pause}


def test_a_deleted_account_leaves_a_pseudonym() -> None:
    campaign, client = factories.campaign(), rows.operator()
    press(client, campaign, "pause")
    user = user_of(client)
    name, number = user.username, user.pk
    before = list(AuditRecord.objects.order_by("pk").values())

    user.delete()

    page = history(rows.operator(), campaign)
    assert f"deleted, no. {number}" in page
    assert name not in page
    assert list(AuditRecord.objects.filter(pk__lte=before[-1]["id"]).order_by("pk").values()) == before
    assert not [record for record in AuditRecord.objects.all() if name in str(vars(record))]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1"])
def test_no_cell_of_the_export_is_a_formula(name: str) -> None:
    factories.brand(name=name)

    lines = export(rows.operator(), q=name.strip())

    assert f"'{name}" in {cell for line in lines for cell in line}
    assert not [cell for line in lines for cell in line if cell.lstrip().startswith(("=", "+", "-", "@"))]


def test_the_export_reads_page_by_page_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promotions.admin.audit_export.PAGE_ROWS", 2)
    for number in range(5):
        factories.brand(name=f"Brand {number}")

    lines = export(rows.operator(), kind_of_row="promotions.brand")

    assert [line[5] for line in lines[1:]] == [f"Brand {number}" for number in range(4, -1, -1)]


def test_every_kind_of_actor_is_named() -> None:
    store = factories.store()
    till = tills.till(store, label="Till by the door")
    brand = factories.brand()
    for kind, key in [("till", till.row.pk), ("command", "root"), ("task", "promotions.tasks.x"), ("user", "12345")]:
        with acting(Deed("x", lambda kind=kind, key=key: Actor(ActorKind(kind), str(key)))):  # type: ignore[misc]
            brand.name = f"Brand of {kind}"
            brand.save()

    page = history(rows.operator(), brand)

    for text in ("Till by the door", "root", "promotions.tasks.x", "deleted, no. 12345"):
        assert text in page


def test_long_and_foreign_values_are_shown_in_words() -> None:
    campaign = factories.campaign()
    store = factories.store(name="Bastille")
    campaign.stores.add(store)
    Campaign.objects.filter(pk=campaign.pk).update(terms="t" * 5_000, is_flash=True, created_at=NOW)

    page = history(rows.operator(), campaign)

    assert "Bastille" in page
    assert "<del>no</del> → <ins>yes</ins>" in page
    assert "t" * 300 not in page


def test_the_page_of_one_record_leads_to_the_others_of_its_request() -> None:
    campaign, client = factories.campaign(), rows.operator()
    press(client, campaign, "pause")
    record = AuditRecord.objects.get(action="admin promotions.campaign pause")

    page = client.get(f"{LIST}{record.pk}/change/").content.decode()

    assert str(record.deed_id) in page
    assert record.request_id
    assert record.request_id in page
