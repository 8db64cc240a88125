"""The fix stream: keys, reading back in order, entries that are poison, trimming behind the cursor."""

import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.fixes import FIX_DTYPE, FixArray
from promotions import stream
from promotions.stream import PoisonEntry

SHARD = 7


@pytest.fixture
def client(redis_prefix: str) -> Any:
    """Redis, on keys of this test's own."""
    return stream.sync_client()


def _records(count: int = 1, **fields: Any) -> FixArray:
    records = np.zeros(count, FIX_DTYPE)
    records["device_lo"] = np.arange(1, count + 1)
    records["fix_time_ms"] = records["received_at_ms"] = 1_790_000_000_000
    records["latitude_deg"], records["longitude_deg"] = 48.8, 2.3
    records["accuracy_m"] = records["speed_mps"] = np.nan
    for name, value in fields.items():
        records[name] = value
    return records


def _append(client: Any, records: FixArray) -> str:
    return str(client.xadd(stream.stream_key(SHARD), {stream.ENTRY_FIELD: records.tobytes()}).decode())


def _read(client: Any, last_entry_id: str = stream.STREAM_START, max_fixes: int = 100_000) -> stream.StreamBatch:
    return stream.read_batch(client, shard=SHARD, last_entry_id=last_entry_id, max_fixes=max_fixes)


def _ids(batch: stream.StreamBatch) -> list[str]:
    return [batch.read_id(place) for place in range(len(batch))]


def _sizes(batch: stream.StreamBatch) -> list[int]:
    return [int(size) for size in np.diff(batch.offsets)]


def test_entries_read_back_in_order_after_the_cursor(client: Any) -> None:
    ids = [_append(client, _records(count)) for count in (1, 2, 3)]

    everything = _read(client)
    rest = _read(client, ids[0])
    first = _read(client, max_fixes=1)

    assert _ids(everything) == ids
    assert _sizes(rest) == [2, 3]
    assert _ids(first) == ids[:1]
    assert (everything.records.size, everything.records.dtype) == (6, FIX_DTYPE)
    assert len(_read(client, ids[-1])) == 0


@pytest.mark.parametrize("sizes", [[1] * 1500, [100] * 90, [1] * 700 + [90] * 20 + [1] * 700])
def test_a_batch_ends_with_the_entry_that_fills_it_for_every_size(client: Any, sizes: list[int]) -> None:
    pipe = client.pipeline(transaction=False)
    for number, size in enumerate(sizes):
        pipe.xadd(stream.stream_key(SHARD), {stream.ENTRY_FIELD: _records(size, fix_id=number).tobytes()})
    pipe.execute()

    batch = _read(client, max_fixes=800)

    assert 800 <= len(batch.records) < 800 + sizes[len(batch) - 1]
    assert _sizes(batch) == sizes[: len(batch)]
    assert np.unique(batch.records["fix_id"]).tolist() == list(range(len(batch)))
    assert _sizes(_read(client, batch.read_id(-1))) == sizes[len(batch) :]


def test_a_part_of_a_batch_holds_its_entries_alone(client: Any) -> None:
    for count in (1, 2, 3, 4):
        _append(client, _records(count, fix_id=count))

    part = _read(client).part(1, 3)

    assert (len(part), _sizes(part)) == (2, [2, 3])
    assert part.records["fix_id"].tolist() == [2, 2, 3, 3, 3]


def test_a_record_survives_the_round_trip_bit_for_bit(client: Any) -> None:
    records = _records(3, fix_id=2**64 - 1, request_id=5, flags=31, source=3, accuracy_m=12.5, speed_mps=0)

    _append(client, records)

    assert _read(client).records.tobytes() == records.tobytes()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "unknown_layout"),
        ({b"v2": b""}, "unknown_layout"),
        ({b"v1": b"x" * 76, b"more": b""}, "unknown_layout"),
        ({b"v1": b""}, "wrong_size"),
        ({b"v1": b"x" * 75}, "wrong_size"),
        ({b"v1": b"x" * 77}, "wrong_size"),
        ({b"v1": b"\x00" * 76 * 4097}, "wrong_size"),
        ({b"v1": b"\xff" * 76}, "bad_coordinates"),
        ({b"v1": b"\x00" * 76}, "no_device"),
    ],
)
def test_an_entry_of_another_shape_is_poison(fields: dict[bytes, bytes], reason: str) -> None:
    with pytest.raises(PoisonEntry) as caught:
        stream.decode_entry(fields)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("device_lo", 0, "no_device"),
        ("latitude_deg", np.nan, "bad_coordinates"),
        ("latitude_deg", 90.0000001, "bad_coordinates"),
        ("longitude_deg", np.inf, "bad_coordinates"),
        ("longitude_deg", -180.1, "bad_coordinates"),
        ("fix_time_ms", 0, "bad_time"),
        ("received_at_ms", -1, "bad_time"),
        ("accuracy_m", 0, "bad_accuracy"),
        ("accuracy_m", -1, "bad_accuracy"),
        ("accuracy_m", np.inf, "bad_accuracy"),
        ("speed_mps", -0.1, "bad_speed"),
        ("speed_mps", np.inf, "bad_speed"),
        ("flags", 32, "unknown_flag"),
        ("source", 4, "unknown_source"),
    ],
)
def test_one_impossible_value_makes_the_entry_poison(name: str, value: float, reason: str) -> None:
    records = _records(3)
    records[name][1] = value

    with pytest.raises(PoisonEntry) as caught:
        stream.decode_entry({b"v1": records.tobytes()})

    assert caught.value.reason == reason


