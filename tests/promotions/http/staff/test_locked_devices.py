"""No call of a till reads the phones' table or waits for it: each is answered while another session has it locked."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from geofence.models import Store
from promotions.models import Campaign
from tests import factories
from tests.factories import NOW
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till
from tests.promotions.test_database_roles import other_session

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store() -> Store:
    """A store."""
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    """A campaign of it."""
    return factories.campaign(store)


@pytest.fixture
def till(store: Store, now: datetime) -> Till:
    """A till of the store, at `NOW`."""
    return tills.till(store)


@pytest.fixture
def coupons(campaign: Campaign) -> list[Printed]:
    """Coupons that are out."""
    return [tills.coupon(campaign) for _ in range(2)]


@pytest.fixture
def locked(till: Till, coupons: list[Printed]) -> Iterator[None]:
    """The phones' table is locked once all this is there."""
    with other_session("LOCK TABLE promotions_device IN ACCESS EXCLUSIVE MODE"):
        yield


def test_a_coupon_is_taken_refused_listed_and_taken_back(till: Till, coupons: list[Printed], locked: None) -> None:
    taken = till.scan(code=coupons[0].code)
    refused = till.scan(code=coupons[0].code)
    scanned = till.scan(token=coupons[1].token)
    listed = till.get("redemptions")
    voided = till.post(f"redemptions/{taken.json()['id']}/void", {"reason": "mistake", "note": ""})

    assert [taken.status_code, refused.status_code, scanned.status_code] == [201, 409, 201]
    assert len(listed.json()["redemptions"]) == 2
    assert voided.status_code == 201


def test_a_till_knows_itself_and_synchronises(till: Till, locked: None) -> None:
    me = till.get("me")
    synced = till.post("sync", {"device_time": NOW.isoformat()})

    assert me.status_code == 200
    assert synced.status_code == 200


def test_a_kiosk_gets_its_codes(store: Store, now: datetime, till: Till, locked: None) -> None:
    assert tills.kiosk(store).get("store-codes").status_code == 200
