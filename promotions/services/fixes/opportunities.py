"""Opportunities, the same in both arms, and the messages of the treated one."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from django.db import connection

from notifications.logic.rendering import MessageValues, Template, render
from notifications.services import NewMessage
from promotions.logic.eligibility import Decision, GateOutcome
from promotions.logic.facts import CampaignFacts, Facts, StoreFacts
from promotions.logic.holdout import Arm

_NAMESPACE = UUID("0d5d6e2a-9b1c-5c3e-8a0f-2f6f4f1f9c27")


# Used twice: for the opportunity and for its message.
@lru_cache(maxsize=4096)
def name_opportunity(campaign_id: int, device_id: UUID, local_on: date) -> UUID:
    """Derive the id of a device's opportunity with a campaign on a day: the same again for a repeated fix."""
    return uuid5(_NAMESPACE, f"{campaign_id}|{device_id}|{local_on}")


def _granted(decisions: Sequence[Decision]) -> list[tuple[UUID, Decision]]:
    return [
        (name_opportunity(decision.campaign_id, decision.device_id, decision.local_on), decision)
        for decision in decisions
        if decision.outcome is GateOutcome.OPPORTUNITY and decision.local_on is not None
    ]


def record_opportunities(decisions: Sequence[Decision]) -> None:
    """Write a row per opportunity, in the caller's transaction. One query; an existing row is not changed."""
    rows = [_list_values(opportunity_id, decision) for opportunity_id, decision in _granted(decisions)]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_SQL, [list(column) for column in zip(*rows, strict=True)])


def _list_values(opportunity_id: UUID, decision: Decision) -> tuple[object, ...]:
    # What `decide` gives every opportunity, and no refusal.
    assert decision.local_on is not None
    assert decision.arm is not None
    assert decision.planned_at is not None
    return (
        opportunity_id,
        decision.campaign_id,
        decision.device_id,
        decision.store_id,
        decision.arm.value,
        decision.transition.fix_time,
        decision.planned_at,
        decision.local_on,
        decision.transition.request_id,
    )


def write_messages(decisions: Sequence[Decision], facts: Facts) -> list[NewMessage]:
    """The treated arm's messages, rendered. Pure."""
    campaigns = {campaign.id: campaign for campaign in facts.campaigns}
    return [
        _message(key, decision, campaigns[decision.campaign_id], facts.stores[decision.store_id])
        for key, decision in _granted(decisions)
        if decision.arm is Arm.TREATED
    ]


def _message(opportunity_id: UUID, decision: Decision, campaign: CampaignFacts, store: StoreFacts) -> NewMessage:
    assert decision.expires_at is not None
    assert decision.open_until is not None
    text = render(
        Template(title=campaign.message_title, body=campaign.message_body),
        MessageValues(
            store=store.name,
            brand=campaign.brand,
            offer=campaign.offer_title,
            until=_format_time(decision.open_until, store.zone, now=decision.transition.fix_time),
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


def _format_time(instant: datetime, zone: ZoneInfo, *, now: datetime) -> str:
    """The store's clock; the end of the day for a store that is open for days on end."""
    return f"{instant.astimezone(zone):%H:%M}" if instant - now < timedelta(days=1) else "24:00"


# Lists go as arrays: writing them out costs the query builder more than the database.
_INSERT_SQL = """
INSERT INTO promotions_opportunity (id, campaign_id, device_id, store_id, arm, fix_time, planned_at, local_on,
    request_id)
SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::bigint[], %s::text[], %s::timestamptz[],
    %s::timestamptz[], %s::date[], %s::text[])
ON CONFLICT DO NOTHING
"""
