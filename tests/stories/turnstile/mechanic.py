"""The turnstile as a mechanic."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Max

from geofence.models import Store
from promotions.errors import Fault
from promotions.logic.campaign_rules import CampaignValues
from promotions.models import Campaign, Coupon, Unlock
from promotions.services.mechanics import Benefit, Grant, Mechanic, Outcome
from tests.stories.turnstile.admin import TurnstileInline
from tests.stories.turnstile.answers import TurnstilePlay, TurnstileUnlock
from tests.stories.turnstile.models import Arrival, Turnstile

WAITED = Outcome("waited", "waited", has_coupon=False)
PASSED = Outcome("passed", "passed", has_coupon=True)
MOST = 20


class TurnstileMechanic(Mechanic):
    """Every n-th device of a lane gets a coupon."""

    kind = "turnstile"
    label = "turnstile"
    outcomes = (WAITED, PASSED)
    unlock_answer = TurnstileUnlock
    play_input = TurnstilePlay
    frozen_when_opened = frozenset({"benefit"})
    rows = {"turnstiles": Turnstile}
    inlines = (TurnstileInline,)
    unlock_relations = ("arrival",)

    def find_editing_faults(self, campaign: Campaign, changes: CampaignValues) -> Iterable[Fault]:
        if campaign.units != 1:
            yield Fault("/units", "out_of_range", "A coupon from the turnstile has one use. Enter 1.")

    def find_opening_faults(self, campaign: Campaign, stores: Sequence[Store], now: datetime) -> Iterable[Fault]:
        if Turnstile.objects.filter(campaign=campaign).count() != 1:
            yield Fault("/turnstiles", "required", "The campaign needs one turnstile.")

    def seal(self, campaign: Campaign, stores: Sequence[Store], now: datetime) -> None:
        # The number cannot change later. Admin shows it with the records of the campaign.
        campaign.seed_commitment = f"every {Turnstile.objects.get(campaign=campaign).every}"

    def find_refusal(self, campaign: Campaign, device_id: UUID, now: datetime) -> str | None:
        return "sold_out" if Arrival.objects.filter(campaign=campaign).count() >= MOST else None

    def grant(self, unlock: Unlock, play: Mapping[str, Any], now: datetime) -> Grant:
        turnstile = Turnstile.objects.select_for_update().get(campaign=unlock.campaign)
        arrivals = Arrival.objects.filter(campaign=unlock.campaign, lane=play["lane"])
        number = arrivals.aggregate(last=Max("number", default=0))["last"] + 1
        Arrival.objects.create(
            unlock=unlock, campaign=unlock.campaign, lane=play["lane"], number=number, arrived_at=now
        )
        is_through = number % turnstile.every == 0
        return Grant(PASSED, Benefit(unlock.campaign.benefit)) if is_through else Grant(WAITED)

    def list_benefits(self, campaigns: Sequence[Campaign]) -> Iterator[tuple[Campaign, Benefit]]:
        yield from ((campaign, Benefit(campaign.benefit)) for campaign in campaigns)

    def note_for_staff(self, coupon: Coupon) -> str:
        arrival = Arrival.objects.filter(unlock=coupon.unlock).first()
        return f"Lane {arrival.lane}, number {arrival.number}" if arrival else ""

    def describe_unlock(self, unlock: Unlock) -> Mapping[str, Any]:
        return {"number": unlock.arrival.number if hasattr(unlock, "arrival") else None}

    def count_figures(self, campaign: Campaign) -> Mapping[str, int]:
        return {"every": Turnstile.objects.get(campaign=campaign).every}


MECHANIC = TurnstileMechanic()
