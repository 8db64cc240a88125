"""Rules of sign-ins: limits of failed attempts, coarse networks, and names of browsers."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network


@dataclass(frozen=True, slots=True)
class Limit:
    """Failures allowed before a lock-out of `lock_s`.

    With `slides`, a failure counts until `lock_s` have passed since the last one; else since the first one.
    """

    failures: int
    lock_s: int
    slides: bool


# An account in one network: a person who mistypes. It never affects another account or another network.
PAIR = Limit(failures=5, lock_s=900, slides=True)
# An account over all networks in which it has never signed in: a botnet that guesses one password.
ACCOUNT = Limit(failures=50, lock_s=3_600, slides=False)
# A network over all accounts that have never signed in there: one password tried on many accounts.
NETWORK = Limit(failures=100, lock_s=900, slides=False)
# Mails to one address, and requested by one network.
RESET_ADDRESS = Limit(failures=3, lock_s=3_600, slides=False)
RESET_NETWORK = Limit(failures=30, lock_s=3_600, slides=False)


@dataclass(frozen=True, slots=True)
class Count:
    """Failures so far. `since_at` is the time of the last or the first, as the limit declares."""

    failures: int
    since_at: datetime


def find_unlock(count: Count, limit: Limit, *, now: datetime) -> datetime | None:
    """Return the time at which the lock ends. None: there is no lock."""
    unlock_at = count.since_at + timedelta(seconds=limit.lock_s)
    return unlock_at if count.failures >= limit.failures and now < unlock_at else None


def add_failure(count: Count, limit: Limit, *, now: datetime) -> Count:
    """Return the count after one more failure. Failures older than the lock no longer count."""
    if now >= count.since_at + timedelta(seconds=limit.lock_s):
        return Count(1, now)
    return Count(count.failures + 1, now if limit.slides else count.since_at)


def take_back(count: Count) -> Count:
    """Return the count without its last failure: the attempt succeeded."""
    return replace(count, failures=max(0, count.failures - 1))


def find_subnet(address: str) -> str:
    """Return the part of an address that one subscriber has: an IPv4 address, or the first 64 bits of an IPv6 one."""
    return _cut(address, 32, 64)


def coarsen_network(address: str) -> str:
    """Return the network that is stored and shown: the first 24 bits of an IPv4 address, 48 of an IPv6 one."""
    return _cut(address, 24, 48)


def _cut(address: str, bits_of_4: int, bits_of_6: int) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if parsed.version == 6 and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    bits = bits_of_4 if parsed.version == 4 else bits_of_6
    return str(ip_network((parsed, bits), strict=False))


# In order: most browsers also name those after them.
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("FxiOS", "Firefox"), ("Chrom", "Chrome"))
_SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"), ("Mac OS", "macOS"))


def name_device(user_agent: str) -> str:
    """Return a short name of the browser and its system, such as `Firefox, Windows`. Never the text itself."""
    browsers = (*_BROWSERS, ("CriOS", "Chrome"), ("Safari", "Safari"))
    systems = (*_SYSTEMS, ("CrOS", "ChromeOS"), ("Linux", "Linux"))
    found = [next((name for mark, name in names if mark in user_agent), "") for names in (browsers, systems)]
    return ", ".join(name for name in found if name) or "?"
