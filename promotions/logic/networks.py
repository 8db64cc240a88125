"""Budgets of a network: how many unlocks and reservations one campaign gives to one network, by the evidence of each.

A budget fills up evenly. A network may take a burst at once, then goes at the pace of the hour, up to the limit of the
day. Evidence lowers the cost: a phone that stayed at the store costs a tenth of one that only claims a position, and
one that shows the store's code costs nothing.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv6Address, ip_address

from promotions.logic.assurance import Level

# Costs are in tenths, so that a stay costs a whole number.
WEAK_COST, SUSTAINED_COST = 10, 1
_HOUR_MS = 3_600_000
_IPV4_HOST_BITS, _IPV6_HOST_BITS = 8, 80
# A phone's installation counts as new for so long: a burst of them at one store is what an attack looks like.
YOUNG_S = 600


class BudgetKind(StrEnum):
    """What a network takes."""

    UNLOCK = "unlock"
    RESERVATION = "reservation"


class Verdict(StrEnum):
    """Answer of a budget; `SLOW` is over after a wait, `USED_UP` at the end of the day."""

    GRANTED = "granted"
    SLOW = "slow"
    USED_UP = "used_up"


@dataclass(frozen=True, slots=True)
class Rates:
    """Numbers of a budget: devices on weak evidence at once, per hour and per day."""

    burst: int
    per_hour: int
    per_day: int

    @property
    def step_ms(self) -> float:
        """Milliseconds in which a tenth of a device becomes free."""
        return _HOUR_MS / (self.per_hour * WEAK_COST)

    @property
    def tolerance_ms(self) -> float:
        """How far a network may be ahead of the pace: the burst."""
        return self.burst * WEAK_COST * self.step_ms

    @property
    def most(self) -> int:
        """The limit of the day in tenths."""
        return self.per_day * WEAK_COST

    def share(self, processes: int) -> "Rates":
        """Return the numbers of one of several processes that count separately: at least one device of each."""
        return Rates(*(max(1, number // max(1, processes)) for number in (self.burst, self.per_hour, self.per_day)))


@dataclass(frozen=True, slots=True)
class Taken:
    """State of a budget: when it is full again if nothing more is taken, and what was taken that day, in tenths."""

    full_at_ms: float = 0.0
    spent: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """Answer to one request; `wait_ms` is 0 unless the verdict is `SLOW`."""

    verdict: Verdict
    wait_ms: int = 0


def charge(taken: Taken, rates: Rates, cost: int, now_ms: float) -> tuple[Taken, Charge]:
    """Take from a budget, or leave it as it is. The script in `promotions/networks.py` does the same in Redis."""
    if taken.spent + cost > rates.most:
        return taken, Charge(Verdict.USED_UP)
    full_at_ms = max(taken.full_at_ms, now_ms) + cost * rates.step_ms
    wait_ms = full_at_ms - now_ms - rates.tolerance_ms
    # A thousandth of a millisecond is the rounding of the sums.
    if wait_ms > 0.001:
        return taken, Charge(Verdict.SLOW, math.ceil(wait_ms))
    return Taken(full_at_ms, taken.spent + cost), Charge(Verdict.GRANTED)


def cost_of(level: int) -> int:
    """Return what an unlock on this level of assurance costs, in tenths; nothing with the store's code."""
    if level >= Level.CO_PRESENT:
        return 0
    return SUSTAINED_COST if level >= Level.SUSTAINED else WEAK_COST


def is_young(registered_at: datetime, now: datetime) -> bool:
    """Return whether an installation is new."""
    return (now - registered_at).total_seconds() < YOUNG_S


def network_of(address: str) -> str:
    """Return the network that counts as one: the /24 of an IPv4 address, or the /48 of an IPv6 address.

    An address that cannot be read is its own network; missing ones are one network.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        if mapped is None:
            return f"{IPv6Address(int(parsed) >> _IPV6_HOST_BITS << _IPV6_HOST_BITS)}/48"
        parsed = mapped
    return f"{type(parsed)(int(parsed) >> _IPV4_HOST_BITS << _IPV4_HOST_BITS)}/24"


# By kind and verdict, in English and French. `{wait}` comes with its unit.
_SENTENCES: Mapping[str, Mapping[tuple[BudgetKind, Verdict], str]] = {
    "en": {
        (BudgetKind.UNLOCK, Verdict.SLOW): (
            "Many phones on this network are asking for this offer. Try again in {wait}, or scan the code on the "
            "counter"
        ),
        (BudgetKind.UNLOCK, Verdict.USED_UP): (
            "This network has used up its share of this offer for today. Scan the code on the counter, or use another "
            "network"
        ),
        (BudgetKind.RESERVATION, Verdict.SLOW): (
            "Many phones on this network are reserving this offer. Try again in {wait}, or come to the store"
        ),
        (BudgetKind.RESERVATION, Verdict.USED_UP): (
            "This network has used up its reservations of this offer for today. Come to the store without one"
        ),
    },
    "fr": {
        (BudgetKind.UNLOCK, Verdict.SLOW): (
            "Beaucoup de téléphones de ce réseau demandent cette offre. Réessayez dans {wait} ou scannez le code du "
            "comptoir"
        ),
        (BudgetKind.UNLOCK, Verdict.USED_UP): (
            "Ce réseau a épuisé sa part de cette offre pour aujourd’hui. Scannez le code du comptoir ou changez de "
            "réseau"
        ),
        (BudgetKind.RESERVATION, Verdict.SLOW): (
            "Beaucoup de téléphones de ce réseau réservent cette offre. Réessayez dans {wait} ou venez au magasin"
        ),
        (BudgetKind.RESERVATION, Verdict.USED_UP): (
            "Ce réseau a épuisé ses réservations de cette offre pour aujourd’hui. Venez au magasin sans réserver"
        ),
    },
}


def describe_refusal(kind: BudgetKind, verdict: Verdict, wait_s: int, language: str) -> str:
    """Return the sentence for a person; in English unless the language is French."""
    wait = f"{wait_s} s" if wait_s < 120 else f"{math.ceil(wait_s / 60)} min"
    return _SENTENCES.get(language, _SENTENCES["en"])[kind, verdict].format(wait=wait)
