"""The mechanic of instant wins."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import prefetch_related_objects

from promotions.errors import Fault
from promotions.logic.events import NewEvent, OfferPlayed
from promotions.mechanics.instant_win import prizes
from promotions.mechanics.instant_win.admin import PrizeLotInline
from promotions.mechanics.instant_win.answers import InstantWinUnlock
from promotions.mechanics.instant_win.models import PrizeLot
from promotions.models import Campaign, Unlock
from promotions.services.events import record_events
from promotions.services.mechanics import Benefit, Grant, Mechanic, Outcome

if TYPE_CHECKING:
    from geofence.models import Store

LOST = Outcome("lost", "not won", has_coupon=False)
WON = Outcome("won", "won", has_coupon=True)


class InstantWinMechanic(Mechanic):
    """The opening draws winning moments. The first play after one of them wins its prize."""

    kind = "instant_win"
    label = "instant win"
    outcomes = (LOST, WON)
    unlock_answer = InstantWinUnlock
    rows = {"prize_lots": PrizeLot}
    inlines = (PrizeLotInline,)
    invariants = prizes.INVARIANTS

    def find_opening_faults(self, campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> Iterable[Fault]:
        """Yield a fault if there is nothing to win, or no time to win it."""
        return prizes.find_prize_faults(campaign, stores, now)

    def seal(self, campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> None:
        """Draw the winning moments."""
        prizes.seal_moments(campaign, stores, now)

    def grant(self, unlock: Unlock, play: Mapping[str, Any], now: datetime) -> Grant:
        """Take the earliest open moment. The coupon of its prize has one unit, not the campaign's number of units."""
        prize = prizes.take_prize(unlock, now)
        played = NewEvent(
            OfferPlayed(unlock_id=unlock.pk, is_won=prize is not None),
            subject=unlock.pk,
            occurred_at=now,
            device_id=unlock.device_id,
            campaign_id=unlock.campaign_id,
            store_id=unlock.store_id,
        )
        record_events([played])
        return Grant(LOST) if prize is None else Grant(WON, Benefit(prize))

    def list_benefits(self, campaigns: Sequence[Campaign]) -> Iterator[tuple[Campaign, Benefit]]:
        """Yield the prizes."""
        prefetch_related_objects(campaigns, "prize_lots")
        yield from ((campaign, Benefit(lot.name)) for campaign in campaigns for lot in campaign.prize_lots.all())

    def count_figures(self, campaign: Campaign) -> Mapping[str, int]:
        """Return the number of prizes."""
        return prizes.count_prizes(campaign)


MECHANIC = InstantWinMechanic()
