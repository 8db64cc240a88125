"""Limits of failed sign-ins, counted in PostgreSQL before a credential is checked. A restart forgets nothing.

Counting first is the guard against parallel guesses: of a hundred requests at once, five check a password.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from promotions.logic import sign_ins
from promotions.logic.sign_ins import Count, Limit
from promotions.models import AdminSession, SignInCounter
from promotions.services.accounts.security_log import Origin


@dataclass(frozen=True, slots=True)
class Charge:
    """A counted attempt. `unlock_at`: it is refused until then, and was not counted."""

    keys: Mapping[str, Limit]
    unlock_at: datetime | None
    # This attempt was the last one allowed: if it fails, the account is locked in this network.
    is_last: bool = False


def charge_sign_in(*, account: str, origin: Origin, now: datetime) -> Charge:
    """Count an attempt before its check, or refuse it. One transaction; not repeatable."""
    account = account.strip().casefold()
    subnet = sign_ins.find_subnet(origin.address)
    limits = {_digest("pair", account, subnet): sign_ins.PAIR}
    # Where the account has signed in before, other people's failures do not lock it out.
    if not _is_known(account, origin):
        limits[_digest("account", account)] = sign_ins.ACCOUNT
        limits[_digest("network", subnet)] = sign_ins.NETWORK
    return _charge(limits, now=now)


def charge_reset(*, address: str, origin: Origin, now: datetime) -> Charge:
    """Count a request for a mail, or refuse it."""
    limits = {
        _digest("reset-address", address.strip().casefold()): sign_ins.RESET_ADDRESS,
        _digest("reset-network", sign_ins.find_subnet(origin.address)): sign_ins.RESET_NETWORK,
    }
    return _charge(limits, now=now)


def settle_success(charge: Charge, *, is_complete: bool) -> None:
    """Take a successful attempt back. A complete sign-in also forgets the account's failures in this network.

    A right password alone forgets none: else it would allow any number of guesses of the second factor.
    """
    with transaction.atomic():
        for key, limit in sorted(charge.keys.items()):
            if is_complete and limit is sign_ins.PAIR:
                SignInCounter.objects.filter(key=key).delete()
                continue
            row = SignInCounter.objects.select_for_update().filter(key=key).first()
            if row is not None:
                row.failures = sign_ins.take_back(Count(row.failures, row.since_at)).failures
                row.save(update_fields=["failures"])


def _charge(limits: Mapping[str, Limit], *, now: datetime) -> Charge:
    keys = sorted(limits)
    with transaction.atomic():
        SignInCounter.objects.bulk_create(
            [SignInCounter(key=key, failures=0, since_at=now) for key in keys], ignore_conflicts=True
        )
        # In one order everywhere, so that two attempts do not wait for each other.
        rows = list(SignInCounter.objects.select_for_update().filter(key__in=keys).order_by("key"))
        counts = {row.key: Count(row.failures, row.since_at) for row in rows}
        unlocks = [
            unlock_at
            for key, count in counts.items()
            if (unlock_at := sign_ins.find_unlock(count, limits[key], now=now)) is not None
        ]
        if unlocks:
            return Charge(limits, max(unlocks))
        for row in rows:
            counted = sign_ins.add_failure(counts[row.key], limits[row.key], now=now)
            counts[row.key] = counted
            row.failures, row.since_at = counted.failures, counted.since_at
            row.save(update_fields=["failures", "since_at"])
    is_last = any(sign_ins.find_unlock(count, limits[key], now=now) is not None for key, count in counts.items())
    return Charge(limits, None, is_last)


def _is_known(account: str, origin: Origin) -> bool:
    known = AdminSession.objects.filter(user__username__iexact=account, network=origin.network)
    return bool(origin.network) and known.exists()


def _digest(*parts: str) -> str:
    """Return a key from which neither the address nor the typed name, which may be a password, can be read."""
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return hmac.digest(settings.SECRET_KEY.encode(), b"sign-in\x1f" + text, "sha256").hex()
