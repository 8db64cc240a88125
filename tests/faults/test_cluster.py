"""The fix streams on a real Redis Cluster of three nodes: appended, woken, worked, trimmed, and one node killed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from django.conf import settings as django_settings
from django.test import Client

from geofence.models import LastFix
from promotions import checks, clock, drain, stream
from promotions.models import ShardCursor
from tests import factories
from tests.faults.cluster import PrivateCluster
from tests.faults.stage import wait_for
from tests.promotions.http.lane.lanes import LaneDriver, Response, fix

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateCluster]:
    cluster = PrivateCluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.stop()


@pytest.fixture
def lane(nodes: PrivateCluster, redis_prefix: str, settings: Any) -> Iterator[LaneDriver]:
    """A lane with its streams on the cluster and everything else on the one Redis."""
    settings.STREAM_URL = nodes.url
    driver = LaneDriver()
    yield driver
    driver.close()


def post_from(lane: LaneDriver, device_id: UUID) -> Response:
    lane.device_id = device_id
    return lane.post_fixes({"fixes": [fix()]})


def wait_for_wakes(lane: LaneDriver, count: int) -> list[int]:
    wait_for(lambda: len(lane.woken) >= count)
    return sorted(lane.woken)


def test_fixes_are_appended_woken_worked_and_trimmed_on_every_node(nodes: PrivateCluster, lane: LaneDriver) -> None:
    factories.store()
    devices = [factories.device().pk for _ in range(60)]
    shards = {stream.shard_of(device_id) for device_id in devices}
    assert {nodes.port_of(stream.stream_key(shard)) for shard in shards} == set(nodes.ports)

    assert {post_from(lane, device_id).status for device_id in devices} == {202}

    assert wait_for_wakes(lane, len(shards)) == sorted(shards)
    cursors = dict.fromkeys(range(django_settings.STREAM_SHARDS), stream.STREAM_START)
    assert stream.measure_backlog(stream.sync_client(), cursors).entries == len(devices)
    assert set(drain.waiting_shards()) == shards
    for shard in shards:
        assert drain.drain_shard(shard, read_clock=clock.now).has_more is False
    assert set(LastFix.objects.values_list("device_id", flat=True)) == set(devices)
    assert ShardCursor.objects.exclude(last_entry_id="0-0").count() == len(shards)
    assert [stream.sync_client().xlen(stream.stream_key(shard)) for shard in shards] == [0] * len(shards)
    assert drain.waiting_shards() == []


def test_a_killed_node_costs_its_own_shards_an_answer_and_no_fix(nodes: PrivateCluster, lane: LaneDriver) -> None:
    devices = [factories.device().pk for _ in range(60)]
    assert {post_from(lane, device_id).status for device_id in devices} == {202}
    lost = nodes.ports[2]
    is_lost = {device: nodes.port_of(stream.stream_key(stream.shard_of(device))) == lost for device in devices}
    one_of_it = next(device for device in devices if is_lost[device])

    nodes.kill(lost)
    answers = {device: post_from(lane, device).status for device in devices}
    nodes.launch(lost)
    wait_for(lambda: post_from(lane, one_of_it).status == 202)

    assert answers == {device: 503 if is_lost[device] else 202 for device in devices}
    for shard in drain.waiting_shards():
        drain.drain_shard(shard, read_clock=clock.now)
    assert LastFix.objects.count() == len(devices)
    assert drain.waiting_shards() == []


def test_a_node_that_could_lose_fixes_is_seen_at_start_up(nodes: PrivateCluster, lane: LaneDriver) -> None:
    assert checks.find_stream_faults() == []
    with nodes.node(nodes.ports[1]) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        faults = checks.find_stream_faults()
        client.config_set("maxmemory-policy", "noeviction")

    assert len(faults) == 1
    assert "allkeys-lru" in faults[0]


def test_a_cluster_that_is_away_is_reported_like_one_redis(
    tmp_path: Path, redis_prefix: str, settings: Any, client: Client
) -> None:
    nodes = PrivateCluster(tmp_path)
    try:
        settings.STREAM_URL = nodes.url
        ours = stream.sync_client()
        assert checks.find_stream_faults() == []
        for port in nodes.ports:
            nodes.kill(port)

        # The library's first errors differ from those after it has looked for other nodes.
        for _ in range(3):
            assert client.get("/readyz").json()["checks"]["redis"].startswith("Redis does not answer")
            assert 'doorstep_part_up{part="redis"} 0.0' in client.get("/metrics").content.decode()
            assert stream.claim_wake(ours, 1) is False
            with pytest.raises(redis.RedisError):
                stream.end_batch(ours, shard=1, entry_id="0-1")
    finally:
        nodes.stop()
