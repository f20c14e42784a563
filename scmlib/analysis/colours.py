"""The naive baseline that a trained network has to beat: matching by colour.

Histograms of a whole picture fail because of its background, and where queries are occluded because of the occluder:
that is no fair opponent. People stand in the middle, so the histograms are of the *central third*; and those of the
true person's pixels, which only a drawn world knows, are what colour alone could reach.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import rgb_to_hsv
from numpy.typing import NDArray

from scmlib.data.images import read_image
from scmlib.data.records import Record
from scmlib.data.truth import PERSON, read_truth, truth_path
from scmlib.errors import BadInput

STRIPES, BINS = 6, 16


def stripe_histograms(records: Sequence[Record], *, person: bool = False) -> NDArray[np.float32]:
    """HSV colour histograms of horizontal stripes, the descriptor of re-identification before networks.

    Each of six stripes gives 16 bins for hue, saturation and value each; counts enter by their square roots, so that
    the dot product compares them as the Bhattacharyya coefficient does.

    Args:
        records: images of any size.
        person: whether the true visible person's pixels are counted, from a drawn world's index maps; else those of the
            central third of the columns.

    Returns:
        (N, 288) float32, rows L2-normalised, for `rank`; a row of zeros where nothing is counted.

    Raises:
        BadInput: an image that can't be read, or, for `person`, one without an index map of its size.
    """
    rows: NDArray[np.float32] = np.empty((len(records), STRIPES * 3 * BINS), dtype=np.float32)
    for row, record in zip(rows, records, strict=True):
        hsv = rgb_to_hsv(read_image(record.path).permute(1, 2, 0).numpy() / 255)  # (H, W, 3) in [0, 1]
        if person:
            counted = np.isin(read_truth([record.path])[0], PERSON)
        else:
            counted = np.zeros(hsv.shape[:2], dtype=bool)
            counted[:, hsv.shape[1] // 3 : hsv.shape[1] - hsv.shape[1] // 3] = True
        if counted.shape != hsv.shape[:2]:
            raise BadInput(f"{record.path} and {truth_path(record.path)} differ in size: draw the world anew.")
        counts = [
            np.histogram(stripe[inside][:, channel], BINS, (0, 1))[0]
            for stripe, inside in zip(np.array_split(hsv, STRIPES), np.array_split(counted, STRIPES), strict=True)
            for channel in range(3)
        ]
        row[:] = np.sqrt(np.concatenate(counts))
        row /= max(1.0, float(np.linalg.norm(row)))
    return rows
