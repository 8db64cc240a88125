"""Coupon codes: derived from a secret, typed by people, checked before any look-up, stored only as digests.

A code is 10 Crockford-32 characters (50 bits) and one check character of the same alphabet. With GF(32) built on
x^5 + x^2 + 1 and its root a, the characters c1..c10 and the check character k satisfy

    a^1*c1 + a^2*c2 + ... + a^10*c10 + k = 0        (addition is XOR, so k is the sum of the rest)

All eleven weights a^10..a^0 differ and none is zero, so every single wrong character and every swap of two different
characters, neighbours or not, breaks the equation. Crockford's own check symbols `*~$=U` are hard to type and to hear.
"""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
PAYLOAD_LENGTH = 10
CODE_LENGTH = PAYLOAD_LENGTH + 1
GROUPS = (4, 4, 3)
MIN_SECRET_BYTES = 16
# Longer than any real input of eleven characters with separators; bounds the work on hostile input.
MAX_TYPED_LENGTH = 64

_VALUE = {character: value for value, character in enumerate(ALPHABET)}
_SAME_LOOK = str.maketrans({"O": "0", "I": "1", "L": "1"})
_MINUS_SIGN = "\u2212"

# Words that no one should find on a coupon by accident: insults, slurs and obscenities of the languages our stores
# speak. Compared after both sides are folded to one shape, since the alphabet has no I, L, O or U but readers see them
# in 1, 0 and V.
_RUDE_WORDS = (
    "ANAL|ANUS|ARSE|ASS|BASTARD|BITCH|BITE|BOOB|BRANLE|CACA|CAZZO|CHATTE|CLIT|COCK|COJON|CON|COUILLE|CRAP|CUL|CUM|"
    "CUNT|DEBIL|DICK|DILDO|DYKE|ENCULE|FAG|FCK|FICA|FICK|FOTZE|FUCK|FUK|GOUINE|HEIL|HITLER|HURE|IDIOT|KACK|KANAK|KIKE|"
    "KILL|KKK|KUT|MERDA|MERDE|MIERDA|MORON|NAZI|NEGER|NEGRE|NIGGA|NIQUE|NUTTE|PAKI|PEDE|PEDO|PENIS|PISS|PORN|PUTA|"
    "PUTE|RAPE|SALAUD|SALOPE|SCHEISS|SEX|SHIT|SLUT|SPIC|SUCK|TITS|TURD|TWAT|VAGIN|WANK|WHORE|WICHS|XXX|ZOB"
)
_SHAPES = str.maketrans(
    {
        "I": "1",
        "L": "1",
        "O": "0",
        "E": "3",
        "A": "4",
        "S": "5",
        "T": "7",
        "B": "8",
        "U": "V",
        "Z": "2",
        "G": "6",
    }
)
_RUDE = re.compile(_RUDE_WORDS.translate(_SHAPES))


class CodeFaultKind(StrEnum):
    """Faults of a typed code."""

    LENGTH = "length"
    CHARACTER = "character"
    CHECK_CHARACTER = "check_character"


@dataclass(frozen=True, slots=True)
class CodeFault:
    """One answer for the till. `positions` count from 1 and skip spaces and dashes; `length` is what was typed."""

    kind: CodeFaultKind
    positions: tuple[int, ...]
    length: int


def _multiply_by_root(element: int) -> int:
    """The element of GF(32) times the root of x^5 + x^2 + 1."""
    doubled = element << 1
    return doubled ^ 0b100101 if doubled & 0b100000 else doubled


def _check_value(values: list[int]) -> int:
    """a^1*c1 + ... + a^10*c10 by Horner's rule, starting from the last character, which has the highest power."""
    total = 0
    for value in reversed(values):
        total = _multiply_by_root(total ^ value)
    return total


