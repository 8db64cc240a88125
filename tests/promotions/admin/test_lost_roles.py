"""A user who lost the role, `is_staff` or `is_active` is refused at the next request, at each door to rows."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from geofence.models import Store
from promotions.models import Campaign, StaffDevice
from tests import factories
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]

NAME = "Free coffee with a croissant"


def list_of(model: type) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Place:
    """A store and a live campaign in it."""

    store: Store
    campaign: Campaign


@pytest.fixture
def place() -> Place:
    store = factories.store(name=NAME)
    return Place(store, factories.campaign(store, name=NAME))


# Addresses that show a brand manager the campaign, and a partner manager the store.
BRAND_DOORS: list[Callable[[Place], str]] = [
    lambda place: f"/v1/campaigns/{place.campaign.uuid}/report",
    lambda place: reverse("admin:index"),
    lambda place: list_of(Campaign),
    lambda place: reverse("admin:promotions_campaign_change", args=[place.campaign.pk]),
    lambda place: reverse("admin:promotions_campaign_history", args=[place.campaign.pk]),
    lambda place: (
        f"{reverse('admin:autocomplete')}?app_label=promotions&model_name=campaign&field_name=stores&term=coffee"
    ),
]
PARTNER_DOORS: list[Callable[[Place], str]] = [
    lambda place: reverse("admin:index"),
    lambda place: list_of(Store),
    lambda place: reverse("admin:geofence_store_change", args=[place.store.pk]),
    lambda place: f"{reverse('admin:geofence_geofence_surroundings')}?store={place.store.pk}",
    lambda place: reverse("admin:promotions_redemption_signals"),
    lambda place: reverse("admin:promotions_offlinescan_changelist"),
]


def user_of(client: Client) -> User:
    return User.objects.get(pk=client.session["_auth_user_id"])


LOSSES: dict[str, Callable[[User], object]] = {
    "role": lambda user: user.groups.clear(),
    "is_staff": lambda user: User.objects.filter(pk=user.pk).update(is_staff=False),
    "is_active": lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("role", ["brand_manager", "brand_analyst", "partner_manager"])
def test_each_door_closes_with_the_role_and_with_each_flag(role: str, loss: str, place: Place) -> None:
    logins = {
        "brand_manager": lambda: rows.brand_manager(place.campaign.brand),
        "brand_analyst": lambda: rows.brand_analyst(place.campaign.brand),
        "partner_manager": lambda: rows.partner_manager(place.store.partner),
    }
    client = logins[role]()
    rows.redemption(place.campaign, place.store)
    doors = [door(place) for door in (PARTNER_DOORS if role == "partner_manager" else BRAND_DOORS)]
    before = {door: client.get(door) for door in doors}
    shown = [door for door, answer in before.items() if NAME in answer.content.decode()]

    LOSSES[loss](user_of(client))
    after = {door: client.get(door) for door in doors}

    assert len(shown) >= 4, before
    assert not [door for door, answer in after.items() if NAME in answer.content.decode()]
    # The overview stays open to staff without a role, and is empty.
    allowed = {reverse("admin:index"): {200, 302}}
    assert not [
        (door, answer) for door, answer in after.items() if answer.status_code not in allowed.get(door, {302, 401, 403})
    ]


@pytest.mark.parametrize("loss", LOSSES)
def test_an_operator_without_staff_or_activity_reads_no_report(loss: str, place: Place) -> None:
    client = rows.operator()
    LOSSES[loss](user_of(client))

    answer = client.get(BRAND_DOORS[0](place))

    # An operator needs no role.
    assert answer.status_code in ({200} if loss == "role" else {401, 403})


@pytest.mark.parametrize("loss", LOSSES)
def test_an_action_is_refused_too(loss: str, place: Place) -> None:
    client, till = rows.partner_manager(place.store.partner), rows.staff_device(place.store)
    LOSSES[loss](user_of(client))

    answer = client.post(list_of(StaffDevice), {"action": "revoke", "_selected_action": [till.pk]})

    till.refresh_from_db()
    assert answer.status_code in {302, 403}
    assert till.revoked_at is None


def test_a_member_who_never_had_a_role_sees_no_figures(place: Place) -> None:
    client = rows.log_in(brand=place.campaign.brand, partner=place.store.partner)

    overview = client.get(reverse("admin:index"))

    assert client.get(BRAND_DOORS[0](place)).status_code == 403
    assert (overview.context_data["stats"], overview.context_data["campaign_rows"]) == ([], [])  # type: ignore[attr-defined]
