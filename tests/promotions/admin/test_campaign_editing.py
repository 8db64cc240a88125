"""The campaign page in front of the editing service: conflicts, faults in both languages, log entries."""

import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from geofence.models import Store
from promotions.admin import campaigns as campaign_page
from promotions.errors import Fault, InvalidInput
from promotions.models import Brand, Campaign
from promotions.services.campaigns.editing import edit_campaign
from promotions.services.campaigns.states import open_campaign
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.admin.test_campaigns import ADD, fields, inline, lunch, page, save

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


@pytest.fixture
def store() -> Store:
    return factories.store()


@pytest.fixture
def brand() -> Brand:
    return factories.brand()


@pytest.fixture
def client(brand: Brand) -> Client:
    return rows.brand_manager(brand)


@pytest.fixture
def draft(brand: Brand, store: Store) -> Campaign:
    return factories.campaign(store, brand=brand, state="draft", opened_at=None)


def errors(answer: Any) -> dict[str, list[str]]:
    assert answer.status_code == 200
    return dict(answer.context_data["adminform"].form.errors)


def test_the_page_carries_the_version_that_it_shows(client: Client, draft: Campaign) -> None:
    Campaign.objects.update(version=7)

    content = client.get(page(draft)).content.decode()

    assert '<input type="hidden" name="seen_version" value="7" id="id_seen_version">' in content


@pytest.mark.parametrize("seen", [1, ""])
def test_an_outdated_page_saves_nothing_and_shows_why(client: Client, draft: Campaign, seen: Any) -> None:
    edit_campaign(campaign_id=draft.pk, changes={"terms": "by a colleague"}, now=NOW)

    answer = save(client, draft, name="Renamed", seen_version=seen)

    draft.refresh_from_db()
    assert errors(answer) == {
        "__all__": ["This campaign was changed after you opened it. Open it again and repeat your change."]
    }
    assert "Open it again and repeat your change." in answer.content.decode()
    assert (draft.name, draft.terms) == ("Free coffee", "by a colleague")


def test_a_page_opened_before_the_opening_changes_nothing_after_it(client: Client, draft: Campaign) -> None:
    open_campaign(campaign_id=draft.pk, now=NOW)

    answer = save(client, draft, holdout_percent=40, seen_version=1)

    draft.refresh_from_db()
    assert "__all__" in errors(answer)
    assert draft.holdout_percent == 0


def test_a_brand_requires_segments_and_removes_them(client: Client, draft: Campaign) -> None:
    assert save(client, draft, segments="gold-card, staff").status_code == 302

    draft.refresh_from_db()
    assert draft.segments == ["gold-card", "staff"]
    assert 'value="gold-card,staff"' in client.get(page(draft)).content.decode()

    assert save(client, draft, segments="", seen_version=draft.version).status_code == 302

    draft.refresh_from_db()
    assert draft.segments == []


def test_a_fault_of_a_segment_is_shown_at_the_field(client: Client, draft: Campaign) -> None:
    answer = save(client, draft, segments="gold-card, Gold Card")

    assert list(errors(answer)) == ["segments"]
    assert "Gold Card" in errors(answer)["segments"][0]
    draft.refresh_from_db()
    assert draft.segments == []


def test_faults_are_shown_in_the_reader_s_language(client: Client, brand: Brand, store: Store) -> None:
    bad = fields(brand, store, ends_on="2026-09-01", message_title="{shop}", notify_level=0, is_flash="on")

    answer = client.post(reverse(ADD), bad, headers={"Accept-Language": "fr"})

    assert errors(answer) == {
        "ends_on": ["Le dernier jour précède le premier. Saisissez une date ultérieure."],
        "message_title": ["{shop} n’est pas un champ connu. Utilisez {store}, {brand}, {offer}, {until}."],
        "unlock_cap": ["« Many phones at once » exige un plafond. Saisissez-en un."],
    }


def test_what_keeps_a_campaign_from_opening_is_shown_in_the_reader_s_language(
    client: Client, draft: Campaign, store: Store
) -> None:
    edit_campaign(campaign_id=draft.pk, changes={"kind": "instant_win"}, now=NOW)
    store.geofences.all().delete()

    answer = client.post(
        f"{page(draft)[: -len('change/')]}open_now/", {"_form_submitted": "on"}, headers={"Accept-Language": "fr"}
    )

    assert {str(message) for message in get_messages(answer.wsgi_request)} == {
        "République n’a pas de zone, donc aucun téléphone ne peut y être vu. Dessinez-en une.",
        "Un instant gagnant a besoin d’au moins un lot. Ajoutez-en un.",
    }


