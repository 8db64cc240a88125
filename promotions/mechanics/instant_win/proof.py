"""The proof of an instant win's draw: written after the end of the campaign, verified by anyone who has the file."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from promotions.errors import DomainError
from promotions.logic.schedule import Opening
from promotions.mechanics.instant_win.moments import Lot, Moment, Verification, verify_moments
from promotions.models import Campaign
from promotions.services.campaigns.schedules import list_openings


class NotProvable(Exception):
    """There is no proof to write or to verify. The message is one sentence for the caller."""


def write_proof(campaign_uuid: UUID) -> dict[str, Any]:
    """Return all values that determine an ended instant win's moments. Errors: `not_found`, NotProvable.

    The seed is published only after the end of the campaign: until then it would reveal the winning moments.
    """
    campaign = Campaign.objects.filter(uuid=campaign_uuid, kind="instant_win").first()
    if campaign is None:
        raise DomainError("not_found", "There is no such instant win.")
    if campaign.state != Campaign.State.ENDED or campaign.seed is None or campaign.opened_at is None:
        raise NotProvable("The seed is published only after the campaign has ended.")
    stores = list(campaign.stores.filter(is_active=True).order_by("pk"))
    proof = {
        "campaign": str(campaign.uuid),
        "commitment": campaign.seed_commitment,
        "seed": bytes(campaign.seed).hex(),
        "lots": [
            {"key": str(lot.pk), "name": lot.name, "quantity": lot.quantity}
            for lot in campaign.prize_lots.order_by("pk")
        ],
        "openings": [
            [opening.starts_at.isoformat(), opening.ends_at.isoformat()]
            for opening in list_openings(campaign, stores, campaign.opened_at)
        ],
        "moments": [
            {"opens_at": moment.opens_at.isoformat(), "lot": str(moment.lot_id), "number": moment.number}
            for moment in campaign.moments.order_by("opens_at", "lot_id", "number")
        ],
    }
    if not check_proof(proof).is_valid:
        raise NotProvable(
            "The moments do not follow from the campaign as it stands: stores, their hours, the campaign's hours or "
            "its prizes were changed after the draw."
        )
    return proof


def check_proof(proof: Mapping[str, Any]) -> Verification:
    """Verify that a proof's seed is the committed one and gives exactly its moments. Errors: NotProvable."""
    try:
        return verify_moments(
            seed=bytes.fromhex(proof["seed"]),
            published=str(proof["commitment"]),
            lots=[Lot(str(lot["key"]), int(lot["quantity"])) for lot in proof["lots"]],
            openings=[Opening(_read_instant(start), _read_instant(end)) for start, end in proof["openings"]],
            moments=[
                Moment(_read_instant(moment["opens_at"]), str(moment["lot"]), int(moment["number"]))
                for moment in proof["moments"]
            ],
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NotProvable(f"This is no proof of a draw ({type(error).__name__}: {error}).") from error


def _read_instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant has no offset")
    return instant
