"""Coupons taken at tills over HTTP: one till alone, tills at a steady pace, and sixty-four tills at once.

`p95_ms` is the 95th percentile of the time to an answer, connection included, while each of the sixty-four tills has a
customer every three seconds. The baseline is the minimum cost of a view with a query: `SELECT 1` in Django REST
framework on the same server. A last rush scans every coupon at two tills at once and shows that each is taken once.
"""

import os
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import shop, web, wrk
from benchmarks.figures import REPEATS, Figure
from benchmarks.shop import Shop
from benchmarks.wrk import Load, LoadError, Seen

MANY, TILLS = 32, 64
# Scans a second (a customer every three seconds at each till), over so many connections, and how long staff may wait.
PACE, PACED = 20.0, 16
TARGET_P95_MS = 100
COUPONS, SECONDS = 4_000, 4.0


@dataclass(frozen=True, slots=True)
class Stand:
    """The product, its floor, and the people in the shop."""

    url: str
    floor_url: str
    opened: Shop
    tills: list[str]
    coupons: int
    seconds: float


def run(quick: bool) -> list[Figure]:
    """Requests per second and their 99th percentile; coupons that were taken twice."""
    from promotions import clock

    # The first turn warms the servers up; a quick look needs none.
    warming, repeats, seconds, coupons = (0, 1, 1.0, 500) if quick else (1, REPEATS, SECONDS, COUPONS)
    opened = shop.open_shop(phones=coupons, now=clock.now())
    floor_env = {**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.drf_settings"}
    turns: dict[str, list[Seen]] = {}
    twice = 0
    with ExitStack() as stack:
        product = stack.enter_context(web.serve("promotions.asgi:application", env=os.environ, ready="/healthz"))
        floor = stack.enter_context(web.serve("benchmarks.drf_views:application", env=floor_env))
        tills = shop.enrol_tills(count=TILLS, now=clock.now())
        stand = Stand(product.url, floor.url, opened, tills, coupons, seconds)
        for turn in range(warming + repeats):
            taken = {
                "low": _scan(stand, connections=1),
                "low_floor": _select(stand, connections=1),
                "paced": _scan(stand, connections=PACED, pace=PACE),
                "many": _scan(stand, connections=MANY),
                "many_floor": _select(stand, connections=MANY),
            }
            twice += _scan_twice(stand)
            if turn >= warming:
                for name, seen in taken.items():
                    turns.setdefault(name, []).append(seen)
    return _list_figures(turns, twice)


def _list_figures(turns: Mapping[str, list[Seen]], twice: int) -> list[Figure]:
    figures = []
    for key, name in (("low", "low"), ("flash", "many")):
        ours, floor = turns[name], turns[f"{name}_floor"]
        for unit, one_of in (("per_s", lambda seen: seen.per_s), ("p99_ms", lambda seen: seen.p99_s * 1000)):
            value, baseline = (statistics.median(map(one_of, taken)) for taken in (ours, floor))
            label = "requests/s" if unit == "per_s" else "ms"
            figures.append(Figure(f"redeem.{key}_{unit}", value, label, baseline, value / baseline))
    p95_ms = statistics.median(seen.p95_s * 1000 for seen in turns["paced"])
    return [
        *figures,
        Figure("redeem.p95_ms", p95_ms, "ms", target=f"≤ {TARGET_P95_MS}"),
        Figure("redeem.taken_twice", twice, "coupons", target="= 0"),
    ]


def _scan(stand: Stand, *, connections: int, pace: float = 0.0) -> Seen:
    """Coupons of a campaign of their own, each scanned once."""
    from promotions import clock

    now = clock.now()
    campaign = shop.open_campaign(cap=stand.coupons, is_flash=True, now=now)
    coupons = shop.issue_coupons(stand.opened, campaign, count=stand.coupons, now=now)
    with wrk.request_file(shop.list_scans(coupons, stand.tills, times=1)) as requests:
        seen = wrk.drive(Load(stand.url, requests, connections, stand.seconds, pace=pace, counts_statuses=True))
    if set(seen.statuses) != {"201"}:
        raise LoadError(f"redeem: answers other than 201, or too few coupons: {dict(seen.statuses)}")
    return seen


def _select(stand: Stand, *, connections: int) -> Seen:
    with wrk.request_file([("/select", "", "{}")]) as requests:
        seen = wrk.drive(Load(stand.floor_url, requests, connections, stand.seconds))
    return seen.require_success("SELECT 1")


def _scan_twice(stand: Stand) -> int:
    """Every coupon at two tills at once; how many were taken more than once."""
    from django.db.models import Count, Q

    from promotions import clock
    from promotions.models import Coupon

    now = clock.now()
    campaign = shop.open_campaign(cap=stand.coupons, is_flash=True, now=now)
    coupons = shop.issue_coupons(stand.opened, campaign, count=stand.coupons, now=now)
    with wrk.request_file(shop.list_scans(coupons, stand.tills, times=2)) as requests:
        seen = wrk.drive(Load(stand.url, requests, MANY, stand.seconds, counts_statuses=True))
    if not set(seen.statuses) <= {"200", "201", "409"} or "409" not in seen.statuses:
        raise LoadError(f"redeem: answers to scans at two tills: {dict(seen.statuses)}")
    live = Count("redemptions", filter=Q(redemptions__is_live=True))
    return Coupon.objects.filter(campaign=campaign).annotate(live=live).filter(live__gt=1).count()
