"""Who may read a campaign's report, and what it never shows."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client

from geofence.models import Store, Visit
from promotions.mechanics.instant_win.models import PrizeLot
from promotions.models import Brand, Campaign, Opportunity, Refusal, Unlock
from promotions.services.accounts.brand_tokens import create_brand_token
from tests import factories
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Store:
    return factories.store()


@pytest.fixture
def campaign(shop: Store) -> Campaign:
    return factories.campaign(shop, holdout_percent=50)


def path_of(campaign: Campaign) -> str:
    return f"/v1/campaigns/{campaign.uuid}/report"


def token_client(brand: Brand) -> Client:
    """A brand's own system."""
    token = create_brand_token(brand=brand, label="reports", now=NOW)
    return Client(headers={"Authorization": f"Bearer {token}"})


def member_client(brand: Brand) -> Client:
    """A brand manager, logged in to admin."""
    return rows.brand_manager(brand)


def fill(campaign: Campaign, shop: Store, arm: str, *, devices: int, visitors: int) -> None:
    """Devices of an arm yesterday, some of which visited."""
    at = NOW - timedelta(days=1)
    for number in range(devices):
        device_id = uuid.uuid4()
        Opportunity.objects.create(
            id=uuid.uuid4(),
            campaign=campaign,
            device_id=device_id,
            store=shop,
            arm=arm,
            fix_time=at,
            planned_at=at,
            local_on=at.date(),
        )
        if number < visitors:
            Visit.objects.create(
                id=uuid.uuid4(),
                device_id=device_id,
                geofence=shop.geofences.get(),
                store=shop,
                geofence_version=1,
                entered_at=at + timedelta(minutes=5),
                last_inside_at=at + timedelta(minutes=15),
                confirmed_at=at + timedelta(minutes=8),
                confirmed_by="dwell",
                exited_at=at + timedelta(minutes=15),
                exit_reason="departed",
            )


def refuse_often(campaign: Campaign, reason: str, times: int) -> None:
    """Refusals at the phone."""
    Refusal.objects.bulk_create(
        Refusal(stage="unlock", reason=reason, campaign=campaign, device_id=uuid.uuid4(), refused_at=NOW)
        for _ in range(times)
    )


def test_a_brand_reads_its_report_with_its_token(campaign: Campaign, shop: Store, now: object) -> None:
    fill(campaign, shop, "treated", devices=40, visitors=25)
    fill(campaign, shop, "control", devices=40, visitors=22)

    response = token_client(campaign.brand).get(path_of(campaign))

    report = response.json()
    assert response.status_code == 200
    assert report["campaign"]["id"] == str(campaign.uuid)
    assert report["opportunities"] == {"treated": 40, "control": 40}
    assert report["visits"][1]["treated"] == {"devices": 40, "visited": 25}
    assert report["effect"]["verdict"] == "not proven yet"
    assert report["effect"]["incremental_visits"] == pytest.approx(3.0)


def test_a_manager_reads_it_with_the_admin_session(campaign: Campaign, now: object) -> None:
    response = member_client(campaign.brand).get(path_of(campaign))

    assert response.status_code == 200


def test_the_operator_reads_every_brands_report(campaign: Campaign, now: object) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))

    assert client.get(path_of(campaign)).status_code == 200


@pytest.mark.parametrize("make_client", [token_client, member_client])
def test_another_brands_campaign_is_not_there(campaign: Campaign, now: object, make_client: object) -> None:
    client = make_client(factories.brand())  # type: ignore[operator]

    response = client.get(path_of(campaign))

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_a_partner_does_not_see_what_a_brand_causes(campaign: Campaign, shop: Store, now: object) -> None:
    assert rows.partner_manager(shop.partner).get(path_of(campaign)).status_code == 404


