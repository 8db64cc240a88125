"""The lookup of mechanics, also for rows of a kind that this release does not know."""

import pytest

from promotions.errors import InvalidInput
from promotions.http.device.answers import serialize_unlock
from promotions.models import Unlock
from promotions.services.campaigns.states import open_campaign
from promotions.services.mechanics import list_mechanics, register
from tests import factories
from tests.factories import NOW


def test_two_mechanics_of_one_kind_are_rejected() -> None:
    with pytest.raises(ValueError, match="'coupon'"):
        register(list_mechanics()[:1])


@pytest.mark.django_db
def test_an_unlock_of_an_unknown_kind_is_shown_with_the_common_members() -> None:
    store = factories.store()
    campaign = factories.campaign(store, kind="of_a_later_release")
    unlock = Unlock.objects.create(
        campaign=campaign, device=factories.device(), store=store, outcome="later", level=1, granted_at=NOW
    )

    answer = serialize_unlock(unlock, NOW)

    assert (answer["kind"], answer["outcome"], answer["coupon"]) == ("of_a_later_release", "later", None)


@pytest.mark.django_db
def test_a_campaign_of_an_unknown_kind_cannot_be_opened() -> None:
    campaign = factories.campaign(state="draft", opened_at=None, kind="of_a_later_release")

    with pytest.raises(InvalidInput) as rejected:
        open_campaign(campaign_id=campaign.pk, now=NOW)

    assert {(fault.pointer, fault.code) for fault in rejected.value.faults} == {("/kind", "kind_not_supported")}
