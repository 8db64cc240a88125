"""Arms: recomputable, stable, of the right share, and independent between salts and layers."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promotions.logic.holdout import BUCKETS, Arm, Layer, assign_arm, bucket_of

DEVICE_ID = UUID("5f0c9b0e-1111-4222-8333-444455556666")
DEVICES = [UUID(int=number * 0x9E3779B97F4A7C15) for number in range(20_000)]

shares = st.floats(0, 0.5)


def test_the_bucket_is_the_published_hash() -> None:
    text = b"pepper-7|campaign|5f0c9b0e-1111-4222-8333-444455556666"

    assert bucket_of("pepper-7", Layer.CAMPAIGN, DEVICE_ID) == int(hashlib.sha256(text).hexdigest()[:16], 16)


def test_the_bucket_of_a_known_device_never_changes() -> None:
    # The value was computed once with `printf %s 'pepper-7|campaign|5f0c…' | sha256sum`.
    assert f"{bucket_of('pepper-7', Layer.CAMPAIGN, DEVICE_ID):016x}" == "9c8c6d19cbe5d3d8"


@given(st.text(max_size=32), st.sampled_from(Layer), st.uuids(), shares)
def test_the_arm_is_stable(salt: str, layer: Layer, device_id: UUID, share: float) -> None:
    assert assign_arm(salt, layer, device_id, share) is assign_arm(salt, layer, device_id, share)


@given(st.text(max_size=32), st.uuids(), shares, shares)
def test_a_larger_share_never_frees_a_device(salt: str, device_id: UUID, one: float, other: float) -> None:
    smaller, larger = sorted((one, other))

    if assign_arm(salt, Layer.CAMPAIGN, device_id, smaller) is Arm.CONTROL:
        assert assign_arm(salt, Layer.CAMPAIGN, device_id, larger) is Arm.CONTROL


@given(st.text(max_size=32), st.uuids())
def test_a_campaign_without_holdout_has_no_control_arm(salt: str, device_id: UUID) -> None:
    assert assign_arm(salt, Layer.CAMPAIGN, device_id, 0) is Arm.TREATED
    assert assign_arm(salt, Layer.CAMPAIGN, device_id, 1) is Arm.CONTROL
    assert bucket_of(salt, Layer.CAMPAIGN, device_id) < BUCKETS


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("salt", ["a", "b", "summer"])
def test_the_share_of_many_devices_is_the_share_asked_for(salt: str, share: float) -> None:
    held_out = sum(assign_arm(salt, Layer.CAMPAIGN, device_id, share) is Arm.CONTROL for device_id in DEVICES)

    # Five standard deviations of the binomial: the devices are fixed, so this never flickers.
    allowed = 5 * (len(DEVICES) * share * (1 - share)) ** 0.5
    assert abs(held_out - len(DEVICES) * share) < allowed


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", Layer.CAMPAIGN), ("b", Layer.CAMPAIGN)),
        (("a", Layer.CAMPAIGN), ("a", Layer.PROGRAMME)),
        (("campaign-1", Layer.CAMPAIGN), ("campaign-2", Layer.CAMPAIGN)),
    ],
)
def test_arms_of_different_salts_and_layers_are_independent(one: tuple[str, Layer], other: tuple[str, Layer]) -> None:
    both = sum(
        assign_arm(*one, device_id, 0.5) is Arm.CONTROL and assign_arm(*other, device_id, 0.5) is Arm.CONTROL
        for device_id in DEVICES
    )

    expected, variance = len(DEVICES) / 4, len(DEVICES) * 3 / 16
    assert abs(both - expected) < 5 * variance**0.5
