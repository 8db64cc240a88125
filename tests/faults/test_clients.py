"""Phones that repeat, shuffle, come hours late or have a wrong clock: the live run's visits, or a plain refusal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as django_settings

from geofence.logic.fixes import FixSource
from geofence.models import Visit
from notifications.models import Message
from promotions import drain, stream
from promotions.http.lane.fixes import Arrival, FixLimits, PostedFix, pack_posted
from promotions.models import Opportunity
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW

M_PER_DEG = 111_195.0
# Metres north of the shop over three hours: in, out and back in, far away, back much later, silent, back again.
STAYS: tuple[tuple[float, float, float], ...] = (
    (0, 20, 900.0),
    (20, 32, 10.0),
    (32, 33, 210.0),
    (33, 45, 5.0),
    (45, 60, 700.0),
    (60, 70, 20.0),
    (110, 120, 1500.0),
    (120, 150, 15.0),
    (150, 180, 1200.0),
)
LIMITS = FixLimits(
    max_age_ms=django_settings.FIX_MAX_AGE_S * 1000, max_future_ms=django_settings.FIX_MAX_FUTURE_S * 1000
)


@dataclass(frozen=True, slots=True)
class Posted:
    """One request of a phone: its fixes, and when they reach us."""

    fixes: Sequence[PostedFix]
    received_at: datetime


def walk(*, clock_off: timedelta = timedelta()) -> list[PostedFix]:
    """A fix each half minute with ten metres of noise, the same for every phone."""
    noise = Random(7)
    fixes = []
    for begin_min, end_min, north_m in STAYS:
        for half_minute in range(round(begin_min * 2), round(end_min * 2)):
            fixes.append(
                PostedFix(
                    latitude=LATITUDE_DEG + (north_m + noise.gauss(0, 10)) / M_PER_DEG,
                    longitude=LONGITUDE_DEG + noise.gauss(0, 10) / M_PER_DEG,
                    fix_time=NOW + timedelta(minutes=half_minute / 2) + clock_off,
                    horizontal_accuracy_m=12.0,
                )
            )
    return fixes


def live(fixes: Sequence[PostedFix], clock_off: timedelta = timedelta()) -> list[Posted]:
    """Each fix on its own, a second after it was taken."""
    return [Posted([fix], fix.fix_time - clock_off + timedelta(seconds=1)) for fix in fixes]


def repeat(fixes: Sequence[PostedFix]) -> list[Posted]:
    """Live, but every request comes again, some of them after the next one."""
    requests = live(fixes)
    return [
        again
        for one, following in zip(requests, [*requests[1:], requests[-1]], strict=True)
        for again in (one, following, one)
    ]


def shuffle(fixes: Sequence[PostedFix]) -> list[Posted]:
    """In requests of ten, each in no order."""
    chance = Random(11)
    parts = [list(fixes[start : start + 10]) for start in range(0, len(fixes), 10)]
    requests = [Posted(part, max(fix.fix_time for fix in part) + timedelta(seconds=1)) for part in parts]
    for request in requests:
        chance.shuffle(request.fixes)  # type: ignore[arg-type]
    return requests


def save_up(fixes: Sequence[PostedFix], *, hours: float) -> list[Posted]:
    """All in order, in as few requests as the lane takes, hours after the last."""
    received_at = fixes[-1].fix_time + timedelta(hours=hours)
    return [Posted(fixes[start : start + 100], received_at) for start in range(0, len(fixes), 100)]


@pytest.fixture
def shop(transactional_db: None) -> Iterator[None]:
    """A shop with a campaign that messages every phone that enters."""
    factories.campaign(messages_per_device=3)
    yield
    client = stream.sync_client()
    client.delete(*(stream.stream_key(shard) for shard in range(django_settings.STREAM_SHARDS)))


def send(requests: Sequence[Posted]) -> tuple[UUID, list[str]]:
    """Through the lane's own packing into the stream, worked at the moment it arrives; what was refused, and why."""
    device = factories.reachable_device()
    shard, client, refused = stream.shard_of(device.pk), stream.sync_client(), []
    moments = sorted({request.received_at for request in requests})
    for moment in moments:
        for request in (one for one in requests if one.received_at == moment):
            packed = pack_posted(
                request.fixes, Arrival(device.pk, round(moment.timestamp() * 1000), 1, FixSource.API, LIMITS)
            )
            refused += [one.code for one in packed.rejected]
            if packed.payload:
                client.xadd(stream.stream_key(shard), {stream.ENTRY_FIELD: packed.payload})
        drain.drain_shard(shard, read_clock=lambda at=moment: at)  # type: ignore[misc]
    return device.pk, refused


def visits(device_id: UUID, *, clock_off: timedelta = timedelta()) -> list[tuple[Any, ...]]:
    rows = Visit.objects.filter(device_id=device_id).order_by("entered_at")
    reported = rows.values_list("entered_at", "last_inside_at", "confirmed_at", "exited_at", "exit_reason")
    return [tuple(one - clock_off if isinstance(one, datetime) else one for one in row) for row in reported]


def spoken_to(device_id: UUID) -> tuple[int, int]:
    opportunities = Opportunity.objects.filter(device_id=device_id).count()
    return opportunities, Message.objects.filter(device_id=device_id).count()


@pytest.mark.usefixtures("shop")
def test_repeats_shuffles_hours_of_delay_and_a_slow_clock_give_the_visits_of_the_live_run() -> None:
    fixes = walk()
    live_id, refused = send(live(fixes))
    assert (refused, spoken_to(live_id)) == ([], (1, 1))
    assert [row[4] for row in visits(live_id)] == ["departed", "gap", "departed"]

    for requests, spoken in ((repeat(fixes), (1, 1)), (shuffle(fixes), (1, 1)), (save_up(fixes, hours=5), (0, 0))):
        device_id, refused = send(requests)
        assert refused == []
        assert visits(device_id) == visits(live_id)
        assert spoken_to(device_id) == spoken

    # Three days slow: the same visits three days ago, and no message.
    clock_off = timedelta(days=-3)
    device_id, refused = send(live(walk(clock_off=clock_off), clock_off))
    assert refused == []
    assert visits(device_id, clock_off=clock_off) == visits(live_id)
    assert spoken_to(device_id) == (0, 0)


@pytest.mark.usefixtures("shop")
def test_a_clock_three_days_fast_is_refused_with_a_reason() -> None:
    clock_off = timedelta(days=3)
    fixes = walk(clock_off=clock_off)

    device_id, refused = send(live(fixes, clock_off))

    assert refused == ["future"] * len(fixes)
    assert visits(device_id) == []
    assert spoken_to(device_id) == (0, 0)
