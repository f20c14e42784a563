"""MATLAB's .mat files, by SciPy, whose reader can crash on a spoilt one: a process that may die reads it first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

PROBE = "import sys; from scipy.io import loadmat; loadmat(sys.argv[1])"


def read_mat(path: Path, **options: Any) -> dict[str, Any]:
    """The variables of a file, by name.

    Args:
        path: the file.
        options: of `scipy.io.loadmat`.

    Raises:
        Exception: whatever SciPy raises of a damaged file; ValueError where it would have crashed.
    """
    from scipy.io import loadmat  # here, since two data sets alone need it

    if subprocess.run([sys.executable, "-c", PROBE, str(path)], capture_output=True).returncode < 0:
        raise ValueError("it crashes the reader")
    content: dict[str, Any] = loadmat(path, **options)
    return content
