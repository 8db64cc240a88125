"""The QR text: genuine or nothing, fresh for about forty seconds, and the terms sealed into eight bytes."""

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import segno
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic import coupon_tokens
from promotions.logic.coupon_tokens import Claims, OfferTerms

SECRET = b"sixteen bytes or more"
COUPON_ID = UUID("0e8a7d5c-6f0b-4f1e-9d43-0f1d5d1f7a11")
NOW = datetime(2026, 9, 22, 10, 30, tzinfo=UTC)
STEP = coupon_tokens.step_of(NOW)
TERMS = OfferTerms(
    campaign_id=UUID(int=7),
    benefit="1 free coffee",
    units=1,
    value=Decimal("2.50"),
    asks_amount=False,
    redeem_level=0,
    allows_offline=True,
    allows_vouching=False,
    store_ids=(3, 11),
)
CLAIMS = Claims(COUPON_ID, NOW, NOW + timedelta(hours=24), coupon_tokens.digest_offer(TERMS))


def rendered(*, secret: bytes = SECRET, claims: Claims = CLAIMS, step: int = STEP) -> str:
    key = coupon_tokens.rotation_key(secret, claims.coupon_id)
    return coupon_tokens.render(coupon_tokens.sign(secret, claims), key, step)


def unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_a_text_contains_the_signed_values() -> None:
    shown = coupon_tokens.read(SECRET, rendered())

    assert shown is not None
    assert (shown.claims, shown.step) == (CLAIMS, STEP)


def test_a_text_is_the_same_whenever_it_is_drawn_and_fits_a_small_code() -> None:
    assert rendered() == rendered()
    assert len(rendered()) == 159
    # 53 modules and a margin of four on each side: 4.6 pixels each on a picture of 280.
    code = segno.make_qr(rendered(), error="m")
    assert (code.designator, code.symbol_size(border=4)) == ("9-M", (61, 61))


def test_the_signed_part_can_be_verified_with_the_public_key() -> None:
    period = coupon_tokens.key_period(CLAIMS.valid_from)
    key = Ed25519PublicKey.from_public_bytes(unpadded(coupon_tokens.public_key(SECRET, period)))
    raw = unpadded(rendered().split(".")[1])

    key.verify(raw[34:], raw[:34])

    assert raw[0] == 1
    assert raw[1] == period % 256
    assert UUID(bytes=raw[2:18]) == COUPON_ID
    assert int.from_bytes(raw[18:22], "big") == int(NOW.timestamp())
    assert int.from_bytes(raw[22:26], "big") == int((NOW + timedelta(hours=24)).timestamp())
    assert raw[26:34] == CLAIMS.offer_digest


def test_an_app_draws_the_next_step_by_itself() -> None:
    signed, key = coupon_tokens.sign(SECRET, CLAIMS), coupon_tokens.rotation_key(SECRET, COUPON_ID)
    reported = coupon_tokens.spell_key(key)

    mac = hmac.digest(unpadded(reported), str(STEP + 1).encode(), hashlib.sha256)[:10]
    text = f"D1.{signed}.{STEP + 1}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    assert text == rendered(step=STEP + 1)


def test_no_single_character_can_be_changed() -> None:
    text = rendered()

    for place, character in enumerate(text):
        for other in "AZaz09-_.":
            if other != character:
                forged = text[:place] + other + text[place + 1 :]
                assert coupon_tokens.read(SECRET, forged) is None, (place, other)


def test_no_byte_of_the_signed_part_can_be_changed() -> None:
    raw = unpadded(rendered().split(".")[1])

    for place in range(len(raw)):
        forged = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        assert coupon_tokens.verify(SECRET, base64.urlsafe_b64encode(forged).rstrip(b"=").decode()) is None, place


@pytest.mark.parametrize("signed", ["", "A", "AAAA", "é", "A" * 131, "=" * 131])
def test_what_is_no_base64_of_the_right_length_is_not_verified(signed: str) -> None:
    assert coupon_tokens.verify(SECRET, signed) is None


