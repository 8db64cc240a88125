"""Kinds of events, the payload of each, and the id of an event. Payloads hold ids and codes: no places, no texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, get_args
from uuid import UUID, uuid5

_NAMESPACE = UUID("5f0c3d7e-6a52-5b1d-9c84-3d1a7e90b6f2")


class EventKind(StrEnum):
    """Everything the log records. A kind is stored by its value, so a value never changes."""

    VISIT_CONFIRMED = "visit.confirmed"
    OFFER_UNLOCKED = "offer.unlocked"
    UNLOCK_REFUSED = "unlock.refused"
    RESERVATION_GAVE_WAY = "reservation.gave_way"
    OFFER_PLAYED = "offer.played"
    COUPON_ISSUED = "coupon.issued"
    COUPON_REDEEMED = "coupon.redeemed"
    COUPON_RECALLED = "coupon.recalled"
    REDEMPTION_VOIDED = "redemption.voided"
    CONSENT_CHANGED = "consent.changed"


@dataclass(frozen=True, slots=True)
class VisitConfirmed:
    """A visit counts. `confirmed_by`: dwell, unlock or scan."""

    kind: ClassVar = EventKind.VISIT_CONFIRMED
    visit_id: UUID
    confirmed_by: str


@dataclass(frozen=True, slots=True)
class OfferUnlocked:
    """A device was granted a campaign's offer, on this level of assurance."""

    kind: ClassVar = EventKind.OFFER_UNLOCKED
    unlock_id: UUID
    level: int


@dataclass(frozen=True, slots=True)
class UnlockRefused:
    """A device was refused and sent to a store: the event's store. `reason` is the problem's code."""

    kind: ClassVar = EventKind.UNLOCK_REFUSED
    reason: str


@dataclass(frozen=True, slots=True)
class ReservationGaveWay:
    """The unit of a device's reservation went to a device at the store. `reservation`: the key of its deleted row."""

    kind: ClassVar = EventKind.RESERVATION_GAVE_WAY
    reservation: int


@dataclass(frozen=True, slots=True)
class OfferPlayed:
    """A device played, and won or did not win."""

    kind: ClassVar = EventKind.OFFER_PLAYED
    unlock_id: UUID
    is_won: bool


@dataclass(frozen=True, slots=True)
class CouponIssued:
    """A device received a coupon. `source`: unlock, draw, referral, reward, import or goodwill."""

    kind: ClassVar = EventKind.COUPON_ISSUED
    coupon_id: UUID
    source: str


@dataclass(frozen=True, slots=True)
class CouponRedeemed:
    """A till took one unit of a coupon."""

    kind: ClassVar = EventKind.COUPON_REDEEMED
    coupon_id: UUID
    redemption_id: UUID
    unit: int


@dataclass(frozen=True, slots=True)
class CouponRecalled:
    """A coupon was recalled: tills refuse it from then on."""

    kind: ClassVar = EventKind.COUPON_RECALLED
    coupon_id: UUID


@dataclass(frozen=True, slots=True)
class RedemptionVoided:
    """A redemption was taken back; its unit can be redeemed again."""

    kind: ClassVar = EventKind.REDEMPTION_VOIDED
    coupon_id: UUID
    redemption_id: UUID


@dataclass(frozen=True, slots=True)
class ConsentChanged:
    """A device's owner consented to a purpose, or withdrew the consent."""

    kind: ClassVar = EventKind.CONSENT_CHANGED
    purpose: str
    is_granted: bool


Payload = (
    VisitConfirmed
    | OfferUnlocked
    | UnlockRefused
    | ReservationGaveWay
    | OfferPlayed
    | CouponIssued
    | CouponRedeemed
    | CouponRecalled
    | RedemptionVoided
    | ConsentChanged
)
PAYLOADS: Mapping[EventKind, type[Payload]] = {payload.kind: payload for payload in get_args(Payload)}


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to record. `subject` is the key of the row that it reports; a row has one event of each kind."""

    payload: Payload
    subject: object
    occurred_at: datetime
    device_id: UUID
    campaign_id: int | None = None
    store_id: int | None = None

    @property
    def id(self) -> UUID:
        """The same for the same thing, so that an event recorded twice is one row."""
        return name_event(self.payload.kind, self.subject)


def name_event(kind: EventKind, subject: object) -> UUID:
    """Derive an event's id from its kind and the key of the row that it reports."""
    return uuid5(_NAMESPACE, f"{kind}|{subject}")
