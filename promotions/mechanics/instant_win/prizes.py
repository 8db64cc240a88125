"""Prizes: their faults, the draw of their winning moments at the opening, and the moment that a play takes."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from django.db.models import Sum

from promotions.errors import Fault
from promotions.errors import gettext_noop as _
from promotions.mechanics.instant_win.models import PrizeLot, WinningMoment
from promotions.mechanics.instant_win.moments import SEED_BYTES, Lot, commitment, draw_moments
from promotions.models import Campaign, Unlock
from promotions.services.campaigns.schedules import list_openings

if TYPE_CHECKING:
    from geofence.models import Store

INVARIANTS: Mapping[str, str] = {
    "every prize that was won has its moment": """
        SELECT count(*) FROM promotions_unlock u JOIN promotions_campaign c ON c.id = u.campaign_id
            LEFT JOIN promotions_winningmoment m ON m.unlock_id = u.id
        WHERE c.kind = 'instant_win' AND (u.outcome = 'won') <> (m.id IS NOT NULL)""",
}


def find_prize_faults(campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> Iterator[Fault]:
    """Yield a fault if there is no prize, or no time in which one could be won."""
    if not PrizeLot.objects.filter(campaign=campaign).exists():
        yield Fault("/prize_lots", "required", _("An instant win needs at least one prize. Add one."))
    elif campaign.opened_at is None and stores and not list_openings(campaign, stores, now):
        yield Fault("/windows", "never_open", _("No store is open in the campaign's hours, so nothing could be won."))


def seal_moments(campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> None:
    """Draw the winning moments from a random seed. The seed stays secret until the end; its commitment is published."""
    seed = secrets.token_bytes(SEED_BYTES)
    lots = {str(lot.pk): lot for lot in PrizeLot.objects.filter(campaign=campaign)}
    drawn = draw_moments(
        seed,
        [Lot(key, lot.quantity) for key, lot in sorted(lots.items())],
        list_openings(campaign, stores, now),
    )
    WinningMoment.objects.bulk_create(
        [
            WinningMoment(lot=lots[moment.lot], campaign=campaign, number=moment.number, opens_at=moment.opens_at)
            for moment in drawn
        ],
        batch_size=1000,
    )
    campaign.seed = seed
    campaign.seed_commitment = commitment(seed)


def take_prize(unlock: Unlock, now: datetime) -> str | None:
    """Take the earliest open moment and return its prize, or None if no open moment is left."""
    moment = (
        WinningMoment.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("lot")
        .filter(campaign_id=unlock.campaign_id, taken_at__isnull=True, opens_at__lte=now)
        .order_by("opens_at", "pk")
        .first()
    )
    if moment is None:
        return None
    WinningMoment.objects.filter(pk=moment.pk, taken_at__isnull=True).update(unlock=unlock, taken_at=now)
    return moment.lot.name


def count_prizes(campaign: Campaign) -> Mapping[str, int]:
    """Return the number of prizes of the campaign, won or not."""
    return PrizeLot.objects.filter(campaign=campaign).aggregate(prizes=Sum("quantity", default=0))
