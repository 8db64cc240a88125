"""Distance steps and walking minutes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.distance import DistanceBucket, bucket_distance, most_walking_minutes, walking_minutes


@pytest.mark.parametrize(
    ("distance_m", "bucket"),
    [
        (-3.0, "within_50_m"),
        (0.0, "within_50_m"),
        (50.0, "within_50_m"),
        (50.01, "within_100_m"),
        (100.0, "within_100_m"),
        (200.0, "within_200_m"),
        (200.5, "within_500_m"),
        (1_000.0, "within_1000_m"),
        (1_999.0, "within_2000_m"),
        (5_000.0, "within_5000_m"),
        (5_000.1, "beyond_5000_m"),
        (math.inf, "beyond_5000_m"),
        (math.nan, "beyond_5000_m"),
    ],
)
def test_a_distance_falls_into_the_first_step_that_contains_it(distance_m: float, bucket: str) -> None:
    assert bucket_distance(distance_m) == DistanceBucket(bucket)


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_farther_is_never_a_nearer_step(one: float, other: float) -> None:
    order = list(DistanceBucket)
    near, far = sorted((one, other))

    assert order.index(bucket_distance(near)) <= order.index(bucket_distance(far))


@pytest.mark.parametrize(
    ("bucket", "minutes"),
    [("within_50_m", 1), ("within_100_m", 2), ("within_200_m", 4), ("within_500_m", 9), ("within_5000_m", 82)],
)
def test_most_walking_minutes_are_from_the_far_side_of_the_step(bucket: str, minutes: int) -> None:
    assert most_walking_minutes(DistanceBucket(bucket)) == minutes


@pytest.mark.parametrize(
    ("distance_m", "minutes"), [(-3.0, 0), (0.0, 0), (61.0, 1), (62.0, 2), (578.0, 10), (5_000.0, 82)]
)
def test_walking_minutes_are_those_of_the_distance(distance_m: float, minutes: int) -> None:
    assert walking_minutes(distance_m) == minutes


def test_no_phone_beyond_walking_distance_is_sent_to_a_store() -> None:
    assert most_walking_minutes(DistanceBucket.BEYOND_5000_M) is None
    assert walking_minutes(5_001.0) is None
    assert walking_minutes(math.nan) is None
