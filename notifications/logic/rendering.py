"""Message texts with named placeholders. All faults are found when a text is configured, so sending cannot fail.

Each value is clipped to a limit in bytes, so the maximum length of a text is known in advance.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# Maximum length of a value, in bytes of UTF-8.
PLACEHOLDER_LIMIT_BYTES = {"store": 160, "brand": 120, "offer": 240, "until": 40}

# Limits of the outbox. Phones cut a title after about 50 characters and a body after about 180.
TITLE_LIMIT_CHARACTERS = 120
BODY_LIMIT_CHARACTERS = 480
# The same in bytes, for any script: a character takes up to four bytes.
TITLE_LIMIT_BYTES = 4 * TITLE_LIMIT_CHARACTERS
BODY_LIMIT_BYTES = 4 * BODY_LIMIT_CHARACTERS

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_BRACE = re.compile(r"[{}]")
# Line breaks are allowed in a body. Other control characters and lone surrogates cannot be shown or sent.
_UNSENDABLE = re.compile("[\u0000-\u0008\u000b-\u001f\u007f\ud800-\udfff]")
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class TemplateFault:
    """A fault of a text: its field, a stable code, an English sentence, and the values in the sentence."""

    field: str
    code: str
    detail: str
    values: Mapping[str, str | int] = dataclasses.field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Template:
    """A message as a brand writes it, with the placeholders {store}, {brand}, {offer} and {until}."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class MessageValues:
    """The values of the placeholders, in the reader's language."""

    store: str
    brand: str
    offer: str
    until: str


@dataclass(frozen=True, slots=True)
class RenderedMessage:
    """A message as the phone shows it."""

    title: str
    body: str


def size_bytes(text: str) -> int:
    """Return the size of a text in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def _text_faults(field: str, text: str, limit_bytes: int) -> Iterator[TemplateFault]:
    if not text.strip():
        yield TemplateFault(field, "empty", "must not be empty")
    for name in dict.fromkeys(_PLACEHOLDER.findall(text)):
        if name not in PLACEHOLDER_LIMIT_BYTES:
            known = ", ".join(f"{{{each}}}" for each in PLACEHOLDER_LIMIT_BYTES)
            found = f"{{{name}}}"
            yield TemplateFault(field, "unknown_placeholder", f"{found} is not one of {known}", {"found": found})
    if _BRACE.search(_PLACEHOLDER.sub("", text)):
        yield TemplateFault(field, "stray_brace", "has a { or } that belongs to no placeholder")
    if _UNSENDABLE.search(text):
        yield TemplateFault(field, "unsendable_character", "has a character that cannot be shown")
    longest_bytes = size_bytes(_substitute(text, {}))
    if longest_bytes > limit_bytes:
        detail = f"may become {longest_bytes} bytes with the longest names; at most {limit_bytes}"
        yield TemplateFault(field, "too_long", detail, {"longest": longest_bytes, "most": limit_bytes})


def find_template_faults(template: Template) -> tuple[TemplateFault, ...]:
    """Return all faults of a template. Without faults, it can be sent with any values."""
    return (
        *_text_faults("title", template.title, TITLE_LIMIT_BYTES),
        *_text_faults("body", template.body, BODY_LIMIT_BYTES),
    )


def clip(text: str, limit_bytes: int) -> str:
    """Cut a text to a number of bytes, with an ellipsis and only whole characters."""
    if size_bytes(text) <= limit_bytes:
        return text
    room_bytes = limit_bytes - size_bytes(_ELLIPSIS)
    return text.encode("utf-8")[:room_bytes].decode("utf-8", "ignore").rstrip() + _ELLIPSIS


def _cut(text: str, limit_characters: int) -> str:
    return text if len(text) <= limit_characters else text[: limit_characters - 1].rstrip() + _ELLIPSIS


def _clean(value: str) -> str:
    """Remove from a name what cannot be sent, and replace line breaks by spaces: they would break the sentence."""
    return " ".join(_UNSENDABLE.sub(" ", value).split())


def _substitute(text: str, values: Mapping[str, str]) -> str:
    """Replace each known placeholder once, so braces in a value stay; without values, by the longest possible ones."""

    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if name not in PLACEHOLDER_LIMIT_BYTES:
            return match[0]
        limit_bytes = PLACEHOLDER_LIMIT_BYTES[name]
        return clip(values[name], limit_bytes) if values else "x" * limit_bytes

    return _PLACEHOLDER.sub(value_of, text)


def render(template: Template, values: MessageValues) -> RenderedMessage:
    """Return the message for one phone, cut to the limits of the outbox.

    A template with faults, such as an unknown placeholder, is shown unchanged.
    """
    named = {
        "store": _clean(values.store),
        "brand": _clean(values.brand),
        "offer": _clean(values.offer),
        "until": _clean(values.until),
    }
    return RenderedMessage(
        title=_cut(_substitute(template.title, named), TITLE_LIMIT_CHARACTERS),
        body=_cut(_substitute(template.body, named), BODY_LIMIT_CHARACTERS),
    )
