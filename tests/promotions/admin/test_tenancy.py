"""Who sees and changes what: the matrix of roles and rows, with rows of a stranger beside one's own."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from geofence.models import FenceSet, Geofence, GeofenceRevision, LastFix, Partner, Presence, Store, Visit
from notifications.models import Attempt, Message, PushAddress
from promotions.checks import list_own_models
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.models import (
    AdminSession,
    AuditRecord,
    Brand,
    BrandToken,
    Budget,
    Campaign,
    Consent,
    Coupon,
    DeadLetter,
    DeletedRows,
    Device,
    Event,
    IdempotencyRecord,
    JobRecord,
    Membership,
    OfflineScan,
    Opportunity,
    PointSighting,
    RecoveryCode,
    Redemption,
    Refusal,
    Reservation,
    RevocationNotice,
    SecondFactor,
    SecurityEvent,
    ShardCursor,
    SignInCounter,
    SpentPresenceToken,
    StaffDevice,
    StaffEnrolment,
    StaffMember,
    StoreCodeUse,
    TimeWindow,
    Unlock,
    Void,
    WithdrawnCoupon,
)
from tests import factories
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

# Rows about single devices and internal state, for the operator only.
OPERATORS_ALONE: list[type[Model]] = [
    AdminSession,
    Attempt,
    Budget,
    Consent,
    Coupon,
    DeadLetter,
    DeletedRows,
    Device,
    Event,
    IdempotencyRecord,
    JobRecord,
    LastFix,
    Membership,
    Message,
    Opportunity,
    PointSighting,
    Presence,
    PushAddress,
    RecoveryCode,
    Refusal,
    Reservation,
    RevocationNotice,
    SecondFactor,
    SecurityEvent,
    ShardCursor,
    SignInCounter,
    SpentPresenceToken,
    StoreCodeUse,
    Unlock,
    Visit,
    WinningMoment,
    WithdrawnCoupon,
]
# The models that each role sees, and whether it may change its own rows.
BRAND_MANAGERS = {Brand: False, BrandToken: True, Campaign: True, TimeWindow: False, PrizeLot: False}
BRAND_ANALYSTS = {Brand: False, Campaign: False, TimeWindow: False, PrizeLot: False}
PARTNER_MANAGERS = {
    Partner: False,
    Store: True,
    Geofence: True,
    GeofenceRevision: False,
    StaffDevice: True,
    StaffEnrolment: False,
    StaffMember: True,
    Redemption: False,
    Void: False,
}
# A directory: a brand chooses stores from all there are.
BRANDS_MAY_SEE_ALL: list[type[Model]] = [Partner, Store, Geofence]
# Tested in test_conflicts.py and test_audit.py; the single row of all fences.
TESTED_ELSEWHERE = {AuditRecord, OfflineScan, FenceSet}


@dataclass(frozen=True)
class Case:
    """A logged-in user, a row of theirs and a foreign row."""

    client: Client
    own: Model
    foreign: Model


def name(model: type[Model]) -> str:
    return model._meta.model_name or ""


def address(row: Model, verb: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{verb}", args=[row.pk])


def list_address(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def listed(answer: HttpResponse) -> set[Any]:
    return {row.pk for row in answer.context_data["cl"].result_list}  # type: ignore[attr-defined]


def pair(model: type[Model]) -> tuple[Store, Campaign, Model, Model]:
    """A store and a draft campaign with a row of the model, and another row with others."""
    made = []
    for _ in range(2):
        store = factories.store()
        campaign = factories.campaign(store, state="draft", opened_at=None)
        made.append((store, campaign, rows.MAKERS[model](campaign, store)))
    (store, campaign, own), (_, _, foreign) = made
    return store, campaign, own, foreign


def case(role: str, model: type[Model]) -> Case:
    store, campaign, own, foreign = pair(model)
    clients = {
        "brand_manager": lambda: rows.brand_manager(campaign.brand),
        "brand_analyst": lambda: rows.brand_analyst(campaign.brand),
        "partner_manager": lambda: rows.partner_manager(store.partner),
    }
    return Case(clients[role](), own, foreign)


MATRIX = [
    (role, model, may_change)
    for role, models in (
        ("brand_manager", BRAND_MANAGERS),
        ("brand_analyst", BRAND_ANALYSTS),
        ("partner_manager", PARTNER_MANAGERS),
    )
    for model, may_change in models.items()
]


@pytest.mark.parametrize(("role", "model", "may_change"), MATRIX, ids=lambda value: getattr(value, "__name__", value))
def test_a_role_sees_its_own_rows_and_a_foreign_id_does_not_exist(
    role: str, model: type[Model], may_change: bool
) -> None:
    given = case(role, model)

    mine = given.client.get(address(given.own))
    foreign = given.client.get(address(given.foreign))

    assert listed(given.client.get(list_address(model))) == {given.own.pk}
    assert mine.status_code == 200
    assert mine.context_data["has_change_permission"] is may_change  # type: ignore[attr-defined]
    assert (foreign.status_code, foreign.url) == (302, "/admin/")  # type: ignore[attr-defined]


@pytest.mark.parametrize(("role", "model", "may_change"), MATRIX, ids=lambda value: getattr(value, "__name__", value))
def test_a_foreign_row_cannot_be_changed_or_deleted(role: str, model: type[Model], may_change: bool) -> None:
    given = case(role, model)

    changed = given.client.post(address(given.foreign), {"name": "taken over"})
    deleted = given.client.post(address(given.foreign, "delete"), {"post": "yes"})

    assert changed.status_code in {302, 403}
    assert deleted.status_code in {302, 403}
    assert model._default_manager.filter(pk=given.foreign.pk).exists()
    if hasattr(given.foreign, "name"):
        assert model._default_manager.get(pk=given.foreign.pk).name != "taken over"  # type: ignore[attr-defined]


def test_the_matrix_covers_every_model() -> None:
    by_role: set[type[Model]] = {*BRAND_MANAGERS, *BRAND_ANALYSTS, *PARTNER_MANAGERS}

    assert not by_role & set(OPERATORS_ALONE)
    assert by_role | set(OPERATORS_ALONE) | TESTED_ELSEWHERE == set(list_own_models())


def test_rows_about_one_device_and_operational_state_are_closed_to_business_users() -> None:
    store = factories.store()
    campaign = factories.campaign(store)
    made = {model: rows.MAKERS[model](campaign, store) for model in OPERATORS_ALONE}
    for client in (
        rows.brand_manager(campaign.brand),
        rows.brand_analyst(campaign.brand),
        rows.partner_manager(store.partner),
    ):
        lists = {model: client.get(list_address(model)).status_code for model in made}
        pages = {model: client.get(address(row)).status_code for model, row in made.items()}

        assert set(lists.values()) == {403}, lists
        assert set(pages.values()) <= {302, 403}, pages


def test_the_operator_sees_everything() -> None:
    client = rows.operator()
    for model in (*OPERATORS_ALONE, *PARTNER_MANAGERS, *BRAND_MANAGERS):
        _, _, own, foreign = pair(model)

        assert {own.pk, foreign.pk} <= listed(client.get(list_address(model))), model


@pytest.mark.parametrize("model", BRANDS_MAY_SEE_ALL, ids=name)
def test_a_brand_sees_every_store_and_changes_none(model: type[Model]) -> None:
    given = case("brand_manager", model)

    answer = given.client.get(address(given.foreign))

    assert {given.own.pk, given.foreign.pk} <= listed(given.client.get(list_address(model)))
    assert answer.status_code == 200
    assert answer.context_data["has_change_permission"] is False  # type: ignore[attr-defined]
    assert given.client.post(address(given.foreign), {"name": "taken over"}).status_code == 403


def test_a_partner_sees_campaigns_in_its_stores_and_changes_none() -> None:
    given = case("partner_manager", Campaign)

    answer = given.client.get(address(given.own))

    assert listed(given.client.get(list_address(Campaign))) == {given.own.pk}
    assert answer.context_data["has_change_permission"] is False  # type: ignore[attr-defined]
    assert given.client.post(address(given.own), {"name": "taken over"}).status_code == 403
    assert given.client.get(address(given.foreign)).status_code == 302


def test_a_campaign_cannot_be_given_to_a_foreign_brand() -> None:
    own, foreign = factories.brand(), factories.brand()
    client = rows.brand_manager(own)

    answer = client.get(reverse("admin:promotions_campaign_add"))

    choices = answer.context_data["adminform"].form.fields["brand"].queryset  # type: ignore[attr-defined]
    assert (own in choices, foreign in choices) == (True, False)


def test_an_autocomplete_offers_only_what_may_be_seen() -> None:
    own, foreign = factories.store(name="Own"), factories.store(name="Foreign")
    requested = {"app_label": "promotions", "model_name": "staffenrolment", "field_name": "store"}

    answer = rows.partner_manager(own.partner).get(reverse("admin:autocomplete"), requested)

    offered = {int(result["id"]) for result in answer.json()["results"]}
    assert offered == {own.pk}
    assert foreign.pk not in offered


def test_a_filter_names_no_foreign_partner() -> None:
    store = factories.store(partner=factories.partner(name="Tartine"))
    factories.store(partner=factories.partner(name="Stranger"))

    page = rows.partner_manager(store.partner).get(list_address(Store)).content.decode()

    assert "Tartine" in page
    assert "Stranger" not in page


def test_a_bulk_action_reaches_no_foreign_row() -> None:
    given = case("partner_manager", StaffDevice)

    given.client.post(
        list_address(StaffDevice),
        {"action": "revoke", "_selected_action": [given.own.pk, given.foreign.pk], "reason": "They were stolen."},
    )

    given.own.refresh_from_db()
    given.foreign.refresh_from_db()
    assert given.own.revoked_at is not None  # type: ignore[attr-defined]
    assert given.foreign.revoked_at is None  # type: ignore[attr-defined]


def test_a_user_without_membership_sees_no_rows() -> None:
    _, campaign, *_ = pair(Campaign)
    client = rows.log_in("Brand manager", "Partner manager")

    assert listed(client.get(list_address(Campaign))) == set()
    assert listed(client.get(list_address(Store))) == set()
    assert client.get(address(campaign)).status_code == 302


def test_a_member_without_a_role_may_do_nothing() -> None:
    store, campaign, *_ = pair(Campaign)
    client = rows.log_in(brand=campaign.brand, partner=store.partner)

    assert client.get(list_address(Campaign)).status_code == 403
    assert client.get(list_address(Store)).status_code == 403


def test_the_login_page_leads_to_the_overview(django_user_model: type[User]) -> None:
    django_user_model.objects.create_superuser("operator", password="a long one")

    answer = Client().post(reverse("admin:login"), {"username": "operator", "password": "a long one"})

    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("admin:index"))


def test_a_stranger_is_sent_to_the_login() -> None:
    answer = Client().get(list_address(Campaign))

    assert answer.status_code == 302
    assert "/admin/login/" in answer.url  # type: ignore[attr-defined]
