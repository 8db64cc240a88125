"""Message text: every fault when configured, none when sent."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifications.logic.rendering import (
    BODY_LIMIT_BYTES,
    BODY_LIMIT_CHARACTERS,
    TITLE_LIMIT_BYTES,
    TITLE_LIMIT_CHARACTERS,
    MessageValues,
    RenderedMessage,
    Template,
    clip,
    find_template_faults,
    render,
    size_bytes,
)

# FCM and APNs both take 4,096 bytes, with what they and a transport add around title, body and data.
PAYLOAD_LIMIT_BYTES = 4_096
ENVELOPE_RESERVE_BYTES = 512

VALUES = MessageValues(store="République", brand="Café Noé", offer="Free coffee", until="14:00")
texts = st.text(max_size=600)
pieces = st.lists(st.sampled_from(["{store}", "{brand}", "{offer}", "{until}", "{", "}", "{x}", "é", "\n", "\x00"]))


def payload_bytes(message: RenderedMessage, data: dict[str, str]) -> int:
    payload = {"title": message.title, "body": message.body, "data": data}
    return len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode())


def codes_of(title: str, body: str) -> list[tuple[str, str]]:
    return [(fault.field, fault.code) for fault in find_template_faults(Template(title, body))]


def test_placeholders_become_their_values() -> None:
    template = Template("{brand} at {store}", "{offer} until {until}!\nAt {store}.")

    message = render(template, VALUES)

    assert message == RenderedMessage("Café Noé at République", "Free coffee until 14:00!\nAt République.")


def test_a_value_that_looks_like_a_placeholder_is_left_alone() -> None:
    values = MessageValues(store="{brand}", brand="Noé", offer="{", until="}")

    assert render(Template("{store}", "{offer}{until}"), values) == RenderedMessage("{brand}", "{}")


def test_line_breaks_and_control_characters_in_names_become_spaces() -> None:
    values = MessageValues(store=" Ré\npublique\x00 \ud800Nord ", brand="b", offer="o", until="u")

    assert render(Template("{store}", "b"), values).title == "Ré publique Nord"


def test_a_text_with_faults_is_shown_as_it_stands() -> None:
    assert render(Template("{shop}", "50 % {off"), VALUES) == RenderedMessage("{shop}", "50 % {off")


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Free coffee at {store}", []),
        ("Two\nlines\tand a tab", []),
        ("", ["empty"]),
        (" \n", ["empty"]),
        ("{shop} {shop} {}", ["unknown_placeholder", "unknown_placeholder"]),
        ("{store.name} {0}", ["unknown_placeholder", "unknown_placeholder"]),
        ("{Store}", ["unknown_placeholder"]),
        ("{{store}}", ["stray_brace"]),
        ("100 % {", ["stray_brace"]),
        ("bell\x07", ["unsendable_character"]),
        ("lone\ud800", ["unsendable_character"]),
        ("x" * (BODY_LIMIT_BYTES + 1), ["too_long"]),
        ("é" * (BODY_LIMIT_BYTES // 2 + 1), ["too_long"]),
        ("{offer}" * 9, ["too_long"]),
    ],
)
def test_each_fault_of_a_text_is_reported(text: str, codes: list[str]) -> None:
    assert codes_of("Title", text) == [("body", code) for code in codes]


def test_all_faults_of_both_texts_come_at_once() -> None:
    faults = codes_of("", "{shop} } \x07" + "x" * BODY_LIMIT_BYTES)

    assert faults == [
        ("title", "empty"),
        ("body", "unknown_placeholder"),
        ("body", "stray_brace"),
        ("body", "unsendable_character"),
        ("body", "too_long"),
    ]


def test_the_title_has_its_own_limit() -> None:
    assert codes_of("x" * TITLE_LIMIT_BYTES, "b") == []
    assert codes_of("x" * (TITLE_LIMIT_BYTES + 1), "b") == [("title", "too_long")]


def test_an_unknown_placeholder_is_named_beside_the_known_ones() -> None:
    (fault,) = find_template_faults(Template("t", "{shop}"))

    assert fault.detail == "{shop} is not one of {store}, {brand}, {offer}, {until}"


@given(pieces.map("".join), pieces.map("".join), st.builds(MessageValues, texts, texts, texts, texts))
def test_a_text_without_faults_is_sendable_with_any_values(title: str, body: str, values: MessageValues) -> None:
    template = Template(title, body)

    message = render(template, values)

    assert len(message.title) <= TITLE_LIMIT_CHARACTERS
    assert len(message.body) <= BODY_LIMIT_CHARACTERS
    if not find_template_faults(template):
        assert payload_bytes(message, {}) + ENVELOPE_RESERVE_BYTES <= PAYLOAD_LIMIT_BYTES
        message.body.encode("utf-8")


@given(texts, st.integers(3, 100))
def test_a_clipped_text_fits_and_is_a_beginning(text: str, limit_bytes: int) -> None:
    sendable = text.encode("utf-8", "ignore").decode("utf-8")

    clipped = clip(sendable, limit_bytes)

    assert size_bytes(clipped) <= limit_bytes
    assert clipped == sendable or sendable.startswith(clipped.removesuffix("…"))


def test_half_a_character_is_never_left() -> None:
    assert clip("éééé", 7) == "éé…"
    assert clip("éééé", 8) == "éééé"
    assert clip("👩🏽‍🦱👩🏽‍🦱", 10) == "👩…"


def test_a_rendering_is_cut_to_what_the_outbox_keeps() -> None:
    values = MessageValues(store="s" * 150, brand="b", offer="o", until="u")

    message = render(Template("{store}", "{store}" * 4), values)

    assert message.title == "s" * 119 + "…"
    assert render(Template("t" * TITLE_LIMIT_CHARACTERS, "b"), values).title == "t" * TITLE_LIMIT_CHARACTERS
    assert len(message.body) == BODY_LIMIT_CHARACTERS


def test_the_longest_text_leaves_room_for_data_and_envelope() -> None:
    longest = RenderedMessage("x" * TITLE_LIMIT_BYTES, "x" * BODY_LIMIT_BYTES)

    assert payload_bytes(longest, {"x": "x" * 1_000}) + ENVELOPE_RESERVE_BYTES <= PAYLOAD_LIMIT_BYTES
