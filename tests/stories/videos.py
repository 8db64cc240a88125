"""What a camera sees: a short uncompressed video of a QR, for Chromium's fake camera. No encoder needed."""

from pathlib import Path

import numpy as np
import segno

WIDTH, HEIGHT = 640, 480
SIDE = 420
FRAMES = 4
# Paper is not white and print is not black.
LIGHT, DARK, TABLE = 220, 30, 120


def write_video(path: Path, text: str | None) -> None:
    """The QR of a text in the middle of the picture, or an empty table."""
    luma = np.full((HEIGHT, WIDTH), TABLE, dtype=np.uint8)
    if text is not None:
        quiet = 4
        modules = np.array(segno.make(text, error="m", micro=False).matrix, dtype=np.uint8)
        modules = np.pad(modules, quiet)
        scale = SIDE // len(modules)
        dots = np.where(np.kron(modules, np.ones((scale, scale), dtype=np.uint8)), DARK, LIGHT)
        top, left = (HEIGHT - len(dots)) // 2, (WIDTH - len(dots)) // 2
        luma[top : top + len(dots), left : left + len(dots)] = dots
    colour = np.full(HEIGHT * WIDTH // 2, 128, dtype=np.uint8)
    frame = b"FRAME\n" + luma.tobytes() + colour.tobytes()
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F10:1 Ip A1:1 C420jpeg\n".encode("ascii")
    path.write_bytes(head + frame * FRAMES)