def add_check_character(payload: str) -> str:
    """The ten payload characters followed by their check character."""
    if len(payload) != PAYLOAD_LENGTH or any(character not in _VALUE for character in payload):
        raise ValueError("a payload is ten characters of the alphabet")
    return payload + ALPHABET[_check_value([_VALUE[character] for character in payload])]


def _keyed_hash(secret: bytes, label: bytes, message: bytes) -> bytes:
    """HMAC-SHA-256 with a label, so that one secret never says the same thing in two roles."""
    if len(secret) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret has at least {MIN_SECRET_BYTES} bytes")
    return hmac.digest(secret, label + b"|" + message, hashlib.sha256)


def derive_code(secret: bytes, coupon_id: UUID, generation: int) -> str:
    """The code of a coupon: always the same for the same secret, coupon and generation."""
    message = coupon_id.bytes + generation.to_bytes(4, "big")
    bits = int.from_bytes(_keyed_hash(secret, b"code", message), "big") >> (256 - 5 * PAYLOAD_LENGTH)
    return add_check_character(
        "".join(ALPHABET[(bits >> shift) & 31] for shift in range(5 * (PAYLOAD_LENGTH - 1), -1, -5))
    )


def is_rude(code: str) -> bool:
    """Return whether a reader finds a listed word in the code."""
    return _RUDE.search(code.translate(_SHAPES)) is not None


def choose_generation(secret: bytes, coupon_id: UUID, first: int = 0) -> int:
    """The first generation from `first` on whose code is fit to print; store it beside the coupon.

    The word list applies here and not in `derive_code`: a longer list must never change a code that was already issued.
    Call again with the next number when the digest's unique constraint shows that another coupon has this code.
    """
    generation = first
    while is_rude(derive_code(secret, coupon_id, generation)):
        generation += 1
    return generation


def digest(pepper: bytes, text: str) -> bytes:
    """The value of the look-up column: 32 bytes from which no code can be searched without the pepper.

    Pass a code through `normalise` first.
    """
    # A lone surrogate out of a JSON escape is no valid UTF-8, yet it is only an unknown code.
    return _keyed_hash(pepper, b"digest", text.encode("utf-8", "surrogatepass"))


def _is_separator(character: str) -> bool:
    """Spaces, dashes and invisible characters that copying and dictation leave in a code."""
    return unicodedata.category(character) in {"Zs", "Zl", "Zp", "Pd", "Pc", "Cc", "Cf"} or character == _MINUS_SIGN


def normalise(text: str) -> str:
    """A typed code in its one spelling: upper case, no spaces or dashes, O as 0, I and L as 1."""
    folded = unicodedata.normalize("NFKC", text[:MAX_TYPED_LENGTH]).upper()
    return "".join(character for character in folded if not _is_separator(character)).translate(_SAME_LOOK)


def check(text: str) -> CodeFault | None:
    """Why a typed code cannot be one of ours, or None. Worth asking before any look-up and any attempt counter.

    A wrong length is reported first, since no position means anything then; next, every character outside the alphabet;
    then the check character, which shows that a character is mistyped but not which one.
    """
    code = normalise(text)
    if len(text) > MAX_TYPED_LENGTH or len(code) != CODE_LENGTH:
        return CodeFault(CodeFaultKind.LENGTH, (), max(len(code), len(text) if len(text) > MAX_TYPED_LENGTH else 0))
    unknown = tuple(position for position, character in enumerate(code, start=1) if character not in _VALUE)
    if unknown:
        return CodeFault(CodeFaultKind.CHARACTER, unknown, CODE_LENGTH)
    if add_check_character(code[:PAYLOAD_LENGTH]) != code:
        return CodeFault(CodeFaultKind.CHECK_CHARACTER, (CODE_LENGTH,), CODE_LENGTH)
    return None


def display(code: str) -> str:
    """A code in groups of four, four and three, as it is printed and read out."""
    ends = [sum(GROUPS[: index + 1]) for index in range(len(GROUPS))]
    return "-".join(code[end - size : end] for end, size in zip(ends, GROUPS, strict=True))
