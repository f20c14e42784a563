from __future__ import annotations

from pathlib import Path

import pandas as pd

from scmlib import figures
from scmlib.figures.report import Section, write_report
from tests.figures.examples import log


def test_report_is_one_page_that_needs_nothing_else(tmp_path: Path) -> None:
    table = pd.DataFrame({"method": ["<SCM>"], "top1": ["80.0%"]})
    sections = [Section("Curve", "What it shows.", figures.draw_training(log(2, 3)), table, "A caption.")]
    sections += [Section("Words alone", "Nothing to see.")]
    page = write_report(tmp_path / "deep" / "report.html", "Title", "Lead & more.", sections, {"seed": 17}).read_text()
    for wanted in ("Lead &amp; more.", "&lt;SCM&gt;", "A caption.", "Words alone", "seed", "17"):
        assert wanted in page
    assert 'src="data:image/webp;base64,' in page
    assert "http" not in page
    assert page.count("<img") == page.count("alt=") == page.count("<table") == 1
