"""Credentials of devices: what is issued reads back, what is forged, stale or of another kind does not."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions import tokens
from promotions.tokens import (
    DeviceClaims,
    TokenError,
    epoch_ms,
    issue_access_token,
    issue_ingest_key,
    read_access_token,
    verify_ingest_key,
)
from tests.factories import NOW

DEVICE = UUID("0b54d0ce-5a3e-4b3f-9a50-1a6a2f1e9c11")


def _read_ingest_key(key: str | None, *, now: datetime) -> DeviceClaims:
    """As the fix lane reads one."""
    claims = verify_ingest_key(key)
    claims.require_live(epoch_ms(now))
    return claims


def _refusal(read: Callable[..., Any], credential: str | None, **given: Any) -> str:
    with pytest.raises(TokenError) as caught:
        read(credential, now=given.get("now", NOW))
    if credential and len(credential) > 40:
        assert credential not in str(caught.value)
    return caught.value.code


def _forge(*, key: bytes | None = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token signed with our key unless another is given; the caller chooses the rest."""
    payload = {
        "sub": str(DEVICE),
        "iat": NOW.timestamp(),
        "exp": NOW.timestamp() + 60,
        "cns": ["geo_match"],
        **claims,
    }
    payload = {name: value for name, value in payload.items() if value is not ...}
    signing_key = tokens._signing_keys("access-token")[0] if key is None else key
    return jwt.encode(payload, signing_key, algorithm="HS256", headers={"typ": "device+jwt", **(header or {})})


def _segment(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_an_access_token_reads_back_what_was_issued() -> None:
    token = issue_access_token(device_id=DEVICE, consents=["messages", "geo_match"], now=NOW)

    claims = read_access_token(token, now=NOW)

    assert claims.device_id == DEVICE
    assert claims.consents == {"geo_match", "messages"}
    assert claims.issued_at_ms == NOW.timestamp() * 1000
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "device+jwt"}


@given(
    device_id=st.uuids(),
    consents=st.sets(st.sampled_from(["geo_match", "messages", "fraud_checks", "statistics"])),
    age_ms=st.integers(0, 10**10),
)
def test_the_short_way_reads_a_token_as_the_library_does(device_id: UUID, consents: set[str], age_ms: int) -> None:
    keys = tokens._signing_keys("access-token")
    token = issue_access_token(device_id=device_id, consents=consents, now=NOW - timedelta(milliseconds=age_ms))

    claims = tokens._read_own(token, keys)

    assert claims is not None
    assert claims == tokens._read_any(token, keys)


def test_the_short_way_leaves_every_other_spelling_to_the_library() -> None:
    header, payload, signature = _forge().split(".")
    keys = tokens._signing_keys("access-token")
    spellings = [
        _forge(header={"kid": "1"}),
        _forge(sub=7),
        f"{header}.{payload}.{signature}=",
        f"{header}.{payload}.",
        f"{header}..{signature}",
        f"{header}.{payload}",
    ]

    assert tokens._read_own(_forge(), keys) is not None
    assert [tokens._read_own(token, keys) for token in spellings] == [None] * len(spellings)


def test_a_token_lives_until_its_last_second(settings: Any) -> None:
    settings.ACCESS_TOKEN_LIFE_S = 60
    token = issue_access_token(device_id=DEVICE, consents=[], now=NOW)
    key = issue_ingest_key(device_id=DEVICE, now=NOW)

    assert read_access_token(token, now=NOW + timedelta(seconds=59.9)).device_id == DEVICE
    assert _read_ingest_key(key, now=NOW + timedelta(seconds=59.9)).device_id == DEVICE
    assert _refusal(read_access_token, token, now=NOW + timedelta(seconds=60)) == "token_expired"
    assert _refusal(_read_ingest_key, key, now=NOW + timedelta(seconds=60)) == "token_expired"


@pytest.mark.parametrize("read", [read_access_token, _read_ingest_key])
@pytest.mark.parametrize("credential", [None, ""])
def test_no_credential_is_missing(read: Callable[..., Any], credential: str | None) -> None:
    assert _refusal(read, credential) == "token_missing"


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": "no one"},
        {"sub": 7},
        {"sub": str(DEVICE).upper()},
        {"sub": ...},
        {"iat": ...},
        {"exp": ...},
        {"cns": ...},
        {"exp": "later"},
        {"exp": True},
        {"exp": float("nan")},
        {"exp": 1e300},
        {"iat": -1},
        {"cns": "geo_match"},
        {"cns": [["geo_match"]]},
        {"cns": {"geo_match": 1}},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "staff+jwt"}},
        {"header": {"typ": None}},
        {"header": {"crit": ["b64"], "b64": False}},
        {"key": b"another secret of thirty-two byte"},
    ],
)
def test_a_token_that_is_not_exactly_ours_is_malformed(changes: dict[str, Any]) -> None:
    assert _refusal(read_access_token, _forge(**changes)) == "token_malformed"


