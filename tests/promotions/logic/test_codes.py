"""Codes: derivation, the two guarantees of the check character, similar characters, and reported faults."""

import hashlib
import hmac
import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic import codes
from promotions.logic.codes import ALPHABET, CODE_LENGTH, CodeFault, CodeFaultKind

SECRET = b"a secret of the test, long enough"
OTHER_SECRET = b"another secret, also long enough"
COUPON_ID = UUID("0b1e4b8e-6c57-4a52-9b9a-6f7f0c2f9d11")

payloads = st.text(alphabet=ALPHABET, min_size=10, max_size=10)
separators = st.sampled_from(["", " ", "-", "\u00a0", "\u2013", "\u2212", "_", "\t", "\u200b"])


def test_the_alphabet_is_crockfords_thirty_two() -> None:
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


def test_a_code_is_the_first_fifty_bits_of_the_keyed_hash_and_a_check_character() -> None:
    hashed = hmac.new(SECRET, b"code|" + COUPON_ID.bytes + bytes(4), hashlib.sha256).digest()
    bits = f"{int.from_bytes(hashed, 'big'):0256b}"
    expected = "".join(ALPHABET[int(bits[start : start + 5], 2)] for start in range(0, 50, 5))

    code = codes.derive_code(SECRET, COUPON_ID, 0)

    assert code[:10] == expected
    assert code == codes.add_check_character(expected)


def test_the_same_coupon_always_has_the_same_code() -> None:
    assert codes.derive_code(SECRET, COUPON_ID, 3) == codes.derive_code(SECRET, COUPON_ID, 3)


@pytest.mark.parametrize(
    ("secret", "coupon_id", "generation"),
    [(OTHER_SECRET, COUPON_ID, 0), (SECRET, UUID(int=COUPON_ID.int + 1), 0), (SECRET, COUPON_ID, 1)],
)
def test_another_secret_coupon_or_generation_is_another_code(secret: bytes, coupon_id: UUID, generation: int) -> None:
    assert codes.derive_code(secret, coupon_id, generation) != codes.derive_code(SECRET, COUPON_ID, 0)


def test_the_check_value_is_linear_with_distinct_weights_that_are_not_zero() -> None:
    # Linear over GF(2) with 11 distinct non-zero weights: this *is* the proof for all 32^10 payloads.
    one_at = [ALPHABET.index(codes.add_check_character("0" * i + "1" + "0" * (9 - i))[10]) for i in range(10)]

    assert len({*one_at, 1}) == 11
    assert 0 not in one_at


@given(payloads, payloads)
def test_the_check_value_of_a_sum_is_the_sum_of_the_check_values(left: str, right: str) -> None:
    both = "".join(ALPHABET[ALPHABET.index(a) ^ ALPHABET.index(b)] for a, b in zip(left, right, strict=True))

    checks = [ALPHABET.index(codes.add_check_character(payload)[10]) for payload in (left, right, both)]

    assert checks[0] ^ checks[1] == checks[2]


@given(payloads)
def test_every_single_wrong_character_is_detected(payload: str) -> None:
    code = codes.add_check_character(payload)

    missed = [
        wrong
        for position in range(CODE_LENGTH)
        for character in ALPHABET
        if character != code[position]
        and codes.check(wrong := code[:position] + character + code[position + 1 :]) is None
    ]

    assert missed == []


def test_every_wrong_character_is_detected_at_every_position() -> None:
    # Exhaustive over position, right and wrong character; by linearity the rest of the code does not matter.
    for position, right, wrong in itertools.product(range(10), ALPHABET, ALPHABET):
        payload = "0" * position + right + "0" * (9 - position)
        code = codes.add_check_character(payload)
        mistyped = code[:position] + wrong + code[position + 1 :]
        assert (codes.check(mistyped) is None) == (wrong == right)


def test_every_swap_of_two_characters_is_detected() -> None:
    # Exhaustive over both places and both characters; neighbours are among them.
    for first, second in itertools.combinations(range(10), 2):
        for left, right in itertools.combinations(ALPHABET, 2):
            places = ["0"] * 10
            places[first], places[second] = left, right
            code = list(codes.add_check_character("".join(places)))
            code[first], code[second] = right, left
            assert codes.check("".join(code)) is not None


@given(payloads)
def test_a_swap_with_the_check_character_is_detected(payload: str) -> None:
    code = codes.add_check_character(payload)

    swapped = code[:9] + code[10] + code[9]

    assert (codes.check(swapped) is None) == (code[9] == code[10])


