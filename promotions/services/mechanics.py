"""The base class of mechanics, and the lookup by kind. A mechanic is what makes one kind of campaign different.

The packages in `promotions/mechanics` implement it. Nothing here imports them: `register` receives them at start.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.db.models import Model

from promotions.errors import Fault
from promotions.errors import gettext_noop as _
from promotions.logic.campaign_rules import CampaignValues
from promotions.models import Campaign, Coupon, Unlock
from promotions.models.kinds import KINDS, OUTCOMES

if TYPE_CHECKING:
    from geofence.models import Store


@dataclass(frozen=True, slots=True)
class Outcome:
    """A possible result of an unlock. `value` is stored and part of the API."""

    value: str
    label: str
    has_coupon: bool


@dataclass(frozen=True, slots=True)
class Benefit:
    """The benefit of a coupon, and how often it can be redeemed."""

    name: str
    units: int = 1


@dataclass(frozen=True, slots=True)
class Grant:
    """The result of one unlock: an outcome of the mechanic, and the benefit of its coupon if it has one."""

    outcome: Outcome
    benefit: Benefit | None = None


class Mechanic:
    """One kind of campaign. A subclass sets the first five attributes and `grant`; everything else has a default."""

    kind: ClassVar[str]
    label: ClassVar[str]
    # The first one is stored before `grant` runs.
    outcomes: ClassVar[tuple[Outcome, ...]] = ()
    # The serializer of the app's answer, a subclass of `promotions.http.device.answers.UnlockAnswer`.
    unlock_answer: ClassVar[type[Any]]

    # Opening and editing a campaign

    # Fields that cannot change after the first opening, besides those of every campaign.
    frozen_when_opened: ClassVar[frozenset[str]] = frozenset()
    # The rows that only campaigns of this kind have, by the campaign's name for them. They are frozen when it opens.
    rows: ClassVar[Mapping[str, type[Model]]] = {}
    # Their admin inlines, subclasses of `promotions.admin.base.MechanicInline`. `Media` of an inline brings scripts.
    inlines: ClassVar[tuple[type[Any], ...]] = ()

    def find_editing_faults(self, campaign: Campaign, changes: CampaignValues) -> Iterable[Fault]:
        """Yield what is wrong with a campaign that has its new values and is not saved yet.

        `changes` are the new values, its rows among them. Changes of frozen fields are rejected without this.
        """
        return ()

    def find_opening_faults(self, campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> Iterable[Fault]:
        """Yield what keeps the campaign from being opened in these stores, besides the rules of every campaign."""
        return ()

    def seal(self, campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> None:
        """Fix what must not depend on later events, once, in the transaction of the first opening.

        May set fields of the campaign; the caller saves `seed` and `seed_commitment`.
        """

    # At the store

    # The serializer of the field `play` of a request to unlock, such as a vote. None: there is no such field.
    play_input: ClassVar[type[Any] | None] = None

    def find_refusal(self, campaign: Campaign, device_id: UUID, now: datetime) -> str | None:
        """Return the problem code that refuses a device at the store, or None to continue."""
        return None

    def grant(self, unlock: Unlock, play: Mapping[str, Any], now: datetime) -> Grant:
        """Decide the outcome of a new unlock, in its transaction. Runs once per device and campaign.

        The unlock's row exists, the device's row is locked, and presence was checked. The cap's row is locked after it.
        `play` contains what `play_input` read.
        """
        raise NotImplementedError

    def list_benefits(self, campaigns: Sequence[Campaign]) -> Iterator[tuple[Campaign, Benefit]]:
        """Yield every benefit that future coupons of these live campaigns can have, for tills that go offline.

        The number of queries must not depend on the number of campaigns.
        """
        yield from ()

    def note_for_staff(self, coupon: Coupon) -> str:
        """Return a sentence that the till shows below the benefit, or an empty text."""
        return ""

    # Answers and figures

    # Relations that `describe_unlock` reads. They are fetched once for a page of unlocks.
    unlock_relations: ClassVar[tuple[str, ...]] = ()

    def describe_unlock(self, unlock: Unlock) -> Mapping[str, Any]:
        """Return the fields of the app's answer that `unlock_answer` adds."""
        return {}

    def count_figures(self, campaign: Campaign) -> Mapping[str, int]:
        """Return the mechanic's own figures for the report: counts of things, which are shown however small.

        A count of devices does not belong here: the report counts unlocks by outcome, and hides small counts.
        """
        return {}

    # Conditions that a restored backup must meet, by name: each query counts the rows that violate one.
    invariants: ClassVar[Mapping[str, str]] = {}


class _Unregistered(Mechanic):
    """The mechanic of rows whose kind this release does not know, such as those of a later release."""

    kind = ""
    label = ""

    def find_opening_faults(self, campaign: Campaign, stores: "Sequence[Store]", now: datetime) -> Iterable[Fault]:
        """Yield the one fault: the kind."""
        yield Fault(
            "/kind",
            "kind_not_supported",
            _("Campaigns of the kind “{kind}” cannot be opened."),
            {"kind": campaign.kind},
        )


_REGISTERED: dict[str, Mechanic] = {}
_UNREGISTERED = _Unregistered()


def register(mechanics: Iterable[Mechanic]) -> None:
    """Make these mechanics known. Runs once, at start. Errors: ValueError for two of one kind."""
    for mechanic in mechanics:
        if mechanic.kind in _REGISTERED:
            raise ValueError(f"two mechanics have the kind {mechanic.kind!r}")
        _REGISTERED[mechanic.kind] = mechanic
        KINDS[mechanic.kind] = mechanic.label
        OUTCOMES.update((outcome.value, outcome.label) for outcome in mechanic.outcomes)


def list_mechanics() -> Sequence[Mechanic]:
    """Return all registered mechanics, in the order of the registry."""
    return tuple(_REGISTERED.values())


def list_rows() -> Mapping[str, type[Model]]:
    """Return the rows that only some kinds of campaigns have, by the campaign's name for them."""
    return {name: model for mechanic in list_mechanics() for name, model in mechanic.rows.items()}


def is_supported(kind: str) -> bool:
    """Return whether campaigns of a kind can be opened."""
    return kind in _REGISTERED


def mechanic_of(campaign: Campaign) -> Mechanic:
    """Return a campaign's mechanic. The one of an unknown kind adds nothing, and its campaigns cannot be opened."""
    return _REGISTERED.get(campaign.kind, _UNREGISTERED)


def list_benefits(campaigns: Iterable[Campaign]) -> Iterator[tuple[Campaign, Benefit]]:
    """Yield every benefit that future coupons of these campaigns can have, mechanic by mechanic."""
    by_kind = defaultdict[str, list[Campaign]](list)
    for campaign in campaigns:
        by_kind[campaign.kind].append(campaign)
    for mechanic in list_mechanics():
        yield from mechanic.list_benefits(by_kind[mechanic.kind])