def test_a_token_acts_for_its_brand_also_with_another_login(campaign: Campaign, now: object) -> None:
    token = create_brand_token(brand=factories.brand(), label="reports", now=NOW)

    response = member_client(campaign.brand).get(path_of(campaign), headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 404


@pytest.mark.parametrize(
    ("header", "code"),
    [({}, "token_missing"), ({"Authorization": "Bearer nonsense"}, "token_malformed")],
)
def test_the_report_requires_a_credential(campaign: Campaign, now: object, header: dict[str, str], code: str) -> None:
    response = Client(headers=header).get(path_of(campaign))

    assert response.status_code == 401
    assert response.json()["code"] == code


def test_a_revoked_token_is_refused(campaign: Campaign, now: object) -> None:
    client = token_client(campaign.brand)
    campaign.brand.tokens.update(revoked_at=NOW)

    response = client.get(path_of(campaign))

    assert (response.status_code, response.json()["code"]) == (401, "token_revoked")


def test_a_campaign_that_does_not_exist_is_not_found(campaign: Campaign, now: object) -> None:
    response = token_client(campaign.brand).get(f"/v1/campaigns/{uuid.uuid4()}/report")

    assert response.status_code == 404


def test_cells_below_ten_are_hidden_and_so_is_what_would_give_them_away(
    campaign: Campaign, shop: Store, now: object
) -> None:
    fill(campaign, shop, "treated", devices=30, visitors=12)
    fill(campaign, shop, "control", devices=20, visitors=9)

    report = token_client(campaign.brand).get(path_of(campaign)).json()

    assert report["visits"][0]["treated"] == {"devices": 30, "visited": 12}
    assert report["visits"][0]["control"] == {"devices": 20, "visited": None}
    assert report["effect"]["difference"] is None
    assert report["effect"]["incremental_interval"] is None
    assert report["unlocks"] is None


def test_small_reasons_are_reported_together_or_not_at_all(campaign: Campaign, now: object) -> None:
    refuse_often(campaign, "not_at_store", 14)
    refuse_often(campaign, "mock_location", 4)

    refusals = token_client(campaign.brand).get(path_of(campaign)).json()["refusals"]
    refuse_often(campaign, "sold_out", 7)
    more = token_client(campaign.brand).get(path_of(campaign)).json()["refusals"]

    assert refusals == {"total": 14, "by_reason": {"not_at_store": 14}}
    assert more == {"total": 25, "by_reason": {"not_at_store": 14, "other": 11}}


@pytest.mark.parametrize(
    ("won", "lost", "shown"),
    [
        (12, 20, {"lost": 20, "won": 12}),
        (9, 20, {"lost": None, "won": None}),
        (0, 20, {"lost": None, "won": None}),
    ],
)
def test_unlocks_are_counted_by_outcome_if_no_count_is_small(
    shop: Store, now: object, won: int, lost: int, shown: dict[str, int | None]
) -> None:
    contest = factories.campaign(shop, kind="instant_win")
    PrizeLot.objects.create(campaign=contest, name="1 bicycle", quantity=3)
    for outcome in ["won"] * won + ["lost"] * lost:
        Unlock.objects.create(
            campaign=contest, device=factories.device(), store=shop, outcome=outcome, level=1, granted_at=NOW
        )

    report = token_client(contest.brand).get(path_of(contest)).json()

    assert (report["unlocks"], report["outcomes"]) == (won + lost, shown)
    # Prizes are no devices, so their number is shown however small.
    assert report["figures"] == {"prizes": 3}


def test_an_unknown_parameter_is_refused(campaign: Campaign, now: object) -> None:
    response = token_client(campaign.brand).get(path_of(campaign) + "?device=1")

    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"] == "?device"


def test_arrivals_after_a_refusal_are_reported_within_30_minutes_and_a_day_in_large_cells(
    campaign: Campaign, shop: Store, now: object
) -> None:
    refuse_often(campaign, "not_at_store", 30)
    Refusal.objects.update(refused_at=NOW - timedelta(days=2))
    for number, refusal in enumerate(Refusal.objects.all()[:14]):
        came_at = refusal.refused_at + timedelta(minutes=20 if number < 9 else 600)
        Visit.objects.create(
            id=uuid.uuid4(), device_id=refusal.device_id, geofence=shop.geofences.get(), store=shop,
            geofence_version=1, entered_at=came_at, last_inside_at=came_at, confirmed_at=came_at,
        )  # fmt: skip

    reported = token_client(campaign.brand).get(path_of(campaign)).json()["arrivals_after_refusal"]

    assert [(each["within_minutes"], each["refused"], each["arrived"]) for each in reported] == [
        (30, 30, None),
        (120, 30, None),
        (1_440, 30, 14),
    ]
    assert reported[0]["share"] is None
    assert reported[2]["share"]["low"] < 14 / 30 < reported[2]["share"]["high"]
