"""`POST /v1/presence-tokens/spend` and the key set: a token is good once, for its brand, for two minutes."""

import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from django.db import connection
from django.test import Client
from pytest_django import Settings

from promotions.errors import DomainError
from promotions.logic.presence_tokens import KEY_PERIOD, Parties, Presence, key_period, sign_presence
from promotions.models import Brand, SpentPresenceToken
from promotions.services.accounts.brand_tokens import create_brand_token
from promotions.services.retention import drop_expired
from promotions.services.unlocks.presence_tokens import spend_presence_token
from tests import factories
from tests.contract.problems import assert_problem
from tests.factories import NOW
from tests.forging import replace_char
from tests.patience import SLACK_S
from tests.promotions.admin import rows
from tests.promotions.services.crowds import Meeting

SECOND = timedelta(seconds=1)


@pytest.fixture
def brand(db: None, now: datetime) -> Brand:
    return factories.brand()


def token_for(brand: Brand, settings: Settings, **given: Any) -> str:
    parties = Parties("urn:doorstep", brand.uuid, uuid.uuid4(), given.pop("jti", uuid.uuid4()))
    presence = Presence(uuid.uuid4(), uuid.uuid4(), 1, 4, ("fix", "qr"), 0.0, 12.0)
    return sign_presence(settings.CODE_SECRET.encode(), parties, presence, given.pop("now", NOW))[0]


def spend(brand: Brand, token: Any) -> Any:
    bearer = create_brand_token(brand=brand, label="checkout", now=NOW)
    return Client().post(
        "/v1/presence-tokens/spend",
        {"token": token},
        content_type="application/json",
        headers={"Authorization": f"Bearer {bearer}"},
    )


def test_the_first_use_is_valid_and_returns_the_claims(brand: Brand, settings: Settings) -> None:
    jti = uuid.uuid4()

    answer = spend(brand, token_for(brand, settings, jti=jti))

    claims = answer.json()["claims"]
    assert (answer.status_code, claims["jti"], claims["aud"], claims["lal"]) == (200, str(jti), str(brand.uuid), 4)
    row = SpentPresenceToken.objects.get()
    assert (row.jti, row.brand, row.spent_at, row.expires_at) == (jti, brand, NOW, NOW + 120 * SECOND)


def test_from_then_on_it_is_spent(brand: Brand, settings: Settings, set_clock: Callable[[datetime], None]) -> None:
    token = token_for(brand, settings)
    assert spend(brand, token).status_code == 200
    set_clock(NOW + 60 * SECOND)

    again = spend(brand, token)

    assert assert_problem(again, "token_spent")["spent_at"] == "2026-09-22T10:30:00Z"
    assert "Retry-After" not in again.headers
    assert SpentPresenceToken.objects.get().spent_at == NOW


@pytest.mark.parametrize(("after", "status"), [(119 * SECOND, 200), (120 * SECOND, 422), (121 * SECOND, 422)])
def test_after_two_minutes_it_has_expired(
    brand: Brand, settings: Settings, set_clock: Callable[[datetime], None], after: timedelta, status: int
) -> None:
    token = token_for(brand, settings)
    set_clock(NOW + after)

    answer = spend(brand, token)

    assert answer.status_code == status
    if status == 422:
        assert_problem(answer, "presence_token_expired")
        assert not SpentPresenceToken.objects.exists()


def test_another_brands_token_and_forgeries_are_alike(brand: Brand, settings: Settings) -> None:
    strange = token_for(factories.brand(), settings)
    own = token_for(brand, settings)
    forged = replace_char(own, -4)

    answers = [
        assert_problem(spend(brand, token), "presence_token_invalid") for token in (strange, forged, "x", "a.b.c")
    ]

    assert len({answer["detail"] for answer in answers}) == 1
    assert not SpentPresenceToken.objects.exists()


