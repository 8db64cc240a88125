"""What devices did about a campaign, as rows made by hand."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from geofence.models import Store, Visit
from notifications.models import Message
from promotions.models import Campaign, Opportunity, Refusal
from tests.factories import NOW


def meet(campaign: Campaign, store: Store, arm: str, *, at: datetime = NOW, device_id: uuid.UUID | None = None) -> Any:
    """An opportunity of a device, a new one unless given."""
    return Opportunity.objects.create(
        id=uuid.uuid4(),
        campaign=campaign,
        device_id=device_id or uuid.uuid4(),
        store=store,
        arm=arm,
        fix_time=at,
        planned_at=at,
        local_on=at.date(),
    )


def visit(
    device_id: uuid.UUID,
    store: Store,
    *,
    entered_at: datetime,
    stay: timedelta = timedelta(minutes=10),
    is_confirmed: bool = True,
) -> Visit:
    """A stay; unconfirmed, it was a pass."""
    return Visit.objects.create(
        id=uuid.uuid4(),
        device_id=device_id,
        geofence=store.geofences.get(),
        store=store,
        geofence_version=1,
        entered_at=entered_at,
        last_inside_at=entered_at + stay,
        confirmed_at=entered_at + timedelta(minutes=3) if is_confirmed else None,
        confirmed_by="dwell" if is_confirmed else "",
        exited_at=entered_at + stay,
        exit_reason="departed",
    )


def refuse(campaign: Campaign, device_id: uuid.UUID, *, at: datetime = NOW, reason: str = "not_at_store") -> Refusal:
    """A request for the offer, not granted."""
    return Refusal.objects.create(stage="unlock", reason=reason, campaign=campaign, device_id=device_id, refused_at=at)


def report(met: Opportunity, state: str, reason: str = "") -> Message:
    """The opportunity's message and what became of it."""
    return Message.objects.create(
        dedupe_key=f"opportunity:{met.pk}",
        device_id=met.device_id,
        title="A coffee for you",
        body="Free coffee",
        state=state,
        reason=reason,
        created_at=met.planned_at,
        next_attempt_at=met.planned_at,
        expires_at=met.planned_at + timedelta(minutes=20),
        settled_at=None if state in ("pending", "leased") else met.planned_at,
    )
