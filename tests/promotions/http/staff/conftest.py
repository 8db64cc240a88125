"""The cast of the till: ada's coupon, the store's till, and mallory, staff of another store."""

from datetime import datetime

import pytest

from geofence.models import Store
from promotions.models import Campaign
from tests import factories
from tests.promotions.http.staff import tills
from tests.promotions.http.staff.tills import Printed, Till


@pytest.fixture(autouse=True)
def _at_noon(now: datetime) -> None:
    """Fix the clock at `NOW` in every test of the till."""


@pytest.fixture
def store(db: None) -> Store:
    return factories.store()


@pytest.fixture
def campaign(store: Store) -> Campaign:
    return factories.campaign(store)


@pytest.fixture
def coupon(campaign: Campaign) -> Printed:
    return tills.coupon(campaign)


@pytest.fixture
def till(store: Store) -> Till:
    return tills.till(store)


@pytest.fixture
def mallory(db: None) -> Till:
    return tills.till(factories.store(name="Bastille", longitude_deg=2.3692, latitude_deg=48.8532), label="mallory")
