"""Redis lost its data and its clock went back: new entries are before the cursor, and are processed."""

from datetime import datetime
from uuid import UUID

import pytest
import redis

from geofence.models import LastFix
from promotions import drain, stream
from promotions.models import ShardCursor
from tests import factories
from tests.factories import NOW
from tests.fixes import Walk

SHARD = 5
AHEAD_MS = 3_600_000

pytestmark = pytest.mark.django_db(transaction=True)


def clock() -> datetime:
    return NOW


@pytest.fixture(autouse=True)
def client(redis_prefix: str) -> "redis.Redis":
    return stream.sync_client()


def append(client: "redis.Redis", *, entry_id: str = "*") -> tuple[UUID, str]:
    """A device's first fixes, as the lane appends them."""
    device = factories.device()
    fields = {stream.ENTRY_FIELD: Walk(device).stay(minutes=1).tobytes()}
    return device.pk, client.xadd(stream.stream_key(SHARD), fields, id=entry_id).decode()


def advance_far(client: "redis.Redis") -> str:
    """Process an entry with an id from a clock an hour ahead; return the cursor."""
    seconds, micros = client.time()
    _, entry_id = append(client, entry_id=f"{seconds * 1000 + micros // 1000 + AHEAD_MS}-0")
    drain.drain_shard(SHARD, read_clock=clock)
    assert ShardCursor.objects.get(shard=SHARD).last_entry_id == entry_id
    return entry_id


def seen() -> set[UUID]:
    return set(LastFix.objects.values_list("device_id", flat=True))


@pytest.mark.parametrize("is_all_lost", [True, False], ids=["all of it", "the end, by a lagging replica"])
def test_entries_before_the_cursor_are_processed(client: "redis.Redis", is_all_lost: bool) -> None:
    far = advance_far(client)
    client.delete(stream.stream_key(SHARD))
    if is_all_lost:
        client.delete(stream.mark_key(SHARD))
    device, entry_id = append(client)
    assert stream.is_upto(entry_id, far)

    drain.trim_processed()
    waiting = drain.waiting_shards()
    drained = drain.drain_shard(SHARD, read_clock=clock)

    assert (waiting, drained.entries) == ([SHARD], 1)
    assert device in seen()
    assert ShardCursor.objects.get(shard=SHARD).last_entry_id == entry_id
    assert client.xlen(stream.stream_key(SHARD)) == 0
    assert drain.waiting_shards() == []


def test_of_two_workers_on_a_new_stream_one_works_it(client: "redis.Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    """The second looks when the first has committed and not yet trimmed."""
    device, _ = append(client)
    monkeypatch.setattr(stream, "end_batch", lambda *given, **named: 0)

    drained = [drain.drain_shard(SHARD, read_clock=clock).entries for _ in range(2)]

    assert drained == [1, 0]
    assert seen() == {device}


def test_a_clock_corrected_before_a_worker_read_hides_nothing(client: "redis.Redis") -> None:
    far = advance_far(client)
    client.delete(stream.stream_key(SHARD), stream.mark_key(SHARD))
    early, _ = append(client)
    late, _ = append(client, entry_id=f"{int(far.split('-')[0]) + 1}-0")

    drain.trim_processed()
    drained = drain.drain_shard(SHARD, read_clock=clock)

    assert drained.entries == 2
    assert {early, late} <= seen()


def test_after_a_loss_the_cursor_counts_again(client: "redis.Redis") -> None:
    advance_far(client)
    client.delete(stream.stream_key(SHARD), stream.mark_key(SHARD))
    append(client)
    drain.drain_shard(SHARD, read_clock=clock)

    device, _ = append(client)
    drained = drain.drain_shard(SHARD, read_clock=clock)

    assert drained.entries == 1
    assert device in seen()


def test_what_a_failed_trim_left_is_not_worked_again(client: "redis.Redis") -> None:
    _, entry_id = append(client)
    drain.drain_shard(SHARD, read_clock=clock)
    # As if it had not been trimmed: the stream's own last id is set back for it.
    client.delete(stream.stream_key(SHARD))
    append(client, entry_id=entry_id)

    drained = drain.drain_shard(SHARD, read_clock=clock)

    assert (drained.entries, drain.waiting_shards()) == (0, [])
    drain.trim_processed()
    assert client.xlen(stream.stream_key(SHARD)) == 0
