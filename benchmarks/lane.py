"""The fix lane: single-fix requests on one core, compared with the server's hello-world and an equivalent DRF view.

One server process is pinned to a core, wrk to the other. The three servers alternate, and every ratio is the median of
the ratios of the rounds.
"""

import os
import statistics
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import web, wrk
from benchmarks.figures import REPEATS, Figure
from benchmarks.web import Server
from benchmarks.wrk import Load, Seen
from promotions.local.workspaces import FOLDER_VARIABLE

SERVER_CORE, LOAD_CORE = 0, 1
# One sync of Redis's file serves all concurrent requests: the more phones, the shorter the wait of each.
CONNECTIONS, FEW_CONNECTIONS = 256, 64
SECONDS = 3.0
# Phones whose tokens a process has cached, and more than the cache can take.
KNOWN_PHONES, STRANGERS = 5_000, 40_000
CONSENTS = ("fraud_checks", "geo_match", "messages", "statistics")


@dataclass(frozen=True, slots=True)
class Turn:
    """Results of one server in one turn."""

    seen: Seen
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """Processor time of the server per request."""
        return self.cpu_s / self.seen.requests * 1e6


@dataclass(frozen=True, slots=True)
class Stand:
    """The servers and the requests."""

    hello: Server
    lane: Server
    drf: Server
    known: Path
    strangers: Path


def run(quick: bool) -> list[Figure]:
    """Requests per second, their 99th percentile, and processor time per request."""
    # The first turn warms the servers up; a quick look needs none.
    warming, repeats, seconds = (0, 1, 1.0) if quick else (1, REPEATS, SECONDS)
    with _open_stand(strangers=KNOWN_PHONES if quick else STRANGERS) as stand:
        known = {
            "hello": (stand.hello, stand.known),
            "lane": (stand.lane, stand.known),
            "drf": (stand.drf, stand.known),
        }
        turns = _take_turns(known, warming + repeats, seconds)
        few = {name: known[name] for name in ("hello", "lane")}
        turns |= {
            f"few_{name}": taken
            for name, taken in _take_turns(few, warming + repeats, seconds, FEW_CONNECTIONS).items()
        }
        # By themselves: strangers drive the known ones out of the lane's memory.
        turns |= _take_turns({"strangers": (stand.lane, stand.strangers)}, warming + repeats, seconds)
    return _list_figures({name: taken[warming:] for name, taken in turns.items()})


def _take_turns(
    contenders: dict[str, tuple[Server, Path]], count: int, seconds: float, connections: int = CONNECTIONS
) -> dict[str, list[Turn]]:
    turns: dict[str, list[Turn]] = {name: [] for name in contenders}
    for _ in range(count):
        for name, (server, requests) in contenders.items():
            turns[name].append(_take_turn(server, requests, seconds, connections))
    return turns


