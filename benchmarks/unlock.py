"""Unlocks at the shop door over HTTP: at low load, and in a flash campaign that all phones request at once.

The flash campaign's cap is split over slots; its baseline is the same campaign with the cap in one row. A last rush on
a small cap shows that exactly the cap is granted.
"""

import os
import statistics
from collections.abc import Mapping

from benchmarks import shop, web, wrk
from benchmarks.figures import REPEATS, Figure
from benchmarks.shop import Shop
from benchmarks.wrk import Load, LoadError, Seen

LIMITS = (
    "UNLOCKS_PER_DEVICE_PER_MINUTE",
    "NETWORK_UNLOCKS_BURST",
    "NETWORK_UNLOCKS_PER_HOUR",
    "NETWORK_UNLOCKS_PER_DAY",
)
MANY = 32
PHONES, SECONDS = 6_000, 4.0
# The small one: two to a slot, used up within a second.
AMPLE_CAP, RUSH_CAP, RUSH_S = 1_000_000, 32, 3.0


def run(quick: bool) -> list[Figure]:
    """Requests per second and their 99th percentile; how far the cap was missed."""
    from promotions import clock

    # The first turn warms the server up; a quick look needs none.
    warming, repeats, seconds = (0, 1, 1.0) if quick else (1, REPEATS, SECONDS)
    opened = shop.open_shop(phones=2_000 if quick else PHONES, now=clock.now())
    # Every limit is checked, none is reached.
    env = {**os.environ, **dict.fromkeys(LIMITS, "1000000000")}
    turns: dict[str, list[Seen]] = {"low": [], "flash": [], "one_row": [], "rush": []}
    missed = 0
    with web.serve("promotions.asgi:application", env=env, ready="/healthz") as server:
        for turn in range(warming + repeats):
            taken = {
                "low": _measure(opened, server.url, connections=1, seconds=seconds),
                "flash": _measure(opened, server.url, connections=MANY, seconds=seconds),
                "one_row": _measure(opened, server.url, connections=MANY, seconds=seconds, is_flash=False),
            }
            taken["rush"], missed_now = _rush(opened, server.url)
            missed = max(missed, missed_now, key=abs)
            if turn >= warming:
                for name, seen in taken.items():
                    turns[name].append(seen)
    return _list_figures(turns, missed)


def _list_figures(turns: Mapping[str, list[Seen]], missed: int) -> list[Figure]:
    speed = {name: statistics.median(seen.per_s for seen in taken) for name, taken in turns.items()}
    p99_ms = {name: statistics.median(seen.p99_s * 1000 for seen in taken) for name, taken in turns.items()}
    return [
        Figure("unlock.low_per_s", speed["low"], "requests/s"),
        Figure("unlock.low_p99_ms", p99_ms["low"], "ms"),
        Figure("unlock.flash_per_s", speed["flash"], "requests/s", speed["one_row"], speed["flash"] / speed["one_row"]),
        Figure("unlock.flash_p99_ms", p99_ms["flash"], "ms", p99_ms["one_row"], p99_ms["flash"] / p99_ms["one_row"]),
        Figure("unlock.sold_out_per_s", speed["rush"], "requests/s"),
        Figure("unlock.cap_missed_by", missed, "unlocks", target="= 0"),
    ]


def _measure(opened: Shop, url: str, *, connections: int, seconds: float, is_flash: bool = True) -> Seen:
    """A campaign with room for every device: every answer is a new unlock."""
    from promotions import clock

    campaign = shop.open_campaign(cap=AMPLE_CAP, is_flash=is_flash, now=clock.now())
    with wrk.request_file(shop.list_unlocks(opened, campaign)) as requests:
        seen = wrk.drive(Load(url, requests, connections, seconds, counts_statuses=True))
    if set(seen.statuses) != {"201"}:
        raise LoadError(f"unlock: answers other than 201, or too few phones: {dict(seen.statuses)}")
    return seen


def _rush(opened: Shop, url: str) -> tuple[Seen, int]:
    """Far more phones than the cap allows: the answers, the unlocks and the slots must all equal the cap."""
    from django.db.models import Sum

    from promotions import clock
    from promotions.models import Budget, Unlock

    campaign = shop.open_campaign(cap=RUSH_CAP, is_flash=True, now=clock.now())
    with wrk.request_file(shop.list_unlocks(opened, campaign)) as requests:
        seen = wrk.drive(Load(url, requests, MANY, RUSH_S, counts_statuses=True))
    if not set(seen.statuses) <= {"200", "201", "403"} or "403" not in seen.statuses:
        raise LoadError(f"unlock: answers to a rush: {dict(seen.statuses)}")
    counts = [
        Unlock.objects.filter(campaign=campaign).count(),
        Budget.objects.filter(campaign=campaign, scope=Budget.Scope.UNLOCK).aggregate(used=Sum("used"))["used"] or 0,
    ]
    return seen, max((count - RUSH_CAP for count in counts), key=abs)
