"""Whether a message may go now, and when to try again. Quiet hours drop a message; they never hold it back."""

import re
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo

# FCM asks for at least 10 s before a retry; Mozilla's autopush-rs uses 10 s and 3,600 s as its bounds.
RETRY_BASE_S = 10.0
RETRY_CEILING_S = 3_600.0
# With the delays above the last try comes some 40 minutes to an hour after the first; no location message lives longer.
MAX_ATTEMPTS = 9

_QUIET_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])\s*-\s*([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `starts_at` to before `ends_at` by the clock on the wall; over midnight when the end is the smaller."""

    starts_at: time
    ends_at: time


class Verdict(StrEnum):
    """What becomes of an outbox row."""

    SEND = "send"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"


class SendReason(StrEnum):
    """Why a row is not sent; the first that applies, in this order."""

    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    DEVICE_INACTIVE = "device_inactive"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    UNREACHABLE = "unreachable"
    QUIET_HOURS = "quiet_hours"


@dataclass(frozen=True, slots=True)
class OutboxFacts:
    """What the sender knows of a row when it is about to send it.

    `is_withdrawn`: whoever wrote the row does not want it sent any more. `zone`: where quiet hours are read;
    None for a message to which they do not apply.
    """

    expires_at: datetime
    zone: ZoneInfo | None
    is_withdrawn: bool = False
    device_is_active: bool = True
    has_consent: bool = True
    is_reachable: bool = True


@dataclass(frozen=True, slots=True)
class SendDecision:
    """The verdict, and the reason when it is not to send."""

    verdict: Verdict
    reason: SendReason | None


def parse_quiet_hours(text: str) -> QuietHours | None:
    """`21:30-08:00`; empty is none. Raises ValueError for anything else, equal times included."""
    if not text.strip():
        return None
    match = _QUIET_HOURS.fullmatch(text.strip())
    if not match:
        raise ValueError("quiet hours look like 21:30-08:00, or are empty")
    start_hour, start_minute, end_hour, end_minute = (int(group) for group in match.groups())
    quiet_hours = QuietHours(time(start_hour, start_minute), time(end_hour, end_minute))
    if quiet_hours.starts_at == quiet_hours.ends_at:
        raise ValueError("quiet hours must not start and end at the same time; leave them empty for none")
    return quiet_hours


def is_quiet(quiet_hours: QuietHours | None, instant: datetime, zone: ZoneInfo) -> bool:
    """Whether the wall clock of the zone stands within quiet hours; an hour that comes twice counts twice."""
    if quiet_hours is None:
        return False
    wall = instant.astimezone(zone).time()
    if quiet_hours.starts_at <= quiet_hours.ends_at:
        return quiet_hours.starts_at <= wall < quiet_hours.ends_at
    return wall >= quiet_hours.starts_at or wall < quiet_hours.ends_at


def judge_send(facts: OutboxFacts, quiet_hours: QuietHours | None, now: datetime) -> SendDecision:
    """Whether a row may go at this moment. Too late comes first: it is true whatever else is."""
    if now >= facts.expires_at:
        return SendDecision(Verdict.EXPIRED, SendReason.EXPIRED)
    reason = _suppression(facts, quiet_hours, now)
    return SendDecision(Verdict.SUPPRESSED if reason else Verdict.SEND, reason)


def _suppression(facts: OutboxFacts, quiet_hours: QuietHours | None, now: datetime) -> SendReason | None:
    objections = (
        (SendReason.WITHDRAWN, facts.is_withdrawn),
        (SendReason.DEVICE_INACTIVE, not facts.device_is_active),
        (SendReason.CONSENT_WITHDRAWN, not facts.has_consent),
        (SendReason.UNREACHABLE, not facts.is_reachable),
        (SendReason.QUIET_HOURS, facts.zone is not None and is_quiet(quiet_hours, now, facts.zone)),
    )
    return next((reason for reason, applies in objections if applies), None)


def next_delay_s(attempts: int, jitter: float, retry_after_s: float | None = None) -> float | None:
    """Seconds to wait after so many attempts that failed, or None when it is time to give up.

    Doubles from `RETRY_BASE_S` and adds up to half of that by `jitter` in [0, 1), which the caller draws. A provider's
    own Retry-After is a lower bound. Sample: attempts 1, 2, 3 with jitter 0 wait 10, 20, 40 s.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    delay_s = RETRY_BASE_S * 2.0 ** max(attempts - 1, 0)
    if retry_after_s is not None:
        delay_s = max(delay_s, retry_after_s)
        # Asked for by the provider, so the ceiling does not shorten it; jitter still spreads the return.
        return delay_s + min(delay_s, RETRY_BASE_S) * jitter / 2
    return min(delay_s * (1 + jitter / 2), RETRY_CEILING_S)
