"""Every form: the values it takes, and the ones it refuses with their reasons."""

import re

import pytest

from promotions.conf.forms import Choice, File, Flag, Folder, Form, Hours, Routes, Seconds, Secret, Secrets, Whole, Word
from promotions.conf.network_forms import Hosts, HttpUrl, Listener, Origins, PostgisUrl, RedisUrl, TileUrl
from promotions.conf.registry import SETTINGS

ROUTES = Routes({"post": frozenset({"apns", "webpush"}), "pigeon": frozenset({"webpush"})})
TILES = "https://{s}.tiles.example/{z}/{x}/{y}{r}.png"


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (Flag(), "yes", True),
        (Flag(), "OFF", False),
        (Flag(), "", False),
        (Whole(1, 3), " 3 ", 3),
        (Whole(-1, 1), "-1", -1),
        (Seconds(0, 60), "0", 0),
        (Choice("red", "green"), "red", "red"),
        (ROUTES, "post", {"*": "post"}),
        (ROUTES, " pigeon, apns = post ,", {"*": "pigeon", "apns": "post"}),
        (ROUTES, "webpush=pigeon", {"webpush": "pigeon"}),
        (Word(), "doorstep:a-b_c.1", "doorstep:a-b_c.1"),
        (Secret(), "short", "short"),
        (Secrets(), " a, b ,", ["a", "b"]),
        (Hours(), "21:30-08:00", "21:30-08:00"),
        (Hours(), "  ", ""),
        (HttpUrl(), "https://shop.example:8443/door", "https://shop.example:8443/door"),
        (HttpUrl(), "http://[::1]:8000", "http://[::1]:8000"),
        (HttpUrl(), "", ""),
        (TileUrl(), TILES, TILES),
        (TileUrl(), "/tiles/{z}/{x}/{y}.png", "/tiles/{z}/{x}/{y}.png"),
        (TileUrl(), "", ""),
        (Hosts(), "shop.example, .shop.example,*", ["shop.example", ".shop.example", "*"]),
        (Hosts(), "127.0.0.1,[::1]", ["127.0.0.1", "[::1]"]),
        (Listener(), "127.0.0.1:9100", ("127.0.0.1", 9100)),
        (Listener(), "[::1]:9100", ("::1", 9100)),
        (Listener(), "", ()),
        (Origins(), "https://a.example,https://*.b.example:8443", ["https://a.example", "https://*.b.example:8443"]),
        (File(), "var/messages.jsonl", "var/messages.jsonl"),
        (Folder(), "/run/doorstep", "/run/doorstep"),
        (PostgisUrl(), "postgis://u@h/n", "postgis://u@h/n"),
        (PostgisUrl(), "", ""),
        (RedisUrl(), "redis://h", "redis://h"),
        (RedisUrl(may_be_cluster=True), "rediss+cluster://h:1", "rediss+cluster://h:1"),
    ],
)
def test_a_value_in_the_form_is_taken(form: Form, text: str, value: object) -> None:
    assert form.parse(text) == value


@pytest.mark.parametrize(
    ("form", "text", "reason"),
    [
        (Flag(), "maybe", ""),
        (Whole(1, 3), "", ""),
        (Whole(1, 3), "0", ""),
        (Whole(1, 3), "4", ""),
        (Whole(1, 3), "1.5", ""),
        (Whole(1, 3000), "1_000", ""),
        (Whole(1, 3), "\N{ARABIC-INDIC DIGIT TWO}", ""),
        (Whole(1, 3), "9" * 400, ""),
        (Seconds(60, 120), "59", ""),
        (Choice("red", "green"), "Red", ""),
        (ROUTES, "", ""),
        (ROUTES, "owl", "'owl' is no transport"),
        (ROUTES, "Post", "'Post' is no transport"),
        (ROUTES, "apns=", "'' is no transport"),
        (ROUTES, "apns=pigeon", "pigeon cannot send to 'apns'"),
        (ROUTES, "=post", "post cannot send to ''"),
        (ROUTES, "apns=post,apns=post", "apns is given twice"),
        (ROUTES, "post,pigeon", "the transport of the other kinds is given twice"),
        (Word(), "two words", ""),
        (Word(), "{tag}", ""),
        (Word(), "", ""),
        (Hours(), "abc", ""),
        (Hours(), "24:00-08:00", ""),
        (Hours(), "8:00-9:00", ""),
        (Hours(), "08:00-08:00", "same time"),
        (HttpUrl(), "doorstep", "http://"),
        (HttpUrl(), "ftp://shop.example", "http://"),
        (HttpUrl(), "https://", "no host name"),
        (HttpUrl(), "https://shop example", "a space"),
        (HttpUrl(), "https://shop.example?x=1", "query"),
        (HttpUrl(), "https://ada:pin@shop.example", "user name"),
        (HttpUrl(), "https://shop.example:99999", "Port out of range"),
        (HttpUrl(), "https://shop.example:0", "port 0"),
        (HttpUrl(), "https://300.1.1.1", "no host name"),
        (HttpUrl(), "https://[::1", "Invalid IPv6 URL"),
        (TileUrl(), "foo", "http://"),
        (TileUrl(), "https://tiles.example/{z}/{x}.png", "{y} is missing"),
        (TileUrl(), "https://tiles.example/{z}/{x}/{y}/{key}.png", "{key} has no meaning"),
        (TileUrl(), "//tiles.example/{z}/{x}/{y}.png", "http://"),
        (Listener(), "9100", ""),
        (Listener(), "localhost:9100", ""),
        (Listener(), "127.0.0.1:0", ""),
        (Listener(), "127.0.0.1:65536", ""),
        (Hosts(), "https://shop.example", "no host name"),
        (Hosts(), "shop.example:8000", "no host name"),
        (Hosts(), "-shop.example", "no host name"),
        (Origins(), "shop.example", "http://"),
        (Origins(), "https://shop.example/door", "more than scheme"),
        (File(), "a\0b", "NUL"),
        (Folder(), "a\0b", "NUL"),
        (PostgisUrl(), "mysql://h/n", "postgis://"),
        (RedisUrl(), "redis+cluster://h:1", "STREAM_URL"),
    ],
)
def test_a_value_of_another_form_is_refused(form: Form, text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason) or "^$"):
        form.parse(text)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_has_an_allowed_default_and_a_description(name: str) -> None:
    setting = SETTINGS[name]

    setting.form.parse(setting.default)

    assert setting.form.allowed
    assert setting.help.endswith(".")
    assert setting.unit == "s" or not isinstance(setting.form, Seconds)


def test_durations_are_described_in_seconds_and_larger_units() -> None:
    assert Seconds(90, 7_200).allowed == "a whole number of seconds from 90 to 7200 (90 s to 2 h)"
