"""The fix lane between its neighbours: revocation, wake-ups, a real Celery message, and silence about places."""

import logging
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import redis

from promotions import clock, stream
from promotions.celery import app
from promotions.http.lane.appender import WakePublisher, publish_drain
from promotions.revocations import publish_revocation
from tests.patience import PATIENCE_S
from tests.promotions.http.lane.lanes import (
    CANARY_LATITUDE_DEG,
    CANARY_LONGITUDE_DEG,
    LaneDriver,
    Response,
    assert_problem,
    fix,
)


def _wait_for(lane: LaneDriver, status: int, token: str) -> Response:
    """Post until the answer has this status."""
    last: list[Response] = []

    def post() -> bool:
        last[:] = [lane.post_fixes({"fixes": [fix()]}, authorization=f"Bearer {token}")]
        return last[0].status == status

    lane.run_until(post)
    return last[0]


def test_a_revoked_token_is_refused_soon_and_a_newer_one_is_not(lane: LaneDriver) -> None:
    token = lane.token(issued_at=clock.now() - timedelta(seconds=10))
    key = lane.key(issued_at=clock.now() - timedelta(seconds=10))
    _wait_for(lane, 202, token)

    publish_revocation(stream.sync_client(), device_id=lane.device_id, tokens_not_before=clock.now())

    assert_problem(_wait_for(lane, 401, token), 401, "token_revoked")
    for path in ("/v1/ingest/owntracks", "/v1/ingest/overland", "/v1/ingest/osmand"):
        assert_problem(lane.post(path, {}, authorization=f"Bearer {key}"), 401, "token_revoked")
    assert lane.post_fixes({"fixes": [fix()]}).status == 202


def test_a_long_header_is_refused_and_not_remembered(lane: LaneDriver) -> None:
    token = lane.token()
    assert lane.post_fixes({"fixes": [fix()]}, authorization=f"Bearer {' ' * 100}{token}").status == 202

    long = lane.post_fixes({"fixes": [fix()]}, authorization=f"Bearer {' ' * 3_000}{token}")

    assert_problem(long, 401, "token_missing")


def test_withdrawn_consent_shuts_out_the_app_and_the_stock_phone(lane: LaneDriver) -> None:
    _wait_for(lane, 202, lane.token())
    stored = lane.stored().size

    publish_revocation(
        stream.sync_client(), device_id=lane.device_id, tokens_not_before=clock.now(), blocked="consent_required"
    )

    assert_problem(_wait_for(lane, 403, lane.token()), 403, "consent_required")
    for path in ("/v1/ingest/owntracks", "/v1/ingest/overland", "/v1/ingest/osmand"):
        assert_problem(lane.post(path, {}, authorization=f"Bearer {lane.key()}"), 403, "consent_required")
    assert lane.stored().size >= stored


def test_a_shard_is_woken_once_until_its_worker_clears_the_wake(lane: LaneDriver) -> None:
    shard = stream.shard_of(lane.device_id)
    lane.post_fixes({"fixes": [fix()]})
    lane.post_fixes({"fixes": [fix()]})
    lane.run_until(lambda: lane.woken)

    stream.clear_wake(stream.sync_client(), shard)
    lane.post_fixes({"fixes": [fix()]})
    lane.close_wakes()

    assert lane.woken == [shard, shard]
    assert 0 < int(stream.sync_client().pttl(stream.wake_key(shard))) <= stream.WAKE_LIFE_MS


def test_a_wake_up_is_a_celery_message_for_the_drain_task(redis_prefix: str, settings: Any) -> None:
    queue = f"{redis_prefix}-queue"
    options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": f"{redis_prefix}:celery:"}
    with (
        pytest.MonkeyPatch.context() as patch,
        app.connection_for_write(transport_options=options) as connection,
    ):
        patch.setattr(app, "send_task", partial(app.send_task, connection=connection, queue=queue))
        publish_drain(11)
        message = connection.SimpleQueue(queue).get(timeout=PATIENCE_S)
        message.ack()
        assert message.headers["task"] == "promotions.tasks.drain_shard"
        assert message.payload[0] == [11]
        connection.SimpleQueue(queue).queue.delete()


