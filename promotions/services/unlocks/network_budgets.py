"""The budget of a device's network, asked before an unlock or a reservation, and the watch over bursts."""

import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from promotions import metrics, networks
from promotions.logic.networks import WEAK_COST, BudgetKind, Charge, Verdict, cost_of, describe_refusal, is_young
from promotions.models import Campaign, Device, Unlock
from promotions.networks import Payer

# An admin page reads no more rows than this.
_COUNTED = 5_000
BUSY, USED_UP = "network_busy", "network_used_up"


@dataclass(frozen=True, slots=True)
class NetworkRefusal:
    """A network's budget does not allow the request: the problem's code and its fields."""

    code: str
    fields: dict[str, Any]


def find_unlock_refusal(
    campaign: Campaign, device: Device, network: str, level: int, now: datetime
) -> NetworkRefusal | None:
    """Charge the network for an unlock on this level. Nothing is counted if `network` is empty."""
    if not network:
        return None
    payer = Payer(campaign.pk, network, device.pk, cost_of(level))
    return _describe(BudgetKind.UNLOCK, networks.UNLOCKS.charge(payer, now=now), device)


def find_reservation_refusal(campaign: Campaign, device: Device, network: str, now: datetime) -> NetworkRefusal | None:
    """Charge the network for a reservation. Nothing is counted if `network` is empty."""
    if not network:
        return None
    payer = Payer(campaign.pk, network, device.pk, WEAK_COST)
    return _describe(BudgetKind.RESERVATION, networks.RESERVATIONS.charge(payer, now=now), device)


def watch_burst(campaign: Campaign, device: Device, network: str, now: datetime) -> None:
    """Count a new unlock by the age of its installation, and raise an alarm over a network with many new ones."""
    if not is_young(device.registered_at, now):
        metrics.UNLOCK_INSTALLATION.labels(str(campaign.uuid), "older").inc()
        return
    metrics.UNLOCK_INSTALLATION.labels(str(campaign.uuid), "new").inc()
    if network:
        count = networks.count_new_installation(campaign_id=campaign.pk, network=network, now=now)
        if count > settings.NETWORK_NEW_INSTALLATIONS_NORM:
            metrics.UNLOCK_BURST.labels(str(campaign.uuid)).inc()


@dataclass(frozen=True, slots=True)
class RecentUnlocks:
    """Unlocks of a campaign in the last hour. `new`: by new installations; `from_one_network`: at most so many of them
    from one network in a clock hour, 0 if that is not known.
    """

    total: int
    new: int
    from_one_network: int


def count_recent_unlocks(*, campaign_id: int, now: datetime) -> RecentUnlocks:
    """Count the newest unlocks of the last hour, `_COUNTED` at most."""
    since = now - timedelta(hours=1)
    newest = Unlock.objects.filter(campaign_id=campaign_id, granted_at__gt=since).order_by("-granted_at")[:_COUNTED]
    ages = [
        is_young(registered_at, granted_at)
        for registered_at, granted_at in newest.values_list("device__registered_at", "granted_at")
    ]
    return RecentUnlocks(len(ages), sum(ages), networks.read_largest_burst(campaign_id=campaign_id, now=now))


def _describe(kind: BudgetKind, answer: Charge, device: Device) -> NetworkRefusal | None:
    if answer.verdict is Verdict.GRANTED:
        return None
    wait_s = max(1, math.ceil(answer.wait_ms / 1000))
    language = re.split("[-_]", device.locale, maxsplit=1)[0].lower()
    fields: dict[str, Any] = {"message": describe_refusal(kind, answer.verdict, wait_s, language)}
    if answer.verdict is Verdict.USED_UP:
        return NetworkRefusal(USED_UP, fields)
    return NetworkRefusal(BUSY, {**fields, "retry_after_s": wait_s})
