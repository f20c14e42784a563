"""The naive baseline that a trained network has to beat: matching by colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import rgb_to_hsv
from numpy.typing import NDArray

from scmlib.data.images import read_image
from scmlib.data.records import Record

STRIPES, BINS = 6, 16


def stripe_histograms(records: Sequence[Record]) -> NDArray[np.float32]:
    """HSV colour histograms of horizontal stripes, the descriptor of re-identification before networks.

    Each of six stripes gives 16 bins for hue, saturation and value each; counts enter by their square roots, so that
    the dot product compares them as the Bhattacharyya coefficient does.

    Args:
        records: images of any size.

    Returns:
        (N, 288) float32, rows of length 1, for `rank`.
    """
    rows: NDArray[np.float32] = np.empty((len(records), STRIPES * 3 * BINS), dtype=np.float32)
    for row, record in zip(rows, records, strict=True):
        hsv = rgb_to_hsv(read_image(record.path).permute(1, 2, 0).numpy() / 255)  # (H, W, 3) in [0, 1]
        counts = [
            np.histogram(stripe[..., channel], BINS, (0, 1))[0]
            for stripe in np.array_split(hsv, STRIPES)
            for channel in range(3)
        ]
        row[:] = np.sqrt(np.concatenate(counts) / hsv[..., 0].size)
        row /= np.linalg.norm(row)
    return rows
