"""Opportunities, the same in both arms, and the messages of the treated one."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from geofence.models import Store
from notifications.logic.rendering import MessageValues, Template, render
from notifications.services import NewMessage
from promotions.logic.eligibility import Decision, Outcome
from promotions.logic.holdout import Arm
from promotions.models import Campaign, Opportunity

_NAMESPACE = UUID("0d5d6e2a-9b1c-5c3e-8a0f-2f6f4f1f9c27")


def name_opportunity(campaign_id: int, device_id: UUID, local_on: date) -> UUID:
    """The id of a device's opportunity with a campaign on a day; working a fix twice names it again."""
    return uuid5(_NAMESPACE, f"{campaign_id}|{device_id}|{local_on}")


def _granted(decisions: Sequence[Decision]) -> list[tuple[UUID, Decision]]:
    return [
        (name_opportunity(decision.campaign_id, decision.device_id, decision.local_on), decision)
        for decision in decisions
        if decision.outcome is Outcome.OPPORTUNITY and decision.local_on is not None
    ]


def record_opportunities(decisions: Sequence[Decision]) -> None:
    """Write a row per opportunity, in the caller's transaction. One query; a row already there stays as it is."""
    rows = [_row(opportunity_id, decision) for opportunity_id, decision in _granted(decisions)]
    Opportunity.objects.bulk_create(rows, ignore_conflicts=True)


def _row(opportunity_id: UUID, decision: Decision) -> Opportunity:
    # What `decide` gives every opportunity, and no refusal.
    assert decision.local_on is not None
    assert decision.arm is not None
    assert decision.planned_at is not None
    return Opportunity(
        id=opportunity_id,
        campaign_id=decision.campaign_id,
        device_id=decision.device_id,
        store_id=decision.store_id,
        arm=decision.arm,
        fix_time=decision.transition.fix_time,
        planned_at=decision.planned_at,
        local_on=decision.local_on,
        request_id=decision.transition.request_id,
    )


def write_messages(decisions: Sequence[Decision]) -> list[NewMessage]:
    """The treated arm's messages, rendered. Two queries, none when there is nothing to say."""
    treated = [(key, decision) for key, decision in _granted(decisions) if decision.arm is Arm.TREATED]
    if not treated:
        return []
    campaigns = Campaign.objects.select_related("brand").in_bulk({decision.campaign_id for _, decision in treated})
    stores = Store.objects.only("uuid", "name", "timezone").in_bulk({decision.store_id for _, decision in treated})
    return [
        _message(key, decision, campaigns[decision.campaign_id], stores[decision.store_id]) for key, decision in treated
    ]


def _message(opportunity_id: UUID, decision: Decision, campaign: Campaign, store: Store) -> NewMessage:
    assert decision.expires_at is not None
    text = render(
        Template(title=campaign.message_title, body=campaign.message_body),
        MessageValues(
            store=store.name,
            brand=campaign.brand.name,
            offer=campaign.offer_title,
            until=f"{decision.expires_at.astimezone(ZoneInfo(store.timezone)):%H:%M}",
        ),
    )
    return NewMessage(
        dedupe_key=f"opportunity:{opportunity_id}",
        device_id=decision.device_id,
        title=text.title,
        body=text.body,
        expires_at=decision.expires_at,
        request_id=decision.transition.request_id,
        data={
            "campaign_id": str(campaign.uuid),
            "store_id": str(store.uuid),
            "opportunity_id": str(opportunity_id),
        },
    )
