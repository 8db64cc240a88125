"""Scans that a till made offline and sent later: each is evaluated, none is forced. PostgreSQL only.

The till has already answered the customer; this decides who pays. The guards are those of every redemption, (coupon,
unit) and (staff device, nonce), and one row per scan under the same nonce.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from psycopg.errors import ForeignKeyViolation

from promotions import metrics
from promotions.errors import DomainError
from promotions.logic.coupon_tokens import ShownToken
from promotions.logic.offline import (
    SHIFT,
    Allowance,
    Breach,
    Limits,
    OfflineScanFacts,
    find_breach,
    find_time_breach,
    sum_given,
)
from promotions.models import Coupon, OfflineScan, Redemption, StaffDevice, StaffMember
from promotions.outages import find_outage
from promotions.services.till.redemptions import RedemptionContext, Refused, take_lowest
from promotions.services.till.rules import read_units
from promotions.services.till.scans import MAX_SCAN_AGE, MAX_SCAN_AHEAD, Scan, Shown, corrected_at
from promotions.services.till.staff_members import Till, lock_till, require_till
from promotions.services.unlocks.coupon_tokens import coupon_terms, identify_token

# Rows held too long, in one request, before the others are left for the next: it is the database then, not a coupon.
MAX_FAILURES = 3
# The same nonce for another scan: the till is at fault, so nothing is written.
NONCE_MISMATCH = "nonce_mismatch"


class ScanOutcome(StrEnum):
    """Result of a scan; `REPLAY`: it was accepted before."""

    ACCEPTED = "accepted"
    REPLAY = "replay"
    CONFLICT = "conflict"
    OUT_OF_POLICY = "out_of_policy"


@dataclass(frozen=True, slots=True)
class LateScan:
    """A scan that a till made offline."""

    token: str
    nonce: UUID
    scanned_at: datetime
    amount: Decimal | None = None

    def as_scan(self) -> Scan:
        """The same for the rules of the till."""
        return Scan(
            nonce=self.nonce,
            scanned_at=self.scanned_at,
            source=Redemption.Source.OFFLINE,
            token=self.token,
            amount=self.amount,
        )


@dataclass(frozen=True, slots=True)
class ScanEvaluation:
    """The server's evaluation of one scan. `taken_before`: the redemption that was first, in a conflict over a unit."""

    outcome: ScanOutcome
    reason: str = ""
    redemption_id: UUID | None = None
    taken_before: Redemption | None = None


def offline_limits() -> Limits:
    """Return the deployment's offline limits of a till."""
    return Limits(
        allowance=Allowance(settings.OFFLINE_COUPONS_PER_TILL, Decimal(settings.OFFLINE_VALUE_PER_TILL)),
        max_value=Decimal(settings.OFFLINE_MAX_COUPON_VALUE),
        max_age=MAX_SCAN_AGE,
        max_ahead=MAX_SCAN_AHEAD,
    )


def read_given(*, staff_device: StaffDevice, at: datetime) -> Allowance:
    """Return the amount that the till gave away offline in the fullest shift around `at`, as far as it has reported.

    Includes scans out of policy, since the benefit was given, and scans made later but reported earlier; else scans
    sent newest first would each find an empty shift. One query; exact while the till is locked.
    """
    around = OfflineScan.objects.filter(
        staff_device=staff_device, corrected_at__gt=at - SHIFT, corrected_at__lt=at + SHIFT
    )
    return sum_given((given_at, value or Decimal(0)) for given_at, value in around.values_list("corrected_at", "value"))


def evaluate_scans(*, staff_device: StaffDevice, scans: Sequence[LateScan], now: datetime) -> list[ScanEvaluation]:
    """Evaluate each scan in a separate transaction, in the order in which they were made; repeatable.

    Errors: `profile_forbidden`, `token_revoked`; `busy` when another transaction locked a row for too long. The other
    scans are evaluated anyway, and a repeat of the request finds their evaluations.
    """
    require_till(staff_device)
    evaluations: dict[int, ScanEvaluation] = {}
    failures = 0
    for place in sorted(range(len(scans)), key=lambda place: scans[place].scanned_at):
        try:
            evaluations[place] = _evaluate_scan(staff_device, scans[place], now)
        except DatabaseError as error:
            outage = find_outage(error)
            if outage is None or outage.code != "busy":
                raise
            failures += 1
            if failures == MAX_FAILURES:
                break
    if failures:
        raise DomainError("busy", "Some scans met a coupon in use; send all of them again.")
    return [evaluations[place] for place in range(len(scans))]


def _evaluate_scan(staff_device: StaffDevice, scan: LateScan, now: datetime) -> ScanEvaluation:
    try:
        evaluation = _settle(staff_device, scan, now)
    except IntegrityError as error:
        if not isinstance(error.__cause__, ForeignKeyViolation):
            raise
        # Erased during the evaluation: missing at the second check.
        evaluation = _settle(staff_device, scan, now)
    metrics.OFFLINE_SCAN.labels(evaluation.outcome.value, evaluation.reason).inc()
    return evaluation


@transaction.atomic(durable=True)
def _settle(staff_device: StaffDevice, scan: LateScan, now: datetime) -> ScanEvaluation:
    till = lock_till(staff_device=staff_device, now=now)
    return _recall(till.device, scan) or _evaluate(till, scan, now)