@given(st.text(max_size=200))
def test_any_other_text_is_nothing(text: str) -> None:
    assert coupon_tokens.read(SECRET, text) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.lower(),
        lambda text: text.replace(f".{STEP}.", f".0{STEP}."),
        lambda text: text.replace(f".{STEP}.", f".{'1' * 4000}."),
        lambda text: text.replace(f".{STEP}.", ".\u0661\u0662\u0663."),
        lambda text: text.replace("D1.", "D2."),
        lambda text: text[3:],
        lambda text: text.rpartition(".")[0],
        # The unused bits of the last character: another spelling of the same bytes.
        lambda text: ".".join([*text.split(".")[:1], text.split(".")[1][:-1] + "B", *text.split(".")[2:]]),
    ],
)
def test_a_text_has_one_spelling(spoil: Any) -> None:
    assert coupon_tokens.read(SECRET, spoil(rendered())) is None


def test_another_secret_another_coupon_and_another_period_do_not_fit() -> None:
    other = replace(CLAIMS, coupon_id=UUID(int=1))
    key = coupon_tokens.rotation_key(SECRET, other.coupon_id)
    later = replace(CLAIMS, valid_from=NOW + coupon_tokens.KEY_PERIOD)
    first, following = (coupon_tokens.key_period(each.valid_from) for each in (CLAIMS, later))

    assert coupon_tokens.read(b"another secret of that length", rendered()) is None
    assert coupon_tokens.read(SECRET, coupon_tokens.render(coupon_tokens.sign(SECRET, CLAIMS), key, STEP)) is None
    assert coupon_tokens.public_key(SECRET, first) != coupon_tokens.public_key(SECRET, following)
    assert following == first + 1


def test_a_text_is_fresh_for_its_step_and_two_more() -> None:
    start = datetime.fromtimestamp(STEP * 15, UTC)
    shown = coupon_tokens.read(SECRET, rendered())
    assert shown is not None
    instant = timedelta(microseconds=1)

    assert coupon_tokens.fresh_until(STEP) == start + timedelta(seconds=45)
    assert shown.is_fresh(start)
    assert shown.is_fresh(start + timedelta(seconds=45) - instant)
    assert not shown.is_fresh(start + timedelta(seconds=45))
    # A phone with a clock slightly ahead.
    assert shown.is_fresh(start - timedelta(seconds=30))
    assert not shown.is_fresh(start - timedelta(seconds=30) - instant)


@pytest.mark.parametrize(
    "given",
    [
        {"campaign_id": UUID(int=8)},
        {"benefit": "2 free coffees"},
        {"units": 2},
        {"value": Decimal("2.51")},
        {"value": None},
        {"asks_amount": True},
        {"redeem_level": 1},
        {"allows_offline": False},
        {"allows_vouching": True},
        {"store_ids": (3,)},
        {"store_ids": (3, 11, 12)},
        {"store_ids": (31, 1)},
    ],
)
def test_the_digest_covers_every_frozen_term(given: dict[str, Any]) -> None:
    assert coupon_tokens.digest_offer(replace(TERMS, **given)) != coupon_tokens.digest_offer(TERMS)


def test_the_digest_does_not_depend_on_order_or_spelling() -> None:
    same = replace(TERMS, store_ids=(11, 3), value=Decimal("2.5"))

    assert coupon_tokens.digest_offer(same) == coupon_tokens.digest_offer(TERMS)
    assert len(coupon_tokens.digest_offer(TERMS)) == 8


def test_no_term_is_left_out_of_the_test_above() -> None:
    assert set(OfferTerms.__slots__) == {
        "campaign_id", "benefit", "units", "value", "asks_amount", "redeem_level", "allows_offline",
        "allows_vouching", "store_ids",
    }  # fmt: skip


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        coupon_tokens.rotation_key(b"short", COUPON_ID)
    with pytest.raises(ValueError, match="16 bytes"):
        coupon_tokens.sign(b"short", CLAIMS)