def test_only_our_algorithm_counts_with_every_header() -> None:
    claims = {"sub": str(DEVICE), "iat": 1, "exp": 9_999_999_999, "cns": ["geo_match"]}
    key = tokens._signing_keys("access-token")[0]
    none = f"{_segment({'alg': 'none', 'typ': 'device+jwt'})}.{_segment(claims)}."
    longer = jwt.encode(claims, key + key, algorithm="HS512", headers={"typ": "device+jwt"})

    assert _refusal(read_access_token, none) == "token_malformed"
    assert _refusal(read_access_token, longer) == "token_malformed"


@given(text=st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("latin-1")))
def test_arbitrary_text_never_reads_as_a_credential(text: str) -> None:
    for read in (read_access_token, _read_ingest_key):
        assert _refusal(read, text) in {"token_missing", "token_malformed"}


def test_a_huge_token_is_not_even_decoded() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 1_200).decode()

    assert _refusal(read_access_token, _forge(cns=["x" * 5_000])) == "token_malformed"
    assert _refusal(read_access_token, f"{deep}.e30.AA") == "token_malformed"


def test_one_changed_character_spoils_a_credential() -> None:
    token = issue_access_token(device_id=DEVICE, consents=["geo_match"], now=NOW)
    key = issue_ingest_key(device_id=DEVICE, now=NOW)

    for read, genuine in ((read_access_token, token), (_read_ingest_key, key)):
        # The last character of a JWT signature carries two spare bits, so it is left out.
        for at in range(len(genuine) - 1):
            other = "A" if genuine[at] != "A" else "B"
            assert _refusal(read, genuine[:at] + other + genuine[at + 1 :]) == "token_malformed"


def test_a_rotated_secret_still_reads_and_a_dropped_one_does_not(settings: Any) -> None:
    settings.DEVICE_TOKEN_SECRET = "first"
    token = issue_access_token(device_id=DEVICE, consents=[], now=NOW)
    key = issue_ingest_key(device_id=DEVICE, now=NOW)
    read_access_token(token, now=NOW)

    settings.DEVICE_TOKEN_SECRET, settings.DEVICE_TOKEN_SECRET_FALLBACKS = "second", ["first"]
    assert read_access_token(token, now=NOW).device_id == DEVICE
    assert _read_ingest_key(key, now=NOW).device_id == DEVICE
    assert issue_access_token(device_id=DEVICE, consents=[], now=NOW) != token

    settings.DEVICE_TOKEN_SECRET_FALLBACKS = []
    assert _refusal(read_access_token, token) == "token_malformed"
    assert _refusal(_read_ingest_key, key) == "token_malformed"


def test_an_ingest_key_is_short_plain_and_carries_the_consent() -> None:
    key = issue_ingest_key(device_id=DEVICE, now=NOW)

    claims = _read_ingest_key(key, now=NOW)

    assert len(key) == 47
    assert key.startswith("dk_")
    assert key.replace("_", "").replace("-", "").isalnum()
    assert (claims.device_id, claims.consents) == (DEVICE, {"geo_match"})
    assert claims.issued_at_ms == NOW.timestamp() * 1000


@given(device_id=st.uuids(), age_s=st.integers(0, 10**8))
def test_every_ingest_key_reads_back(device_id: UUID, age_s: int) -> None:
    issued_at = NOW - timedelta(seconds=age_s % (2 * 365 * 86_400))

    claims = verify_ingest_key(issue_ingest_key(device_id=device_id, now=issued_at))

    assert claims.device_id == device_id
    assert claims.issued_at_ms == issued_at.timestamp() * 1000


def test_credentials_of_one_kind_do_not_open_the_other_door() -> None:
    token = issue_access_token(device_id=uuid4(), consents=["geo_match"], now=NOW)
    key = issue_ingest_key(device_id=uuid4(), now=NOW)

    assert _refusal(_read_ingest_key, token) == "token_malformed"
    assert _refusal(read_access_token, key) == "token_malformed"
