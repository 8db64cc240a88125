"""What a changed consent or an erasure does beyond the device's own row."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from promotions import revocations, stream
from promotions.errors import DomainError
from promotions.models import Consent, Device, Refusal, RevocationNotice, Unlock
from promotions.revocations import entries_key
from promotions.services.devices import revocation_notices
from promotions.services.devices.erasure import forget_device
from promotions.services.devices.registration import ConsentGiven, DeviceChange, block_device, change_device
from promotions.services.devices.revocation_notices import announce_unheard, find_outlived
from promotions.services.presence.assurance import GivenFix
from promotions.services.unlocks.evaluation import UnlockAttempt
from promotions.services.unlocks.unlocks import unlock_offer
from promotions.tokens import epoch_ms
from tests import factories
from tests.factories import LATITUDE_DEG, LONGITUDE_DEG, NOW
from tests.patience import SLACK_S

pytestmark = pytest.mark.django_db(transaction=True)

NOTHING = DeviceChange(consents=ConsentGiven(frozenset()))
GEO_MATCH = DeviceChange(consents=ConsentGiven(frozenset({"geo_match"})))


@pytest.fixture
def published(redis_prefix: str) -> Callable[[Device], str | None]:
    """The revocation notice of a device in the fix lanes."""
    client = stream.hub_client()

    def read(device: Device) -> str | None:
        output = client.hget(entries_key(), str(device.pk))
        return output.decode() if isinstance(output, bytes) else None

    return read


def test_withdrawing_shuts_the_lane_and_granting_opens_it(published: Any) -> None:
    ada = factories.device()

    change_device(ada.pk, NOTHING, now=NOW)
    assert published(ada) == f"{epoch_ms(NOW)}:consent_required"

    change_device(ada.pk, GEO_MATCH, now=NOW + timedelta(minutes=1))
    assert published(ada) == f"{epoch_ms(NOW)}:"


def test_nothing_is_published_of_a_change_that_was_rolled_back(published: Any) -> None:
    ada = factories.device()

    with transaction.atomic():
        change_device(ada.pk, NOTHING, now=NOW)
        transaction.set_rollback(True)

    assert published(ada) is None
    assert not Consent.objects.exists()


def test_a_change_holds_while_redis_is_away(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    ada = factories.device()

    change_device(ada.pk, NOTHING, now=NOW)

    ada.refresh_from_db()
    assert (ada.consents, ada.tokens_not_before) == ([], NOW)


def test_a_notice_that_redis_missed_is_repeated_once_it_is_back(published: Any, settings: Any) -> None:
    ada, gone, url = factories.device(), factories.device(), settings.REDIS_URL
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    change_device(ada.pk, NOTHING, now=NOW)
    forget_device(gone.pk, now=NOW)
    settings.REDIS_URL = url

    reported = [announce_unheard(), announce_unheard()]

    assert reported == [2, 0]
    assert published(ada) == f"{epoch_ms(NOW)}:consent_required"
    assert published(gone) == f"{epoch_ms(NOW)}:token_revoked"


def test_another_process_announces_for_one_that_died_after_its_commit(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = factories.device()
    with monkeypatch.context() as patch:
        patch.setattr(revocation_notices, "_announce", lambda client, device_id: True)
        change_device(ada.pk, NOTHING, now=NOW)
    assert published(ada) is None

    announce_unheard()

    assert published(ada) == f"{epoch_ms(NOW)}:consent_required"


def test_a_redis_that_lost_its_data_gets_every_notice(published: Any, settings: Any) -> None:
    ada, bo, gone = (factories.device() for _ in range(3))
    change_device(ada.pk, NOTHING, now=NOW)
    block_device(bo.pk, now=NOW)
    forget_device(gone.pk, now=NOW)
    announce_unheard()
    settings.REDIS_PREFIX = f"{settings.REDIS_PREFIX}:emptied"

    reported = [announce_unheard(), announce_unheard()]

    assert reported == [3, 0]
    assert published(ada) == f"{epoch_ms(NOW)}:consent_required"
    assert (published(bo), published(gone)) == (f"{epoch_ms(NOW)}:token_revoked",) * 2


def test_a_notice_that_changes_while_it_is_announced_is_announced_again(
    published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = factories.device()
    change_device(ada.pk, NOTHING, now=NOW)
    RevocationNotice.objects.update(is_heard=False)
    publish = revocations.publish_revocation

    def publish_late(client: Any, **output: Any) -> bool:
        monkeypatch.undo()
        # Granted and announced again before the older notice arrives.
        change_device(ada.pk, GEO_MATCH, now=NOW + timedelta(minutes=1))
        return publish(client, **output)

    monkeypatch.setattr(revocations, "publish_revocation", publish_late)
    announce_unheard()

    assert published(ada) == f"{epoch_ms(NOW)}:"


def test_notices_are_dropped_when_no_credential_is_that_old(published: Any, settings: Any) -> None:
    change_device(factories.device().pk, NOTHING, now=NOW)
    life = timedelta(seconds=settings.ACCESS_TOKEN_LIFE_S)

    find_outlived(now=NOW + life).delete()
    kept = RevocationNotice.objects.count()
    find_outlived(now=NOW + life + timedelta(days=2)).delete()

    assert (kept, RevocationNotice.objects.count()) == (1, 0)


def test_an_erased_device_is_shut_out(published: Any) -> None:
    ada = factories.device()

    forget_device(ada.pk, now=NOW)

    assert published(ada) == f"{epoch_ms(NOW)}:token_revoked"


def at_once(*calls: Any) -> list[Any]:
    gate = threading.Barrier(len(calls))

    def run(call: Any) -> Any:
        try:
            connection.ensure_connection()
            gate.wait(timeout=SLACK_S)
            return call()
        except DomainError as error:
            return error.code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_sixteen_withdrawals_at_once_write_the_ledger_once(published: Any) -> None:
    ada = factories.device(consents=["geo_match", "messages"])

    at_once(*[lambda: change_device(ada.pk, NOTHING, now=NOW)] * 16)

    assert sorted(Consent.objects.values_list("purpose", "is_granted")) == [("geo_match", False), ("messages", False)]


@pytest.mark.parametrize("accuracy_m", [10.0, 500.0])
def test_an_unlock_and_an_erasure_at_once_leave_nothing(published: Any, accuracy_m: float) -> None:
    campaign = factories.campaign()
    fix = GivenFix(LATITUDE_DEG, LONGITUDE_DEG, accuracy_m, NOW)

    for _ in range(12):
        ada = factories.device()
        requested, _ = at_once(
            lambda ada=ada: unlock_offer(device=ada, campaign_uuid=campaign.uuid, attempt=UnlockAttempt(fix), now=NOW),
            lambda ada=ada: forget_device(ada.pk, now=NOW),
        )
        assert requested in ("token_revoked", "accuracy_too_low") or requested[1] is True

    assert not Unlock.objects.exists()
    assert not Refusal.objects.exists()
    assert not Device.objects.exists()
