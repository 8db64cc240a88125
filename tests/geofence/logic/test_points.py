"""Digests of points: the published SipHash, one point one digest, no digest without the key."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofence.logic.points import digest_point, digest_points, hash_words

KEY = bytes(range(16))
places = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


def test_it_is_siphash_as_published() -> None:
    # The sixteenth of the reference implementation's vectors: the key and the message are 00 01 02 … 0f.
    words = [np.frombuffer(KEY[begin : begin + 8], dtype="<u8") for begin in (0, 8)]

    assert hash_words(KEY, words)[0].tobytes() == bytes.fromhex("db9bc2577fcc2a3f")


@given(st.lists(places, max_size=20))
def test_many_points_have_the_digests_of_each(points: list[tuple[float, float]]) -> None:
    digests = digest_points(KEY, np.array([point[0] for point in points]), np.array([point[1] for point in points]))

    assert digests.tolist() == [digest_point(KEY, *point) for point in points]


@given(places, places)
def test_equal_points_alone_have_equal_digests(one: tuple[float, float], other: tuple[float, float]) -> None:
    assert (digest_point(KEY, *one) == digest_point(KEY, *other)) == (one == other)


def test_the_last_digit_and_the_key_change_all_of_it() -> None:
    point = (48.8675, 2.3638)

    assert digest_point(KEY, *point) != digest_point(KEY, float(np.nextafter(point[0], 90)), point[1])
    assert digest_point(KEY, *point) != digest_point(bytes(16), *point)
    assert digest_point(KEY, 0.0, 2.0) == digest_point(KEY, -0.0, 2.0)


def test_a_key_has_sixteen_bytes() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        digest_point(b"short", 48.0, 2.0)