@given(packed=st.binary(max_size=400))
def test_arbitrary_bytes_only_poison(packed: bytes) -> None:
    try:
        records = stream.decode_entry({b"v1": packed})
    except PoisonEntry:
        return
    assert records.tobytes() == packed


def test_poison_is_handed_over_beside_its_sound_neighbours(client: Any) -> None:
    first = _append(client, _records(1, fix_id=1))
    client.xadd(stream.stream_key(SHARD), {"v1": b"short"})
    _append(client, _records(3, flags=32))
    last = _append(client, _records(2, fix_id=2))

    batch = _read(client)

    assert batch.poison == {1: "wrong_size", 2: "unknown_flag"}
    assert _sizes(batch) == [1, 0, 0, 2]
    assert batch.records["fix_id"].tolist() == [1, 2, 2]
    assert batch.part(1, 4).poison == {0: "wrong_size", 1: "unknown_flag"}
    assert _ids(batch.without_poison()) == [first, last]
    assert _sizes(batch.without_poison()) == [1, 2]


_PACKED = st.one_of(
    st.binary(max_size=200),
    st.binary(min_size=76, max_size=76),
    st.integers(1, 3).map(lambda count: _records(count).tobytes()),
    st.integers(1, 3).map(lambda count: _records(count, accuracy_m=-1).tobytes()),
)


@given(entries=st.lists(st.dictionaries(st.sampled_from([b"v1", b"v2"]), _PACKED), max_size=8))
def test_entries_decode_together_as_they_do_singly(entries: list[dict[bytes, bytes]]) -> None:
    named = [(b"1-%d" % place, fields) for place, fields in enumerate(entries)]
    batch = stream.decode_entries(named, stream.list_payloads(named))

    parts = [batch.part(place, place + 1) for place in range(len(batch))]
    assert [(part.poison.get(0), part.records.tobytes()) for part in parts] == [_decode_one(one) for one in entries]


def _decode_one(fields: dict[bytes, bytes]) -> tuple[str | None, bytes]:
    try:
        return None, stream.decode_entry(fields).tobytes()
    except PoisonEntry as error:
        return error.reason, b""


def _mark(client: Any) -> str:
    return stream.identify_stream(client, shard=SHARD, last_entry_id=stream.STREAM_START)[0]


def test_a_stream_keeps_its_mark_until_redis_loses_it(client: Any) -> None:
    marks = [_mark(client), _mark(client)]
    client.delete(stream.mark_key(SHARD))
    marks.append(_mark(client))

    assert marks[0] == marks[1] != marks[2]
    assert all(len(mark) == 16 for mark in marks)


def test_trimming_takes_the_processed_and_nothing_else(client: Any) -> None:
    ids = [_append(client, _records()) for _ in range(300)]
    mark = _mark(client)

    of_another_stream = stream.trim_behind(client, shard=SHARD, entry_id=ids[119], mark="")
    trimmed = stream.trim_behind(client, shard=SHARD, entry_id=ids[119], mark=mark)

    assert (of_another_stream, trimmed) == (0, 120)
    assert _ids(_read(client)) == ids[120:]
    assert stream.trim_behind(client, shard=SHARD, entry_id=ids[119], mark=mark) == 0


def test_trimming_everything_keeps_ids_rising(client: Any) -> None:
    last = _append(client, _records())

    stream.trim_behind(client, shard=SHARD, entry_id=last, mark=_mark(client))
    later = _append(client, _records())

    assert client.xlen(stream.stream_key(SHARD)) == 1
    assert _ids(_read(client, last)) == [later]


def _now_ms(client: Any) -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def test_the_backlog_is_what_stands_after_the_cursor(client: Any) -> None:
    first, second = _append(client, _records()), _append(client, _records())

    begun_ms = _now_ms(client)
    age_ms = stream.measure_shards(client, {SHARD: stream.STREAM_START})[SHARD].oldest_age_ms
    assert age_ms is not None
    assert begun_ms <= int(first.split("-")[0]) + age_ms <= _now_ms(client)
    assert stream.measure_shards(client, {SHARD: second})[SHARD].oldest_age_ms is None
    assert stream.measure_backlog(client, {SHARD: second}).entries == 0

    stream.trim_behind(client, shard=SHARD, entry_id=first, mark=_mark(client))
    measured = stream.measure_backlog(client, {SHARD: first, SHARD + 1: stream.STREAM_START})
    assert measured.entries == 1
    assert begun_ms <= int(second.split("-")[0]) + measured.oldest_age_ms <= _now_ms(client)


def test_a_device_has_one_shard_and_devices_spread_over_all() -> None:
    devices = [uuid.UUID(int=number << 64 | 0x8000_0000_0000_0001) for number in range(4_000)]

    shards = [stream.shard_of(device) for device in devices]

    assert shards == [stream.shard_of(device) for device in devices]
    counts = np.bincount(shards, minlength=16)
    assert counts.size == 16
    assert counts.min() > 150


def test_both_keys_of_a_shard_hash_to_one_cluster_node() -> None:
    assert stream.stream_key(7).endswith(":fixes:{7}")
    assert stream.wake_key(7).endswith(":wake:{7}")


def test_a_cleared_wake_can_be_set_again(client: Any) -> None:
    assert client.set(stream.wake_key(SHARD), b"1", nx=True, px=stream.WAKE_LIFE_MS * 100)
    assert not client.set(stream.wake_key(SHARD), b"1", nx=True, px=stream.WAKE_LIFE_MS * 100)

    stream.clear_wake(client, SHARD)

    assert client.set(stream.wake_key(SHARD), b"1", nx=True, px=stream.WAKE_LIFE_MS * 100)