def test_faults_of_fields_and_of_rules_are_shown_together(client: Client, brand: Brand, store: Store) -> None:
    bad = fields(brand, store, name="", starts_on="someday", ends_on="2026-09-01", unlock_cap=0)

    assert set(errors(client.post(reverse(ADD), bad))) == {"name", "starts_on", "unlock_cap"}


def test_a_change_is_logged_with_its_fields_and_hours(client: Client, draft: Campaign) -> None:
    factories.lunch_window(draft)
    kept = {**lunch(0), "id": draft.windows.get().pk, "campaign": draft.pk, "DELETE": "on"}

    save(client, draft, name="Renamed", **{**inline("windows", kept, lunch(5)), "windows-INITIAL_FORMS": 1})

    entry = LogEntry.objects.get()
    changes = json.loads(entry.change_message)
    assert "Name" in changes[0]["changed"]["fields"]
    assert [next(iter(change)) for change in changes] == ["changed", "added", "deleted"]
    assert [(window.weekdays, draft.windows.count()) for window in draft.windows.all()] == [(0b100000, 1)]


def test_a_new_campaign_is_logged(client: Client, brand: Brand, store: Store) -> None:
    client.post(reverse(ADD), fields(brand, store, **inline("windows", lunch(1))))

    entry = LogEntry.objects.get()
    assert (entry.is_addition(), entry.object_id) == (True, str(Campaign.objects.get().pk))


def test_hours_that_are_not_touched_stay_the_same_rows(client: Client, draft: Campaign) -> None:
    window = factories.lunch_window(draft)
    line = {**lunch(*range(7)), "id": window.pk, "campaign": draft.pk}

    answer = save(client, draft, **{**inline("windows", line), "windows-INITIAL_FORMS": 1})

    assert answer.status_code == 302
    assert draft.windows.get() == window


def test_a_page_that_the_service_rejects_is_shown_again(
    client: Client, draft: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reject(**given: Any) -> None:
        raise InvalidInput([Fault("/offer_title", "x", "Not this one."), Fault("/prize_lots/0", "y", "Nor this.")])

    monkeypatch.setattr(campaign_page, "edit_campaign", reject)

    answer = save(client, draft, name="Renamed")

    assert errors(answer) == {"offer_title": ["Not this one."], "__all__": ["Nor this."]}


@pytest.mark.parametrize("is_bulk", [False, True])
def test_a_campaign_opened_in_the_meantime_is_not_deleted(
    client: Client, draft: Campaign, monkeypatch: pytest.MonkeyPatch, is_bulk: bool
) -> None:
    open_campaign(campaign_id=draft.pk, now=NOW)
    # The permission was checked before the opening.
    monkeypatch.setattr(campaign_page.CampaignAdmin, "has_delete_permission", lambda *given: True)

    if is_bulk:
        chosen = {"action": "delete_selected", "_selected_action": [draft.pk], "post": "yes"}
        answer = client.post(reverse("admin:promotions_campaign_changelist"), chosen)
    else:
        answer = client.post(reverse("admin:promotions_campaign_delete", args=[draft.pk]), {"post": "yes"}, follow=True)

    assert answer.status_code == (403 if is_bulk else 200)
    assert is_bulk or "Only a draft can be deleted." in answer.content.decode()
    assert Campaign.objects.filter(pk=draft.pk).exists()


@pytest.mark.parametrize("act", ["edit", "delete", "delete several"])
def test_a_draft_that_another_request_deletes_first_is_no_server_error(
    client: Client, draft: Campaign, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    def after_another(service: Any) -> Any:
        def run(**given: Any) -> Any:
            Campaign.objects.filter(pk=given["campaign_id"]).delete()
            return service(**given)

        return run

    for name in ("edit_campaign", "delete_draft"):
        monkeypatch.setattr(campaign_page, name, after_another(getattr(campaign_page, name)))

    if act == "edit":
        answer = save(client, draft, name="Renamed")
    elif act == "delete":
        answer = client.post(reverse("admin:promotions_campaign_delete", args=[draft.pk]), {"post": "yes"})
    else:
        chosen = {"action": "delete_selected", "_selected_action": [draft.pk], "post": "yes"}
        answer = client.post(reverse("admin:promotions_campaign_changelist"), chosen)

    assert answer.status_code == 302
    is_explained = any("doesn’t exist" in str(message) for message in get_messages(answer.wsgi_request))
    assert is_explained == (act != "delete several")