@contextmanager
def _open_stand(*, strangers: int) -> Iterator[Stand]:
    core = SERVER_CORE if len(os.sched_getaffinity(0)) > 1 else None
    metrics = web.FOLDER / "metrics"
    metrics.mkdir(parents=True, exist_ok=True)
    # As in production, where several processes count together; no limit is reached, but all are counted.
    env = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        "FIX_REQUESTS_PER_DEVICE_PER_MINUTE": "1000000000",
    }
    drf_env = {**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.drf_settings"}
    with ExitStack() as stack:
        if core is not None:
            stack.enter_context(_keep_redis_off(core))
        yield Stand(
            hello=stack.enter_context(web.serve("benchmarks.hello:application", env=env, core=core)),
            lane=stack.enter_context(web.serve("promotions.asgi:application", env=env, core=core, ready="/healthz")),
            drf=stack.enter_context(web.serve("benchmarks.drf_views:application", env=drf_env, core=core)),
            known=stack.enter_context(wrk.request_file(_list_requests(KNOWN_PHONES))),
            strangers=stack.enter_context(wrk.request_file(_list_requests(strangers))),
        )


@contextmanager
def _keep_redis_off(core: int) -> Iterator[None]:
    """Let the server have its core to itself, when the Redis is one that was started for this run alone."""
    from promotions import stream

    is_ours = bool(os.environ.get(FOLDER_VARIABLE))
    info: Any = stream.sync_client().info("server")
    pid = int(info["process_id"])
    try:
        before = os.sched_getaffinity(pid) if is_ours else set()
    except ProcessLookupError:
        before = set()
    if not before - {core}:
        yield
        return
    os.sched_setaffinity(pid, before - {core})
    try:
        yield
    finally:
        os.sched_setaffinity(pid, before)


def _list_requests(phones: int) -> Iterator[tuple[str, str, str]]:
    """One fix of each phone, every one elsewhere."""
    from promotions import clock
    from promotions.tokens import issue_access_token

    now = clock.now()
    fix_time = now.isoformat(timespec="milliseconds")
    for number in range(phones):
        token = issue_access_token(device_id=uuid.uuid4(), consents=CONSENTS, now=now)
        place = f'"latitude":{43 + number % 6000 / 1000:.5f},"longitude":{number % 7000 / 1000:.5f}'
        yield (
            "/v1/fixes",
            token,
            f'{{"fixes":[{{{place},"horizontal_accuracy_m":{5 + number % 40}.5,"fix_time":"{fix_time}"}}]}}',
        )


def _take_turn(server: Server, requests: Path, seconds: float, connections: int) -> Turn:
    core = LOAD_CORE if len(os.sched_getaffinity(0)) > 1 else None
    begun_s = server.cpu_s()
    seen = wrk.drive(Load(server.url, requests, connections, seconds, core=core)).require_success("lane")
    taken = Turn(seen, server.cpu_s() - begun_s)
    _empty_stream()
    return taken


def _empty_stream() -> None:
    """No worker processes the fixes here; the backlog must not make the lane refuse more."""
    from django.conf import settings

    from promotions import stream

    client = stream.sync_client()
    for shard in range(settings.STREAM_SHARDS):
        client.delete(stream.stream_key(shard))


def _list_figures(turns: dict[str, list[Turn]]) -> list[Figure]:
    lane, hello = turns["lane"], turns["hello"]
    speed = {name: statistics.median(turn.seen.per_s for turn in taken) for name, taken in turns.items()}
    p99_ms = {name: statistics.median(turn.seen.p99_s * 1000 for turn in taken) for name, taken in turns.items()}
    cpu_us = {name: statistics.median(turn.cpu_us for turn in taken) for name, taken in turns.items()}
    strangers = speed["strangers"] / speed["lane"]
    vs_hello = _median_ratio([turn.seen.per_s for turn in lane], [turn.seen.per_s for turn in hello])
    vs_drf = _median_ratio([turn.seen.per_s for turn in lane], [turn.seen.per_s for turn in turns["drf"]])
    few, few_hello = turns["few_lane"], turns["few_hello"]
    few_vs_hello = _median_ratio([turn.seen.per_s for turn in few], [turn.seen.per_s for turn in few_hello])
    p99_vs_hello = _median_ratio([turn.seen.p99_s for turn in lane], [turn.seen.p99_s for turn in hello])
    return [
        Figure("lane.fixes_per_s", speed["lane"], "requests/s"),
        Figure("lane.vs_hello", speed["lane"], "requests/s", speed["hello"], vs_hello, "≥ 0.60"),
        Figure("lane.vs_drf", speed["lane"], "requests/s", speed["drf"], vs_drf, "≥ 8"),
        Figure("lane.p99_vs_hello", p99_ms["lane"], "ms", p99_ms["hello"], p99_vs_hello, "≤ 3"),
        Figure("lane.few_connections_vs_hello", speed["few_lane"], "requests/s", speed["few_hello"], few_vs_hello),
        Figure("lane.cpu_us", cpu_us["lane"], "µs", cpu_us["hello"], cpu_us["lane"] / max(cpu_us["hello"], 0.1)),
        # Phones that are not in the process's cache, as most of a large deployment's are.
        Figure("lane.strangers_per_s", speed["strangers"], "requests/s", speed["lane"], strangers),
    ]


def _median_ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
