"""Revocations: published once, followed by every fix lane within two seconds, never moved back."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from promotions import revocations, stream
from promotions.revocations import RevocationFeed, publish_revocation
from promotions.tokens import epoch_ms
from tests.factories import NOW
from tests.patience import PATIENCE_S, SLACK_S

T = TypeVar("T")
NOW_MS = epoch_ms(NOW)


@pytest.fixture
def client(redis_prefix: str) -> Any:
    """Redis, on keys of this test's own."""
    return stream.sync_client()


def _with_feed(work: Callable[[RevocationFeed], Awaitable[T]]) -> T:
    async def run() -> T:
        client = stream.async_client()
        feed = RevocationFeed(client)
        await feed.start()
        try:
            return await work(feed)
        finally:
            await feed.close()
            await client.aclose()

    return asyncio.run(run())


async def _seconds_until(condition: Callable[[], bool]) -> float:
    begun_s = time.monotonic()
    while not condition():
        assert time.monotonic() - begun_s < PATIENCE_S, "waited in vain"
        await asyncio.sleep(0.02)
    return time.monotonic() - begun_s


def test_older_credentials_end_and_newer_ones_live(client: Any) -> None:
    device_id = uuid.uuid4()
    assert publish_revocation(client, device_id=device_id, tokens_not_before=NOW)

    async def read_feed(feed: RevocationFeed) -> list[str]:
        ages = (NOW_MS - 1, NOW_MS, NOW_MS + 1)
        return [*(feed.find_refusal(device_id, age) for age in ages), feed.find_refusal(uuid.uuid4(), 0)]

    assert _with_feed(read_feed) == ["token_revoked", "", "", ""]


@pytest.mark.parametrize("code", ["consent_required", "token_revoked"])
def test_a_blocked_device_is_refused_with_every_input(client: Any, code: Any) -> None:
    device_id = uuid.uuid4()
    publish_revocation(client, device_id=device_id, tokens_not_before=NOW, blocked=code)

    async def read_feed(feed: RevocationFeed) -> str:
        return feed.find_refusal(device_id, NOW_MS + 1_000_000)

    assert _with_feed(read_feed) == code


def test_a_running_lane_hears_within_two_seconds(client: Any) -> None:
    device_id = uuid.uuid4()

    async def read_feed(feed: RevocationFeed) -> tuple[float, float]:
        publish_revocation(client, device_id=device_id, tokens_not_before=NOW, blocked="consent_required")
        blocked_s = await _seconds_until(lambda: feed.find_refusal(device_id, NOW_MS) == "consent_required")
        publish_revocation(client, device_id=device_id, tokens_not_before=NOW + timedelta(seconds=1))
        freed_s = await _seconds_until(lambda: feed.find_refusal(device_id, NOW_MS + 1000) == "")
        return blocked_s, freed_s

    assert max(_with_feed(read_feed)) < 2 + SLACK_S


def test_an_older_truth_published_late_undoes_nothing(client: Any) -> None:
    device_id = uuid.uuid4()
    publish_revocation(client, device_id=device_id, tokens_not_before=NOW, blocked="consent_required")

    heard = publish_revocation(client, device_id=device_id, tokens_not_before=NOW - timedelta(milliseconds=1))

    async def read_feed(feed: RevocationFeed) -> str:
        return feed.find_refusal(device_id, NOW_MS)

    assert heard
    assert _with_feed(read_feed) == "consent_required"


def test_publications_in_one_millisecond_are_all_heard(client: Any) -> None:
    early, late = ([uuid.uuid4() for _ in range(1_500)] for _ in range(2))
    for device_id in early:
        publish_revocation(client, device_id=device_id, tokens_not_before=NOW)

    async def read_feed(feed: RevocationFeed) -> list[bool]:
        heard = [all(feed.find_refusal(device_id, 0) for device_id in early)]
        for device_id in late:
            publish_revocation(client, device_id=device_id, tokens_not_before=NOW)
        await _seconds_until(lambda: all(feed.find_refusal(device_id, 0) for device_id in late))
        return heard

    assert _with_feed(read_feed) == [True]


def test_a_redis_that_lost_its_data_frees_no_device(client: Any) -> None:
    before, after = uuid.uuid4(), uuid.uuid4()
    publish_revocation(client, device_id=before, tokens_not_before=NOW)

    async def read_feed(feed: RevocationFeed) -> str:
        client.delete(revocations.entries_key(), revocations.changes_key(), revocations.complete_key())
        client.zadd(revocations.changes_key(), {str(after): 5})
        client.hset(revocations.entries_key(), str(after), f"{NOW_MS}:")
        await _seconds_until(lambda: feed.find_refusal(after, 0) == "token_revoked")
        return feed.find_refusal(before, 0)

    assert _with_feed(read_feed) == "token_revoked"


def test_entries_older_than_any_credential_are_deleted(client: Any, settings: Any) -> None:
    settings.ACCESS_TOKEN_LIFE_S = 60 - 86_400
    old, newest = uuid.uuid4(), uuid.uuid4()
    publish_revocation(client, device_id=old, tokens_not_before=NOW)
    client.zincrby(revocations.changes_key(), -61_000, str(old))

    async def read_feed(feed: RevocationFeed) -> list[str]:
        first = feed.find_refusal(old, 0)
        publish_revocation(client, device_id=newest, tokens_not_before=NOW)
        await _seconds_until(lambda: feed.find_refusal(newest, 0) != "")
        return [first, feed.find_refusal(old, 0)]

    assert _with_feed(read_feed) == ["token_revoked", ""]
    assert client.hlen(revocations.entries_key()) == 1
    assert client.zcard(revocations.changes_key()) == 1


def test_without_redis_publishing_fails_and_a_feed_goes_stale(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(revocations, "STALE_AFTER_S", 0.1)
    gone = stream.sync_client()

    async def read_feed(feed: RevocationFeed) -> bool:
        return feed.is_fresh

    assert publish_revocation(gone, device_id=uuid.uuid4(), tokens_not_before=NOW) is False
    assert _with_feed(read_feed) is False