def test_a_wake_up_that_cannot_be_sent_harms_nothing(lane: LaneDriver, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[int] = []

    def fail_on_even(shard: int) -> None:
        if shard % 2 == 0:
            raise redis.ConnectionError("secret-broker-address")
        sent.append(shard)

    with caplog.at_level(logging.WARNING):
        wakes = WakePublisher(fail_on_even)
        for shards in ([2, 3], [3, 4, 5]):
            wakes.wake(shards)
        wakes.close()

    assert set(sent) == {3, 5}
    assert {record.message for record in caplog.records} == {"wake_not_published"}
    assert "secret-broker-address" not in caplog.text


_TIMES = {"created", "msecs", "relativeCreated", "thread", "process"}


def _canary_texts() -> list[str]:
    return [str(CANARY_LATITUDE_DEG), str(CANARY_LONGITUDE_DEG), "1234567", "7654321"]


def test_no_log_line_knows_a_place(lane: LaneDriver, caplog: pytest.LogCaptureFixture, settings: Any) -> None:
    place = {"latitude": CANARY_LATITUDE_DEG, "longitude": CANARY_LONGITUDE_DEG}
    feature = {
        "geometry": {"type": "Point", "coordinates": [CANARY_LONGITUDE_DEG, CANARY_LATITUDE_DEG]},
        "properties": {"timestamp": "2001-01-01T00:00:00Z"},
    }
    key = {"authorization": f"Bearer {lane.key()}"}
    owntracks = {"_type": "location", "lat": CANARY_LATITUDE_DEG, "lon": CANARY_LONGITUDE_DEG, "tst": 1}
    query = f"id={lane.key()}&lat={CANARY_LATITUDE_DEG}&lon={CANARY_LONGITUDE_DEG}&timestamp=1"

    with caplog.at_level(logging.DEBUG):
        refused = [
            lane.post_fixes({"fixes": [fix(**place), fix(**place, fix_time="2001-01-01T00:00:00Z")]}),
            lane.post_fixes({"fixes": [fix(**place, unknown=CANARY_LATITUDE_DEG, mock=f"{CANARY_LATITUDE_DEG}")]}),
            lane.post_fixes(b'{"fixes":[{"latitude":%f' % CANARY_LATITUDE_DEG),
            lane.post("/v1/ingest/overland", {"locations": [feature]}, **key),
            lane.post("/v1/ingest/overland", b'{"locations":[%f' % CANARY_LATITUDE_DEG, **key),
            lane.post("/v1/ingest/owntracks", owntracks, **key),
            lane.post(f"/v1/ingest/osmand?{query}"),
        ]
        stream.sync_client().set(stream.stream_key(stream.shard_of(lane.device_id)), b"not a stream")
        refused.append(lane.post_fixes({"fixes": [fix(**place)]}))

    assert_problem(refused[-1], 503, "unavailable")
    assert {record.message for record in caplog.records} >= {"ingest_refused", "fix_stream_unavailable"}
    # Without the times, whose digits may be any.
    kept = [{name: value for name, value in vars(record).items() if name not in _TIMES} for record in caplog.records]
    output = caplog.text + str(kept)
    assert not [text for text in _canary_texts() if text in output]
    assert not [text for text in _canary_texts() for response in refused if text.encode() in response.body]


def test_the_servers_access_log_is_left_no_place_and_no_key(lane: LaneDriver) -> None:
    key = lane.key()

    lane.post(f"/v1/ingest/osmand?id={key}&lat={CANARY_LATITUDE_DEG}&lon={CANARY_LONGITUDE_DEG}&timestamp=1")

    logged = f"{lane.last_scope['path']}?{lane.last_scope['query_string']!r}"
    assert not [text for text in (*_canary_texts(), key) if text in logged]


def test_bad_messages_are_logged_once_not_each_time(lane: LaneDriver, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            lane.post("/v1/ingest/owntracks", b"{", authorization=lane.basic())

    assert [record.message for record in caplog.records] == ["ingest_refused"]