def _recall(device: StaffDevice, scan: LateScan) -> ScanEvaluation | None:
    """Return the decision under this nonce: here, or online when only the answer was lost."""
    known = (
        OfflineScan.objects.select_related("taken_before_by__store")
        .filter(staff_device=device, nonce=scan.nonce)
        .first()
    )
    if known is not None:
        is_same = bytes(known.fingerprint) == scan.as_scan().fingerprint()
        return _repeat_evaluation(known) if is_same else ScanEvaluation(ScanOutcome.OUT_OF_POLICY, NONCE_MISMATCH)
    redemption = Redemption.objects.filter(staff_device=device, nonce=scan.nonce).first()
    if redemption is None:
        return None
    shown = identify_token(scan.token)
    if shown is None or shown.claims.coupon_id != redemption.coupon_id or redemption.amount != scan.amount:
        return ScanEvaluation(ScanOutcome.OUT_OF_POLICY, NONCE_MISMATCH)
    return ScanEvaluation(ScanOutcome.REPLAY, redemption_id=redemption.pk)


def _repeat_evaluation(known: OfflineScan) -> ScanEvaluation:
    if known.outcome == OfflineScan.Outcome.ACCEPTED:
        return ScanEvaluation(ScanOutcome.REPLAY, redemption_id=known.redemption_id)
    return ScanEvaluation(ScanOutcome(known.outcome), known.reason, taken_before=known.taken_before_by)


def _evaluate(till: Till, scan: LateScan, now: datetime) -> ScanEvaluation:
    token = identify_token(scan.token)
    # As online, a stranger's coupon looks like a forged one.
    shown = scan.as_scan().find_coupon(staff_device=till.device, now=now)
    record = _begin_record(till, scan, shown.coupon if shown else None, now)
    limits = offline_limits()
    if token is None or shown is None:
        breach = find_time_breach(
            corrected_at=record.corrected_at,
            received_at=now,
            enrolled_at=till.device.enrolled_at,
            limits=limits,
        )
        return _close(record, ScanOutcome.OUT_OF_POLICY, breach or _explain_missing(token))
    coupon = shown.coupon
    facts = OfflineScanFacts(
        terms=coupon_terms(coupon),
        valid_from=coupon.valid_from,
        valid_until=coupon.valid_until,
        recalled_at=coupon.recalled_at,
        store_id=till.device.store_id,
        enrolled_at=till.device.enrolled_at,
        corrected_at=record.corrected_at,
        received_at=now,
        # By the till's own clock, too: offline it may be the only one that the phone agrees with.
        was_fresh=token.is_fresh(record.corrected_at) or token.is_fresh(scan.scanned_at),
        has_amount=scan.amount is not None,
        given=read_given(staff_device=till.device, at=record.corrected_at),
    )
    breach = find_breach(facts, limits)
    return _take(till, shown, record) if breach is None else _close(record, ScanOutcome.OUT_OF_POLICY, breach)


def _explain_missing(token: ShownToken | None) -> Breach:
    is_gone = token is not None and not Coupon.objects.filter(pk=token.claims.coupon_id).exists()
    return Breach.COUPON_GONE if is_gone else Breach.CODE_UNKNOWN


def _begin_record(till: Till, scan: LateScan, coupon: Coupon | None, now: datetime) -> OfflineScan:
    """The row to be, without its outcome. No scan is dated after its arrival by a clock that is a little ahead."""
    as_scan = scan.as_scan()
    corrected = corrected_at(as_scan, staff_device=till.device)
    is_a_little_ahead = now < corrected <= now + MAX_SCAN_AHEAD
    return OfflineScan(
        staff_device=till.device,
        staff_member=_find_member(till.device, corrected),
        store_id=till.device.store_id,
        nonce=scan.nonce,
        fingerprint=as_scan.fingerprint(),
        coupon=coupon,
        amount=scan.amount,
        value=coupon.value if coupon else None,
        scanned_at=scan.scanned_at,
        corrected_at=now if is_a_little_ahead else corrected,
        received_at=now,
    )


def _find_member(device: StaffDevice, at: datetime) -> StaffMember | None:
    """Return the member signed in at that instant, if still signed in. The idle time does not count: an offline till
    cannot report it."""
    if device.signed_in_at is None or device.signed_in_at > at:
        return None
    return device.staff_member


def _take(till: Till, shown: Shown, record: OfflineScan) -> ScanEvaluation:
    """Take a unit, dated at the scan; or record a conflict with the till that was faster."""
    late = Till(device=till.device, member=record.staff_member, has_members=till.has_members)
    context = RedemptionContext(late, shown, level=0, is_late=True)
    taken = take_lowest(context, read_units(shown.coupon), record.corrected_at)
    if not isinstance(taken, Refused):
        record.redemption = taken.redemption
        return _close(record, ScanOutcome.ACCEPTED, "")
    if taken.error.code == "already_redeemed":
        record.taken_before_by = read_units(shown.coupon).latest
    return _close(record, ScanOutcome.CONFLICT, taken.error.code)


def _close(record: OfflineScan, outcome: ScanOutcome, reason: str) -> ScanEvaluation:
    record.outcome = OfflineScan.Outcome(outcome.value)
    record.reason = str(reason)
    record.save(force_insert=True)
    return ScanEvaluation(outcome, record.reason, record.redemption_id, record.taken_before_by)
