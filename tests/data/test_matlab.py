from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from scmlib.data import matlab
from scmlib.data.matlab import read_mat


def test_variables_are_read(tmp_path: Path) -> None:
    savemat(tmp_path / "a.mat", {"x": np.arange(3)})
    assert read_mat(tmp_path / "a.mat", squeeze_me=True)["x"].tolist() == [0, 1, 2]


def test_file_that_crashes_the_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matlab, "PROBE", "import os; os.abort()")
    with pytest.raises(ValueError, match="it crashes the reader"):
        read_mat(tmp_path / "a.mat")
