"""The rotating store code: its text, the edges of a step, and everything that is none."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.store_codes import (
    STEP_S,
    StoreCode,
    StoreCodeFault,
    check_proof,
    derive_store_key,
    render_code,
    step_of,
)

SECRET = b"a secret of the test, long enough"
STORE = UUID("0b1e4b8e-6c57-4a52-9b9a-6f7f0c2f9d11")
OTHER_STORE = UUID("0b1e4b8e-6c57-4a52-9b9a-6f7f0c2f9d12")
KEY = derive_store_key(SECRET, STORE)
# The first instant of a step.
NOW = datetime(2026, 9, 22, 10, 30, tzinfo=UTC)
STEP = 119_338_200
MICROSECOND = timedelta(microseconds=1)

PROOF = render_code(KEY, STORE, STEP).proof


def test_the_text_is_version_store_step_and_eighty_bits_of_the_keyed_hash() -> None:
    key = hmac.new(SECRET, b"store-code|" + STORE.bytes, hashlib.sha256).digest()
    mac = hmac.new(key, f"qr|{STORE}|{STEP}".encode(), hashlib.sha256).digest()[:10]

    assert f"v1.{STORE}.{STEP}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}" == PROOF


@pytest.mark.parametrize(
    ("instant", "step"),
    [
        (NOW, STEP),
        (NOW - MICROSECOND, STEP - 1),
        (NOW + timedelta(seconds=STEP_S) - MICROSECOND, STEP),
        (NOW + timedelta(seconds=STEP_S), STEP + 1),
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -1),
    ],
)
def test_a_step_begins_with_its_first_instant(instant: datetime, step: int) -> None:
    assert step_of(instant) == step


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (-MICROSECOND, StoreCodeFault.EARLY),
        (timedelta(0), StoreCode(STEP, PROOF)),
        (timedelta(seconds=15) - MICROSECOND, StoreCode(STEP, PROOF)),
        (timedelta(seconds=15), StoreCode(STEP, PROOF)),
        (timedelta(seconds=30) - MICROSECOND, StoreCode(STEP, PROOF)),
        (timedelta(seconds=30), StoreCodeFault.OLD),
        (timedelta(days=400), StoreCodeFault.OLD),
    ],
)
def test_a_code_is_good_in_its_step_and_the_next(after: timedelta, expected: StoreCode | StoreCodeFault) -> None:
    assert check_proof(KEY, STORE, PROOF, NOW + after) == expected


def test_another_stores_code_is_wrong() -> None:
    other = render_code(derive_store_key(SECRET, OTHER_STORE), OTHER_STORE, STEP).proof

    assert check_proof(KEY, STORE, other, NOW) is StoreCodeFault.WRONG


def test_another_secrets_code_is_wrong() -> None:
    other = render_code(derive_store_key(b"another secret, also long enough", STORE), STORE, STEP).proof

    assert check_proof(KEY, STORE, other, NOW) is StoreCodeFault.WRONG


def test_a_code_renamed_to_another_store_or_step_is_wrong() -> None:
    moved = PROOF.replace(str(STORE), str(OTHER_STORE))
    other_key = derive_store_key(SECRET, OTHER_STORE)

    assert check_proof(other_key, OTHER_STORE, moved, NOW) is StoreCodeFault.WRONG
    assert check_proof(KEY, STORE, PROOF.replace(f".{STEP}.", f".{STEP + 1}."), NOW) is StoreCodeFault.WRONG


@pytest.mark.parametrize("step", [STEP - 5000, STEP + 5000])
def test_a_forged_text_learns_nothing_of_time(step: int) -> None:
    assert check_proof(KEY, STORE, f"v1.{STORE}.{step}.AAAAAAAAAAAAAA", NOW) is StoreCodeFault.WRONG


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1",
        "v1...",
        PROOF + "A",
        PROOF[:-1],
        PROOF + "\n",
        " " + PROOF,
        PROOF.replace("v1", "v2"),
        PROOF.upper(),
        PROOF.replace("-", ""),
        PROOF.replace(f".{STEP}.", f".0{STEP}."),
        PROOF.replace(f".{STEP}.", f".+{STEP}."),
        PROOF.replace(f".{STEP}.", f".-{STEP}."),
        PROOF.replace(f".{STEP}.", "." + "9" * 5000 + "."),
        # Arabic digits are digits to Python, not to us.
        PROOF.replace(f".{STEP}.", "." + "".join(chr(0x660 + int(digit)) for digit in str(STEP)) + "."),
        PROOF[:-1] + "\u0430",
        "\ud800",
        "\x00" * 64,
    ],
)
def test_every_other_text_is_wrong(text: str) -> None:
    assert check_proof(KEY, STORE, text, NOW) is StoreCodeFault.WRONG


def test_the_spare_bits_of_the_last_character_are_not_free() -> None:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    good = [last for last in alphabet if isinstance(check_proof(KEY, STORE, PROOF[:-1] + last, NOW), StoreCode)]

    assert good == [PROOF[-1]]


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert check_proof(KEY, STORE, text, NOW) is StoreCodeFault.WRONG


@given(st.integers(0, 16_000_000_000), st.uuids())
def test_every_drawn_code_is_taken_in_its_step(step: int, store_id: UUID) -> None:
    key = derive_store_key(SECRET, store_id)
    code = render_code(key, store_id, step)

    found = check_proof(key, store_id, code.proof, datetime(1970, 1, 1, tzinfo=UTC) + step * timedelta(seconds=STEP_S))

    assert found == code


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        derive_store_key(b"short", STORE)