@given(st.binary(min_size=16, max_size=64), st.uuids(), st.integers(0, 2**32 - 1), st.data())
def test_a_derived_code_survives_any_honest_typing(
    secret: bytes, coupon_id: UUID, generation: int, data: st.DataObject
) -> None:
    code = codes.derive_code(secret, coupon_id, generation)
    shapes = {"0": "0Oo", "1": "1IiLl"}

    typed = "".join(
        data.draw(st.sampled_from(shapes.get(character, character + character.lower()))) + data.draw(separators)
        for character in code
    )

    assert codes.normalise(typed) == code
    assert codes.check(typed) is None


@given(payloads)
def test_a_displayed_code_is_read_back(payload: str) -> None:
    code = codes.add_check_character(payload)

    shown = codes.display(code)

    assert [len(group) for group in shown.split("-")] == [4, 4, 3]
    assert codes.normalise(shown) == code


def test_full_width_characters_are_folded() -> None:
    code = codes.add_check_character("ABCDEFGH12")

    wide = "".join(chr(ord(character) + 0xFEE0) for character in code)

    assert codes.normalise(wide) == code


@pytest.mark.parametrize(("text", "length"), [("", 0), (" - ", 0), ("ABCD", 4), ("A" * 12, 12), ("A" * 65, 65)])
def test_a_wrong_length_is_reported(text: str, length: int) -> None:
    assert codes.check(text) == CodeFault(CodeFaultKind.LENGTH, (), length)


def test_all_characters_outside_the_alphabet_are_reported_by_position() -> None:
    assert codes.check("AB*D-EFGH-J?U") == CodeFault(CodeFaultKind.CHARACTER, (3, 10, 11), CODE_LENGTH)


def test_a_wrong_check_character_is_reported() -> None:
    code = codes.add_check_character("ABCDEFGHJK")
    wrong = code[:10] + ("0" if code[10] != "0" else "1")

    assert codes.check(wrong) == CodeFault(CodeFaultKind.CHECK_CHARACTER, (11,), CODE_LENGTH)


@given(st.text())
def test_any_text_gets_an_answer_and_a_digest(text: str) -> None:
    fault = codes.check(text)

    assert fault is None or isinstance(fault, CodeFault)
    assert len(codes.digest(SECRET, text)) == 32


def test_a_lone_surrogate_is_only_an_unknown_code() -> None:
    assert codes.check("\ud800" + "A" * 10) == CodeFault(CodeFaultKind.CHARACTER, (1,), CODE_LENGTH)
    assert len(codes.digest(SECRET, "\ud800")) == 32


def test_a_digest_depends_on_the_pepper_and_on_the_text() -> None:
    digests = {codes.digest(pepper, text) for pepper in (SECRET, OTHER_SECRET) for text in ("A", "B")}

    assert len(digests) == 4


@pytest.mark.parametrize("short", [b"", b"fifteen bytes.."])
def test_a_short_secret_is_refused(short: bytes) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        codes.derive_code(short, COUPON_ID, 0)


@pytest.mark.parametrize("payload", ["", "ABC", "ABCDEFGHJU", "abcdefghjk"])
def test_a_payload_outside_the_alphabet_is_refused(payload: str) -> None:
    with pytest.raises(ValueError, match="ten characters"):
        codes.add_check_character(payload)


@pytest.mark.parametrize("code", ["FVCK0000000", "00SH1T00000", "0000P155000", "A55AAAAAAAA", "00HA110MER0"])
def test_words_read_into_digits_are_found(code: str) -> None:
    assert codes.is_rude(code) == (code != "00HA110MER0")


def test_the_chosen_generation_skips_rude_codes_and_only_those() -> None:
    skipped = 0
    for number in range(3_000):
        coupon_id = UUID(int=number)
        chosen = codes.choose_generation(SECRET, coupon_id)
        assert not codes.is_rude(codes.derive_code(SECRET, coupon_id, chosen))
        assert all(codes.is_rude(codes.derive_code(SECRET, coupon_id, earlier)) for earlier in range(chosen))
        skipped += chosen

    assert 0 < skipped < 300


def test_the_search_for_a_generation_goes_on_from_a_collision() -> None:
    assert codes.choose_generation(SECRET, COUPON_ID, first=7) >= 7