@pytest.mark.parametrize("token", [7, None, "", "x" * 2049, "\x00", ["x"]])
def test_what_is_no_text_of_fit_length_is_a_fault(brand: Brand, token: Any) -> None:
    assert_problem(spend(brand, token), "invalid_input", pointers=["/token"])


def test_only_a_brands_token_may_spend(brand: Brand, settings: Settings) -> None:
    body = {"token": token_for(brand, settings)}
    address = "/v1/presence-tokens/spend"

    anonymous = Client().post(address, body, content_type="application/json")
    wrong = Client().post(address, body, content_type="application/json", headers={"Authorization": "Bearer x"})
    session = rows.brand_manager(brand).post(address, body, content_type="application/json")

    assert_problem(anonymous, "token_missing")
    assert_problem(wrong, "token_malformed")
    assert_problem(session, "token_missing")
    assert not SpentPresenceToken.objects.exists()


def test_the_key_set_is_public_and_may_be_kept_for_an_hour(now: datetime) -> None:
    answer = Client().get("/.well-known/jwks.json")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, max-age=3600")
    keys = answer.json()["keys"]
    assert {(key["kty"], key["crv"], key["alg"], key["use"]) for key in keys} == {("OKP", "Ed25519", "EdDSA", "sig")}
    assert [len(key["x"]) for key in keys] == [43] * len(keys)


def test_a_set_fetched_before_the_turn_verifies_what_is_issued_after_it(
    brand: Brand, settings: Settings, set_clock: Callable[[datetime], None]
) -> None:
    turn = NOW + KEY_PERIOD - (NOW - datetime.fromtimestamp(0, tz=NOW.tzinfo)) % KEY_PERIOD
    set_clock(turn - SECOND)
    kept = jwt.PyJWKSet.from_dict(Client().get("/.well-known/jwks.json").json())

    token = token_for(brand, settings, now=turn)

    assert key_period(turn) == key_period(turn - SECOND) + 1
    key = kept[jwt.get_unverified_header(token)["kid"]]
    options: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(token, key, algorithms=["EdDSA"], audience=str(brand.uuid), options=options)["lal"] == 4


def test_rows_of_tokens_long_expired_are_dropped(brand: Brand, settings: Settings) -> None:
    spend(brand, token_for(brand, settings))

    drop_expired(now=NOW + timedelta(hours=24))
    kept = SpentPresenceToken.objects.count()
    drop_expired(now=NOW + timedelta(hours=25))

    assert (kept, SpentPresenceToken.objects.count()) == (1, 0)


def crowd(brand: Brand, token: str, count: int = 64, threads: int = 32) -> Counter[str]:
    """Several clients use one token at once, each in its own thread and connection."""
    gate = threading.Barrier(threads)

    def attempt() -> str:
        try:
            spend_presence_token(brand=brand, token=token, now=NOW)
        except DomainError as error:
            return error.code
        return "spent"

    def work(_number: int) -> list[str]:
        try:
            connection.ensure_connection()
            gate.wait(timeout=SLACK_S)
            return [attempt() for _ in range(count // threads)]
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return Counter(code for codes in pool.map(work, range(threads)) for code in codes)


@pytest.mark.django_db(transaction=True)
def test_of_64_clients_at_once_one_spends_it(settings: Settings) -> None:
    brand = factories.brand()

    outcomes = crowd(brand, token_for(brand, settings))

    assert outcomes == {"spent": 1, "token_spent": 63}


@pytest.mark.django_db(transaction=True)
def test_looking_first_and_writing_then_spends_it_often(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    brand = factories.brand()
    spent: list[uuid.UUID] = []
    both_looked = Meeting(2)

    def write_carelessly(jti: uuid.UUID, **given: Any) -> None:
        is_spent = SpentPresenceToken.objects.filter(jti=jti).exists()
        both_looked.attend()
        if not is_spent:
            SpentPresenceToken(jti=jti, **given).save()
            spent.append(jti)

    monkeypatch.setattr(SpentPresenceToken.objects, "create", write_carelessly)
    crowd(brand, token_for(brand, settings))

    assert len(spent) > 1
