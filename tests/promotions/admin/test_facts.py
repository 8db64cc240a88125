"""Facts are looked at and never edited; positions and secrets are not shown."""

import pytest
from django.contrib import admin
from django.db.models import Model
from django.urls import reverse

from geofence.models import FenceSet, GeofenceRevision, LastFix, Presence, Visit
from notifications.models import Attempt, Message, PushAddress
from promotions.admin.base import FactAdmin
from promotions.mechanics.instant_win.models import WinningMoment
from promotions.models import (
    AuditRecord,
    Consent,
    Coupon,
    DeadLetter,
    DeletedRows,
    Device,
    IdempotencyRecord,
    OfflineScan,
    Opportunity,
    PointSighting,
    Redemption,
    Refusal,
    ShardCursor,
    Unlock,
    Void,
)
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows
from tests.promotions.http.staff import tills

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

FACTS: list[type[Model]] = [
    Attempt,
    AuditRecord,
    Consent,
    Coupon,
    DeadLetter,
    DeletedRows,
    Device,
    GeofenceRevision,
    IdempotencyRecord,
    LastFix,
    Message,
    Opportunity,
    PointSighting,
    Presence,
    PushAddress,
    Redemption,
    Refusal,
    ShardCursor,
    Unlock,
    Visit,
    Void,
    WinningMoment,
]


def address(model: type[Model], verb: str, *args: object) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{verb}", args=args)


@pytest.mark.parametrize("model", FACTS, ids=lambda model: model.__name__)
def test_not_even_the_operator_can_add_change_or_delete_a_fact(model: type[Model]) -> None:
    row, client = rows.make(model), rows.operator()

    assert client.get(address(model, "add")).status_code == 403
    assert client.post(address(model, "change", row.pk), {}).status_code == 403
    assert client.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert model._default_manager.filter(pk=row.pk).exists()


def test_the_fence_set_is_read_only() -> None:
    assert rows.operator().post(address(FenceSet, "change", 1), {}).status_code == 403


def test_a_person_s_cell_is_not_shown() -> None:
    row, client = rows.make(LastFix), rows.operator()

    page = client.get(address(LastFix, "change", row.pk)).content.decode()

    assert "48.86" not in page
    assert "48.86" not in client.get(address(LastFix, "changelist")).content.decode()


def test_the_bytes_of_a_dead_letter_are_not_shown() -> None:
    row = rows.make(DeadLetter)

    assert "c2VjcmV0" not in rows.operator().get(address(DeadLetter, "change", row.pk)).content.decode()


def test_a_push_address_is_not_shown() -> None:
    row = rows.make(PushAddress)
    assert isinstance(row, PushAddress)

    assert row.address not in rows.operator().get(address(PushAddress, "change", row.pk)).content.decode()


def test_a_coupon_page_shows_neither_code_nor_digest() -> None:
    row = rows.make(Coupon)
    assert isinstance(row, Coupon)

    page = rows.operator().get(address(Coupon, "change", row.pk)).content.decode()

    assert "code_digest" not in page
    assert bytes(row.code_digest).hex() not in page


def test_a_coupon_without_an_unlock_has_its_source_and_times_in_utc() -> None:
    coupon = tills.issued(factories.campaign()).row
    client = rows.operator()

    page = client.get(address(Coupon, "change", coupon.pk)).content.decode()
    found = client.get(address(Coupon, "changelist"), {"q": str(coupon.device_id), "source__exact": "goodwill"})

    assert "goodwill" in page
    assert str(coupon.device_id) in page
    assert "2026-09-22 10:30:00 UTC" in page
    assert str(coupon.pk) in found.content.decode()


def test_times_are_shown_in_the_store_s_time_zone() -> None:
    row = rows.make(Redemption)

    page = rows.operator().get(address(Redemption, "change", row.pk)).content.decode()

    assert "2026-09-22 12:30:00 Europe/Paris" in page


def test_a_winning_moment_to_come_stays_sealed() -> None:
    row = rows.make(WinningMoment)
    WinningMoment.objects.filter(pk=row.pk).update(opens_at=NOW.replace(year=2027))

    assert rows.operator().get(address(WinningMoment, "change", row.pk)).status_code == 302


@pytest.mark.parametrize("model", [Visit, Opportunity, Coupon, Message], ids=lambda model: model.__name__)
def test_a_uuid_finds_its_row(model: type[Model]) -> None:
    row, _ = rows.make(model), rows.make(model)

    answer = rows.operator().get(address(model, "changelist"), {"q": str(row.pk)})

    assert [found.pk for found in answer.context_data["cl"].result_list] == [row.pk]  # type: ignore[attr-defined]


SEARCHED = [model for model, page in admin.site._registry.items() if isinstance(page, FactAdmin)]


@pytest.mark.parametrize("words", ["no such'; -- \N{SNOWMAN}", "2dd273b1-4c80-4819-aca0-c871bf977acf"])
def test_any_words_can_be_searched_for(words: str) -> None:
    client = rows.operator()

    answers = {model: client.get(address(model, "changelist"), {"q": words}).status_code for model in SEARCHED}

    assert set(answers.values()) == {200}, answers


def test_words_find_by_text() -> None:
    row = rows.make(Refusal)

    answer = rows.operator().get(address(Refusal, "changelist"), {"q": "not_at"})

    assert [found.pk for found in answer.context_data["cl"].result_list] == [row.pk]  # type: ignore[attr-defined]


def test_a_title_shows_the_store_s_time_and_the_outcome_in_words() -> None:
    store = factories.store(timezone="Europe/Paris")
    campaign, client = factories.campaign(store), rows.operator()
    redemption = rows.redemption(campaign, store)
    scan = rows.offline_scan(campaign, store, outcome="out_of_policy", scanned_at=NOW)
    here = store.format_time(NOW)

    assert here.endswith("Europe/Paris")
    assert f"Redemption at {here}" in client.get(address(Redemption, "change", redemption.pk)).content.decode()
    assert f"Out of policy at {here}" in client.get(address(OfflineScan, "change", scan.pk)).content.decode()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_an_instant_without_a_store_is_marked_as_utc(language: str) -> None:
    sent = rows.message()

    page = rows.operator().get(address(Message, "change", sent.pk), headers={"Accept-Language": language})

    assert f"{NOW:%Y-%m-%d %H:%M} UTC" in page.content.decode()
