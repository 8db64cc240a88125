"""Limits for unknown codes at tills: budgets per staff device, store and deployment. PostgreSQL only.

Every `code_unknown` refusal is a guess. Typing slips cost nothing, the check character finds them. The device's budget
is exact, since a device scans one at a time; the wider budgets can be exceeded by one guess per device that scans at
the same time.
"""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from promotions.errors import DomainError
from promotions.models import Refusal, StaffDevice

# A code has 50 bits; ten guesses a minute find one of a million live coupons in about two centuries.
GUESSES_PER_DEVICE = 10
# Three tills' worth: a store's tills can be stolen together, and no store misreads thirty codes in a minute.
GUESSES_PER_STORE = 30
_MINUTE = timedelta(minutes=1)


def require_guesses(*, staff_device: StaffDevice, now: datetime) -> None:
    """Errors: `rate_limited` when a budget is used up.

    Guesses of others never block a device without a wrong guess in the last minute: else one stolen tablet
    could block every honest till. The price is one guess a minute for each enrolled device beyond the wider budgets.
    """
    own = _guesses(now).filter(staff_device=staff_device)
    newest = _newest(own, GUESSES_PER_DEVICE)
    if not newest:
        return
    waits = list(_waits_s(newest, GUESSES_PER_DEVICE, now))
    if not waits:
        at_store = _guesses(now).filter(store_id=staff_device.store_id)
        waits += _waits_s(_newest(at_store, GUESSES_PER_STORE), GUESSES_PER_STORE, now)
        most = settings.GUESSES_PER_MINUTE
        waits += _waits_s(_newest(_guesses(now), most), most, now)
    if waits:
        raise DomainError("rate_limited", "Too many codes that are not ours.", retry_after_s=max(waits))


def _guesses(now: datetime) -> QuerySet[Refusal]:
    # An unknown code has no campaign, so the index on (campaign, refused_at) finds them.
    return Refusal.objects.filter(campaign=None, reason="code_unknown", refused_at__gt=now - _MINUTE)


def _newest(guesses: QuerySet[Refusal], most: int) -> list[datetime]:
    return list(guesses.order_by("-refused_at").values_list("refused_at", flat=True)[:most])


def _waits_s(newest: list[datetime], most: int, now: datetime) -> Iterator[int]:
    """Seconds until the oldest of a full budget's guesses no longer counts; nothing while there is room."""
    if 0 < most <= len(newest):
        yield max(1, math.ceil((newest[-1] + _MINUTE - now).total_seconds()))
