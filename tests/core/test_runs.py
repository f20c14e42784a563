from __future__ import annotations

from pathlib import Path

import pytest

from scmlib.data.datasets import open_dataset
from scmlib.errors import BadInput
from scmlib.runs import Study, open_study


def test_a_study_knows_its_data(run: Path, data_root: Path) -> None:
    study = open_study(run)
    assert study.has_truth
    assert len(study.log) == study.settings.last_epoch
    assert study.data.query == open_dataset("synthetic", data_root).query
    lonely = Study(study.model, study.settings, study.data, data_root)
    with pytest.raises(BadInput, match="log"):
        _ = lonely.log
