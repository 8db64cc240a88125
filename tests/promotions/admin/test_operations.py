"""The operator replays dead letters in admin."""

import pytest
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisConnectionError

from promotions import stream
from promotions.models import DeadLetter
from promotions.services.fixes import dead_letters
from tests.factories import NOW
from tests.promotions.admin import rows

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


@pytest.fixture
def dead_letter(redis_prefix: str) -> DeadLetter:
    return DeadLetter.objects.create(
        shard=3, entry_id="1-0", fields={"d": "Ynl0ZXM="}, reason="ValueError: odd", buried_at=NOW
    )


def replay(dead_letter: DeadLetter) -> HttpResponse:
    return rows.operator().post(
        reverse("admin:promotions_deadletter_changelist"), {"action": "replay", "_selected_action": [dead_letter.pk]}
    )


def reported(answer: HttpResponse) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]  # type: ignore[attr-defined]


def test_a_dead_letter_is_replayed_once(dead_letter: DeadLetter) -> None:
    first, second = replay(dead_letter), replay(dead_letter)

    dead_letter.refresh_from_db()
    entries = stream.sync_client().xrange(stream.stream_key(3))
    assert [fields for _, fields in entries] == [{b"d": b"bytes"}]  # type: ignore[union-attr]
    assert dead_letter.replayed_at == NOW
    assert reported(first) == ["1 replayed."]
    assert reported(second) == ["0 replayed."]


def test_a_missing_redis_is_reported_and_breaks_nothing(
    dead_letter: DeadLetter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **given: object) -> int:
        raise RedisConnectionError

    monkeypatch.setattr(dead_letters, "replay", refuse)

    answer = replay(dead_letter)

    assert answer.status_code == 302
    assert reported(answer) == ["Redis did not answer. The remaining entries were not replayed. Try again."]
