"""A run of retention deletes what is usual, and nothing of a table of which more is due."""

import uuid
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from geofence.models import Visit
from promotions import clock
from promotions.models import Coupon, DeletedRows, IdempotencyRecord, Opportunity, Refusal, Unlock, WithdrawnCoupon
from promotions.services import retention
from promotions.services.retention_ceiling import SHARE, SMALL_ROWS
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills

DAY = timedelta(days=1)
YEARS_LATER = NOW + 400 * DAY


def make_refusals(count: int, *, days_old: float, now: datetime = NOW) -> None:
    campaign = factories.campaign()
    store, device = campaign.stores.get(), factories.device()
    Refusal.objects.bulk_create(
        Refusal(
            campaign=campaign,
            device_id=device.pk,
            store=store,
            stage="unlock",
            reason="not_at_store",
            refused_at=now - days_old * DAY,
        )
        for _ in range(count)
    )


def make_keys(count: int, *, hours_old: float) -> None:
    IdempotencyRecord.objects.bulk_create(
        IdempotencyRecord(
            scope=f"device:{hours_old}", key=str(number), fingerprint=b"x", created_at=NOW - hours_old * DAY / 24
        )
        for number in range(count)
    )


@pytest.mark.django_db
@pytest.mark.parametrize("count", [3, 20, 2000])
def test_a_run_400_days_ahead_deletes_no_business_record(count: int) -> None:
    campaign = factories.campaign()
    for _ in range(3):
        tills.coupon(campaign)
    make_refusals(count, days_old=1)

    ceiling = retention.drop_expired(now=YEARS_LATER)

    assert (Unlock.objects.count(), Coupon.objects.count(), Refusal.objects.count()) == (3, 3, count)
    assert {due.table for due in ceiling.held} >= {"promotions_unlock", "promotions_refusal"}


@pytest.mark.django_db
def test_a_run_400_days_ahead_keeps_visits_and_leaves_the_figures_alone() -> None:
    campaign = factories.campaign()
    store, devices = campaign.stores.get(), [factories.device() for _ in range(4)]
    for device in devices:
        Opportunity.objects.create(
            id=uuid.uuid4(),
            campaign=campaign,
            device_id=device.pk,
            store=store,
            arm="treated",
            fix_time=NOW,
            planned_at=NOW,
            local_on=NOW.date(),
        )
        Visit.objects.create(
            id=uuid.uuid4(),
            device_id=device.pk,
            store=store,
            geofence=store.geofences.get(),
            geofence_version=1,
            entered_at=NOW,
            last_inside_at=NOW + timedelta(minutes=5),
            confirmed_at=NOW + timedelta(minutes=3),
        )

    retention.drop_expired(now=YEARS_LATER)

    assert Visit.objects.count() == 4
    assert Opportunity.objects.filter(visited_within_minutes__isnull=True).count() == 4


@pytest.mark.django_db
def test_a_share_of_a_large_table_is_deleted() -> None:
    make_refusals(1900, days_old=1)
    make_refusals(round(SHARE * 2000), days_old=397)

    ceiling = retention.drop_expired(now=NOW)

    assert (ceiling.held, Refusal.objects.count()) == ([], 1900)


@pytest.mark.django_db
def test_more_than_the_share_is_kept_whole() -> None:
    make_refusals(1900, days_old=1)
    make_refusals(round(SHARE * 2000) + 10, days_old=397)

    [due] = retention.drop_expired(now=NOW).held

    assert (due.table, Refusal.objects.count()) == ("promotions_refusal", 2010)
    assert not DeletedRows.objects.filter(table="promotions_refusal").exists()


@pytest.mark.django_db
def test_what_a_usual_day_deletes_passes_though_it_is_more_than_the_share() -> None:
    DeletedRows.objects.create(table="promotions_refusal", day=(NOW - 6 * DAY).date(), rows=400)
    make_refusals(600, days_old=1)
    make_refusals(400, days_old=397)

    ceiling = retention.drop_expired(now=NOW)

    assert (ceiling.held, Refusal.objects.count()) == ([], 600)
    assert DeletedRows.objects.get(table="promotions_refusal", day=NOW.date()).rows == 400


@pytest.mark.django_db
@pytest.mark.parametrize("days_ago", [0, 29])
def test_neither_today_nor_long_ago_is_usual(days_ago: int) -> None:
    DeletedRows.objects.create(table="promotions_refusal", day=(NOW - days_ago * DAY).date(), rows=400)
    make_refusals(600, days_old=1)
    make_refusals(400, days_old=397)

    assert [due.table for due in retention.drop_expired(now=NOW).held] == ["promotions_refusal"]


@pytest.mark.django_db
def test_a_small_table_loses_up_to_half_of_its_rows() -> None:
    make_refusals(4, days_old=1)
    make_refusals(4, days_old=397)

    assert retention.drop_expired(now=NOW).held == []
    assert Refusal.objects.count() == 4
    assert SMALL_ROWS < 2000 * SHARE


@pytest.mark.django_db
def test_a_quiet_night_may_empty_a_table_with_a_retention_of_one_day() -> None:
    make_keys(900, hours_old=25)

    assert retention.drop_expired(now=NOW).held == []
    assert not IdempotencyRecord.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("count", [2, 40, 900])
def test_withdrawn_coupons_that_end_with_their_campaign_go_together(count: int) -> None:
    campaign = factories.campaign()
    WithdrawnCoupon.objects.bulk_create(
        WithdrawnCoupon(coupon_id=uuid.uuid4(), campaign=campaign, store_ids=[], valid_until=NOW - DAY / 24)
        for _ in range(count)
    )

    assert retention.drop_expired(now=NOW).held == []
    assert not WithdrawnCoupon.objects.exists()


@pytest.mark.django_db
def test_what_is_deleted_in_a_day_adds_up() -> None:
    make_keys(30, hours_old=25)
    retention.drop_expired(now=NOW)
    IdempotencyRecord.objects.all().delete()
    make_keys(12, hours_old=26)
    retention.drop_expired(now=NOW + timedelta(minutes=15))

    assert DeletedRows.objects.get(table="promotions_idempotencyrecord").rows == 42


@pytest.mark.django_db
def test_an_operator_overrides_the_ceiling() -> None:
    # The command reads the clock.
    make_refusals(100, days_old=10_000, now=clock.now())
    out, errors = StringIO(), StringIO()

    with pytest.raises(CommandError, match="Some tables were left alone"):
        call_command("drop_expired", stdout=out, stderr=errors)
    kept = Refusal.objects.count()
    call_command("drop_expired", "--allow-large", stdout=out)

    assert "promotions_refusal: more than 50 rows are due" in errors.getvalue()
    assert "--allow-large" in errors.getvalue()
    assert (kept, Refusal.objects.count()) == (100, 0)
    assert "promotions_refusal: deleted 100 rows." in out.getvalue()
    # What an operator allowed once is not usual.
    assert not DeletedRows.objects.filter(table="promotions_refusal").exists()


@pytest.mark.django_db
def test_a_neglected_table_is_cleaned_again_after_the_override() -> None:
    make_refusals(100, days_old=10_000, now=clock.now())
    make_refusals(100, days_old=1, now=clock.now())
    call_command("drop_expired", "--allow-large", stdout=StringIO())
    Refusal.objects.filter(pk__in=list(Refusal.objects.values_list("pk", flat=True)[:5])).update(
        refused_at=F("refused_at") - 10_000 * DAY
    )

    call_command("drop_expired", stdout=StringIO())

    assert Refusal.objects.count() == 95
