"""Scans at a till and the coupon they identify. A stranger's coupon, a forged one and none at all look the same."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from django.conf import settings
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL

from geofence.services.relations import STORES
from promotions.errors import DomainError
from promotions.logic import codes
from promotions.models import Coupon, Redemption, StaffDevice
from promotions.services.unlocks import coupon_tokens

# A till's clock is corrected by the skew of its last synchronisation; a clock that is still further off is not trusted.
MAX_SCAN_AHEAD = timedelta(minutes=2)
# People review a queue that was offline for longer than a long weekend.
MAX_SCAN_AGE = timedelta(hours=72)
# Demo codes begin so and fail the check character on purpose; a code of a customer may begin so, and passes it.
_TRAINING = "TRAIN"


@dataclass(frozen=True, slots=True)
class Scan:
    """Input of a till: a typed code or a scanned token, and a nonce that names this scan.

    `is_vouched`: staff vouch for the customer's presence, if it is required.
    """

    nonce: UUID
    scanned_at: datetime
    source: Redemption.Source
    code: str = ""
    token: str = ""
    amount: Decimal | None = None
    is_vouched: bool = False

    def fingerprint(self) -> bytes:
        """Return a value equal for repeats of one scan. A dry run is the same scan: it checks whether the benefit is
        due.

        Errors: `code_malformed`, `training_code`.
        """
        column, digest = ("token_digest", self._digest(self.token)) if self.token else ("code_digest", self._typed())
        content = [column, digest.hex(), str(self.amount), self.scanned_at.isoformat(), self.source]
        vouched = ["vouched"] if self.is_vouched else []
        return hashlib.sha256(json.dumps([*content, *vouched]).encode()).digest()

    def find_coupon(self, *, staff_device: StaffDevice, now: datetime) -> "Shown | None":
        """Find the scanned coupon, if any store of the till's partner takes it. One query for every input.

        Errors: `code_malformed`.
        """
        token = coupon_tokens.identify_token(self.token) if self.token else None
        if self.token:
            # A forged text runs the same query, for a coupon that does not exist: the response time reveals nothing.
            condition: dict[str, object] = {"pk": token.claims.coupon_id if token else uuid4()}
        else:
            condition = {"code_digest": self._typed()}
        coupon = _taken_by(staff_device).filter(**condition).first()
        if coupon is None:
            return None
        return Shown(self, coupon, is_screenshot=token is not None and not token.is_fresh(now))

    def _typed(self) -> bytes:
        fault = codes.check(self.code)
        if fault is not None:
            raise _code_malformed(fault)
        return self._digest(codes.normalise(self.code))

    @staticmethod
    def _digest(text: str) -> bytes:
        return codes.digest(settings.CODE_SECRET.encode(), text)


@dataclass(frozen=True, slots=True)
class Shown:
    """A scan and the coupon it identifies. `is_screenshot`: the QR was rendered too long ago to come from the app
    itself."""

    scan: Scan
    coupon: Coupon
    is_screenshot: bool


def require_no_training(scan: Scan) -> None:
    """Errors: `training_code`. Such codes are answered by the page itself and never reach a rule."""
    prefix = codes.normalise(_TRAINING)
    is_demo = codes.normalise(scan.code).startswith(prefix) and codes.check(scan.code) is not None
    if is_demo or scan.token.upper().startswith(_TRAINING):
        raise DomainError("training_code")


def find_implausible(scan: Scan, *, staff_device: StaffDevice, now: datetime) -> DomainError | None:
    """`scanned_at_implausible`, with our time, when the till's clock or its queue cannot be right."""
    ahead = corrected_at(scan, staff_device=staff_device) - now
    is_plausible = -MAX_SCAN_AGE <= ahead <= MAX_SCAN_AHEAD
    return None if is_plausible else scanned_at_implausible(now)


def corrected_at(scan: Scan, *, staff_device: StaffDevice) -> datetime:
    """Return the instant of the scan by our clock, as far as the skew of the till's clock is known."""
    try:
        return scan.scanned_at - timedelta(milliseconds=staff_device.clock_ahead_ms or 0)
    except OverflowError:
        # At the calendar's end it is implausible with and without correction.
        return scan.scanned_at


def scanned_at_implausible(now: datetime) -> DomainError:
    """Refuse a scan at an impossible time; `server_time` allows the page to distinguish a wrong clock from a queue."""
    return DomainError("scanned_at_implausible", server_time=now)


def _taken_by(staff_device: StaffDevice) -> QuerySet[Coupon]:
    """Coupons that the till's store, or another store of its partner, takes; all others belong to strangers."""
    is_ours = RawSQL(
        f"""
        promotions_coupon.store_ids @> to_jsonb(%s::bigint) OR EXISTS (
            SELECT 1 FROM {STORES} sibling
            WHERE sibling.partner_id = %s AND promotions_coupon.store_ids @> to_jsonb(sibling.id)
        )
        """,
        [staff_device.store_id, staff_device.store.partner_id],
        output_field=BooleanField(),
    )
    return Coupon.objects.select_related("campaign").filter(is_ours)


def _code_malformed(fault: codes.CodeFault) -> DomainError:
    if fault.kind == codes.CodeFaultKind.LENGTH:
        detail = f"A code has {codes.CODE_LENGTH} characters, this one has {fault.length}."
    elif fault.kind == codes.CodeFaultKind.CHARACTER:
        places = " and ".join(str(position) for position in fault.positions)
        detail = f"No code has such a character at position {places}."
    else:
        detail = "The check character does not fit: one of the characters is mistyped."
    return DomainError(
        "code_malformed", detail, fault=fault.kind.value, positions=list(fault.positions), length=fault.length
    )
