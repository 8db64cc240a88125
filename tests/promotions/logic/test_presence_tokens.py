"""Presence tokens: what they say, who can verify them with the published keys alone, and every way to forge one."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from promotions.logic import presence_tokens
from promotions.logic.presence_tokens import (
    KEY_PERIOD,
    Parties,
    Presence,
    PresenceTokenError,
    key_period,
    name_key,
    name_subject,
    publish_keys,
    read_presence,
    sign_presence,
)

SECRET = b"a secret of the test, long enough"
OTHER_SECRET = b"another secret, also long enough"
NOW = datetime(2026, 9, 22, 10, 30, tzinfo=UTC)
BRAND, OTHER_BRAND = UUID(int=1), UUID(int=2)
DEVICE = UUID("0b1e4b8e-6c57-4a52-9b9a-6f7f0c2f9d11")
ISSUER = "https://doorstep.example"
PARTIES = Parties(ISSUER, BRAND, DEVICE, UUID(int=7))
PRESENCE = Presence(UUID(int=3), UUID(int=4), 2, 4, ("dwell", "qr"), 75.0, 12.0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TURN = EPOCH + (key_period(NOW) + 1) * KEY_PERIOD
SECOND = timedelta(seconds=1)
TOKEN, _ = sign_presence(SECRET, PARTIES, PRESENCE, NOW)


def read(token: str, *, now: datetime = NOW, brand: UUID = BRAND, issuer: str = ISSUER) -> Any:
    return read_presence(SECRET, token, issuer=issuer, brand_id=brand, now=now)


def refusal_of(token: str, **given: Any) -> PresenceTokenError:
    with pytest.raises(PresenceTokenError) as caught:
        read(token, **given)
    return caught.value


def encode(part: Any) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims_with(**changed: Any) -> dict[str, Any]:
    claims = {**jwt.decode(TOKEN, options={"verify_signature": False}), **changed}
    return {name: value for name, value in claims.items() if value is not ...}


def own_key() -> Ed25519PrivateKey:
    return presence_tokens._derive_key(SECRET, key_period(NOW))


def signed(claims: Any, **header: Any) -> str:
    """A token signed with our own key, with any header and claims."""
    headers = {"typ": "presence+jwt", "kid": name_key(SECRET, key_period(NOW)), **header}
    return jwt.encode(claims, own_key(), algorithm="EdDSA", headers=headers)


def test_the_token_has_all_claims_and_no_position() -> None:
    token, expires_at = sign_presence(SECRET, PARTIES, PRESENCE, NOW + timedelta(microseconds=900_000))

    issued_at_s = int(NOW.timestamp())
    assert expires_at == NOW + timedelta(seconds=120)
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "typ": "presence+jwt",
        "kid": name_key(SECRET, key_period(NOW)),
    }
    assert read(token) == {
        "iss": ISSUER,
        "aud": str(BRAND),
        "sub": name_subject(SECRET, BRAND, DEVICE),
        "jti": str(UUID(int=7)),
        "iat": issued_at_s,
        "nbf": issued_at_s,
        "exp": issued_at_s + 120,
        "fence": str(UUID(int=4)),
        "fv": 2,
        "cmp": str(UUID(int=3)),
        "lal": 4,
        "why": ["dwell", "qr"],
        "dw": 60,
        "ab": 20,
    }


@pytest.mark.parametrize(
    ("dwell_s", "accuracy_m", "expected"),
    [
        (0, 20, (0, 20)),
        (59.9, 20.1, (0, 50)),
        (60, 50, (60, 50)),
        (599, 51, (180, 100)),
        (86_400, 5000, (1800, 100)),
        (-5, 0, (0, 20)),
        (float("nan"), float("nan"), (0, 100)),
    ],
)
def test_dwell_and_accuracy_are_reported_in_buckets(
    dwell_s: float, accuracy_m: float, expected: tuple[int, int]
) -> None:
    presence = replace(PRESENCE, dwell_s=dwell_s, accuracy_m=accuracy_m)

    claims = read(sign_presence(SECRET, PARTIES, presence, NOW)[0])

    assert (claims["dw"], claims["ab"]) == expected


def test_a_verifier_needs_the_published_keys_and_nothing_else() -> None:
    published = json.loads(json.dumps({"keys": publish_keys(SECRET, NOW)}))

    key_set = jwt.PyJWKSet.from_dict(published)
    key = key_set[jwt.get_unverified_header(TOKEN)["kid"]]
    claims = jwt.decode(
        TOKEN,
        key,
        algorithms=["EdDSA"],
        audience=str(BRAND),
        issuer=ISSUER,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )

    assert claims["lal"] == 4
    assert all(set(each) == {"kty", "crv", "x", "kid", "use", "alg"} for each in published["keys"])


@pytest.mark.parametrize(
    ("now", "periods"),
    [(TURN - SECOND, [0, 1]), (TURN, [1, 2, 0]), (TURN + timedelta(days=7) - SECOND, [1, 2, 0])],
)
def test_the_next_key_is_published_before_and_the_last_one_a_week_after(now: datetime, periods: list[int]) -> None:
    first = key_period(NOW)

    kids = [each["kid"] for each in publish_keys(SECRET, now)]

    assert kids == [name_key(SECRET, first + period) for period in periods]


def test_after_a_week_the_last_key_is_gone_and_no_two_keys_are_alike() -> None:
    keys = publish_keys(SECRET, TURN + timedelta(days=7))

    assert [each["kid"] for each in keys] == [name_key(SECRET, key_period(TURN) + ahead) for ahead in (0, 1)]
    assert len({each["x"] for each in [*keys, *publish_keys(SECRET, NOW), *publish_keys(OTHER_SECRET, NOW)]}) == 5


def test_a_token_of_the_last_second_of_a_key_is_good_after_the_turn() -> None:
    token, _ = sign_presence(SECRET, PARTIES, PRESENCE, TURN - SECOND)

    assert read(token, now=TURN + 60 * SECOND)["lal"] == 4


@pytest.mark.parametrize(
    ("after", "is_good"),
    [
        (timedelta(0), True),
        (119 * SECOND, True),
        (120 * SECOND - timedelta(microseconds=1), True),
        (-5 * SECOND, True),
        (-6 * SECOND, False),
    ],
)
def test_a_token_is_good_for_two_minutes(after: timedelta, is_good: bool) -> None:
    if is_good:
        assert read(TOKEN, now=NOW + after)["lal"] == 4
    else:
        assert not refusal_of(TOKEN, now=NOW + after).is_expired


@pytest.mark.parametrize("after", [120 * SECOND, 121 * SECOND, timedelta(days=60)])
def test_an_expired_token_has_its_own_error(after: timedelta) -> None:
    late = replace(PARTIES, jti=uuid4())
    begin = EPOCH + key_period(NOW) * KEY_PERIOD
    token, _ = sign_presence(SECRET, late, PRESENCE, begin)

    assert refusal_of(token, now=begin + after).is_expired


def test_two_brands_know_a_device_by_two_names_and_a_brand_by_one() -> None:
    names = {name_subject(SECRET, brand, DEVICE) for brand in (BRAND, OTHER_BRAND, BRAND)}

    assert len(names) == 2
    assert name_subject(SECRET, BRAND, DEVICE) != name_subject(OTHER_SECRET, BRAND, DEVICE)


def test_another_brand_or_deployment_cannot_take_it() -> None:
    assert not refusal_of(TOKEN, brand=OTHER_BRAND).is_expired
    assert not refusal_of(TOKEN, issuer="https://elsewhere.example").is_expired
    assert not refusal_of(sign_presence(OTHER_SECRET, PARTIES, PRESENCE, NOW)[0]).is_expired


HEADER = jwt.get_unverified_header(TOKEN)
PUBLIC = own_key().public_key()
FORGED: dict[str, str] = {
    "alg none": f"{encode({**HEADER, 'alg': 'none'})}.{TOKEN.split('.')[1]}.",
    "alg None": f"{encode({**HEADER, 'alg': 'None'})}.{TOKEN.split('.')[1]}.{TOKEN.split('.')[2]}",
    "HS256 with the public key": jwt.encode(
        claims_with(), PUBLIC.public_bytes_raw(), algorithm="HS256", headers={k: HEADER[k] for k in ("typ", "kid")}
    ),
    "HS256 with the published x": jwt.encode(
        claims_with(), publish_keys(SECRET, NOW)[0]["x"], algorithm="HS256", headers={"kid": HEADER["kid"]}
    ),
    "its own key in the header": jwt.encode(
        claims_with(),
        (stranger := Ed25519PrivateKey.generate()),
        algorithm="EdDSA",
        headers={
            "typ": "presence+jwt",
            "kid": HEADER["kid"],
            "jwk": {"kty": "OKP", "crv": "Ed25519", "x": encode(stranger.public_key().public_bytes_raw())},
            "jku": "https://evil.example/keys",
        },
    ),
    "kid of a path": signed(claims_with(), kid="../../etc/passwd"),
    "kid of a statement": signed(claims_with(), kid="0' OR '1'='1"),
    "kid with NUL": signed(claims_with(), kid=HEADER["kid"] + "\x00"),
    "kid of another period": signed(claims_with(), kid=name_key(SECRET, key_period(NOW) + 1)),
    "kid of long ago": signed(claims_with(), kid=name_key(SECRET, key_period(NOW) - 1)),
    "kid that is a list": f"{encode({**HEADER, 'kid': [HEADER['kid']]})}.{'.'.join(TOKEN.split('.')[1:])}",
    "another type": signed(claims_with(), typ="JWT"),
    "no type": signed(claims_with(), typ=None),
    "critical extension": signed(claims_with(), crit=["exp"], exp=1),
    "several audiences": signed(claims_with(aud=["x"])),
    "no audience": signed(claims_with(aud=...)),
    "no expiry": signed(claims_with(exp=...)),
    "no jti": signed(claims_with(jti=...)),
    "claims that are no object": signed({}).replace(encode({}), encode([1])),
    "a changed level": f"{TOKEN.split('.')[0]}.{encode(claims_with(lal=0))}.{TOKEN.split('.')[2]}",
    "a cut signature": TOKEN[:-2],
    "a longer one": TOKEN + "A" * 4000,
    "a fourth part": TOKEN + ".x",
    "two parts": TOKEN.rpartition(".")[0],
    "nothing": "",
    "dots": "..",
    "no ASCII": TOKEN.replace(".", "\u3002"),
    "lone surrogate": TOKEN + "\ud800",
    "NUL": TOKEN + "\x00",
    "deep": f"{encode(b'[' * 1200)}.e30.AA",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused(name: str) -> None:
    assert not refusal_of(FORGED[name]).is_expired


@pytest.mark.parametrize("secret", [b"", b"short"])
def test_a_short_secret_is_refused(secret: bytes) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        name_subject(secret, BRAND, DEVICE)
    with pytest.raises(ValueError, match="at least 16 bytes"):
        publish_keys(secret, NOW)
