"""Open, pause and end campaigns. Each change is a compare-and-set on the state."""

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F

from geofence.services.store_lookup import find_unfenced_stores
from promotions.errors import DomainError, Fault, InvalidInput
from promotions.errors import gettext_noop as _
from promotions.logic.campaign_rules import find_value_faults
from promotions.logic.hours import InvalidHours, parse_hours
from promotions.models import Campaign
from promotions.services.campaigns.budgets import find_cap_faults, fit_caps, lock_exclusively
from promotions.services.campaigns.editing import read_limits, read_values
from promotions.services.campaigns.schedules import read_zone
from promotions.services.mechanics import mechanic_of

if TYPE_CHECKING:
    from geofence.models import Store

_OPENABLE = (Campaign.State.DRAFT, Campaign.State.PAUSED)


@transaction.atomic
def open_campaign(*, campaign_id: int, now: datetime) -> Campaign:
    """Open a draft or a paused campaign. One transaction; a second call at the same time finds another state.

    The first opening seals what the campaign's mechanic fixes. Errors: `invalid_input` with every reason.
    """
    campaign = lock_exclusively(campaign_id)
    stores = list(campaign.stores.filter(is_active=True).order_by("pk"))
    faults = list(find_opening_faults(campaign, stores, now))
    if faults:
        raise InvalidInput(faults)
    fit_caps(campaign_id=campaign.pk)
    if campaign.opened_at is None:
        mechanic_of(campaign).seal(campaign, stores, now)
    campaign.salt = campaign.salt or secrets.token_hex(16)
    campaign.opened_at = campaign.opened_at or now
    campaign.state = Campaign.State.LIVE
    campaign.version += 1
    campaign.save(update_fields=["salt", "opened_at", "state", "seed", "seed_commitment", "version"])
    return campaign


def pause_campaign(*, campaign_id: int, now: datetime) -> None:
    """Stop messages and unlocks until the next opening. Issued coupons stay valid.

    Errors: `invalid_input` unless the campaign is live.
    """
    _move(campaign_id, (Campaign.State.LIVE,), Campaign.State.PAUSED)


def end_campaign(*, campaign_id: int, now: datetime) -> None:
    """End a campaign for good. Issued coupons stay valid until they expire.

    Errors: `invalid_input` unless it is live or paused.
    """
    _move(campaign_id, (Campaign.State.LIVE, Campaign.State.PAUSED), Campaign.State.ENDED)


def _move(campaign_id: int, expected: Sequence[str], state: str) -> None:
    rows = Campaign.objects.filter(pk=campaign_id, state__in=expected)
    if not rows.update(state=state, version=F("version") + 1):
        found = Campaign.objects.filter(pk=campaign_id).first()
        if found is None:
            raise DomainError("not_found")
        raise InvalidInput([_state_fault(found, expected)])


def _state_fault(campaign: Campaign, expected: Sequence[str]) -> Fault:
    allowed = " / ".join(str(Campaign.State(state).value) for state in expected)
    values = {"state": campaign.state, "allowed": allowed}
    return Fault("/state", "wrong_state", _("The campaign is {state}. It must be {allowed}."), values)


def find_opening_faults(campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> Iterator[Fault]:
    """Yield every fault that keeps the campaign from being opened."""
    if campaign.state not in _OPENABLE:
        yield _state_fault(campaign, _OPENABLE)
    values = read_values(campaign)
    # Only active stores count here; they have their own check.
    del values["stores"]
    yield from find_value_faults(values, read_limits())
    yield from find_cap_faults(campaign)
    yield from _store_faults(stores)
    zones = [zone for store in stores if (zone := read_zone(store)) is not None]
    if zones and all(_is_over(campaign, zone, now) for zone in zones):
        yield Fault("/ends_on", "over", _("The last day is over in every store. Enter a later one."))
    yield from mechanic_of(campaign).find_opening_faults(campaign, stores, now)


def _is_over(campaign: Campaign, zone: ZoneInfo, now: datetime) -> bool:
    return now.astimezone(zone).date() > campaign.ends_on


def _store_faults(stores: "Sequence[Store]") -> Iterator[Fault]:
    if not stores:
        yield Fault("/stores", "required", _("The campaign has no active store. Choose at least one."))
    unfenced = find_unfenced_stores([store.pk for store in stores])
    for store in stores:
        if store.pk in unfenced:
            text = _("{store} has no geofence, so no phone can be seen there. Draw one.")
            yield _fault_of(store, "no_geofence", text)
        if read_zone(store) is None:
            text = _("{store} has the unknown time zone “{timezone}”. Choose another.")
            yield _fault_of(store, "unknown_timezone", text, timezone=store.timezone)
        try:
            parse_hours(store.opening_hours)
        except InvalidHours as error:
            text = _("{store} has opening hours that cannot be read: {problem}.")
            yield _fault_of(store, "invalid_hours", text, problem=str(error))


def _fault_of(store: "Store", code: str, text: str, **values: str) -> Fault:
    return Fault("/stores", code, text, {"store": store.name, **values})
