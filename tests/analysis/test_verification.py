"""Genuine and impostor pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from scmlib.analysis.verification import BINS, RATES, Verification, count_pairs, rates, verify
from scmlib.errors import BadInput
from scmlib.runs import open_study

rng = np.random.default_rng(0)
IDS, CAMS = [rng.integers(0, 6, n) for n in (140, 50)], [rng.integers(0, 3, n) for n in (140, 50)]


def unit(ids: np.ndarray) -> np.ndarray:
    rows = np.eye(6)[ids] + 0.5 * rng.normal(size=(len(ids), 6))
    normalised: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return normalised


QUERY, GALLERY = unit(IDS[0]), unit(IDS[1])
PAIRS = count_pairs(QUERY, GALLERY, *IDS, *CAMS)


def naive() -> tuple[list[int], list[bool]]:
    """Every pair's bin, and whether it is genuine."""
    bins, genuine = [], []
    for q in range(len(QUERY)):
        for g in range(len(GALLERY)):
            same = IDS[0][q] == IDS[1][g]
            if same and CAMS[0][q] == CAMS[1][g]:
                continue
            bins.append(int((QUERY[q] @ GALLERY[g] + 1) / 2 * BINS))
            genuine.append(bool(same))
    return bins, genuine


def test_counts_are_those_of_a_double_loop() -> None:
    bins, genuine = map(np.array, naive())
    assert (PAIRS.genuine.sum(0) == np.bincount(bins[genuine], minlength=BINS)).all()
    assert (PAIRS.impostor.sum(0) == np.bincount(bins[~genuine], minlength=BINS)).all()
    own = (IDS[0] == 4)[:, None] & (IDS[1] == 4) & (CAMS[0][:, None] != CAMS[1])
    assert PAIRS.genuine[4].sum() == own.sum()


def test_rates_are_those_of_scikit_learn() -> None:
    bins, genuine = naive()
    false, true, _ = roc_curve(genuine, bins, drop_intermediate=False)
    found = rates(PAIRS.genuine.sum(0), PAIRS.impostor.sum(0))
    assert found["AUC"] == pytest.approx(roc_auc_score(genuine, bins))
    # The crossing of the two error curves, found on a fine grid along the polygon.
    at = np.linspace(0, len(false) - 1, 200_001)
    fmr, fnmr = np.interp(at, np.arange(len(false)), false), 1 - np.interp(at, np.arange(len(true)), true)
    assert found["EER"] == pytest.approx(fmr[np.abs(fmr - fnmr).argmin()], abs=1e-4)
    for rate in RATES:
        assert found[f"TMR at FMR {rate:g}"] == pytest.approx(
            max(t for f, t in zip(false, true, strict=True) if f <= rate)
        )
    accepted = np.array(bins) >= round((PAIRS.threshold + 1) / 2 * BINS)
    errors = accepted[~np.array(genuine)].mean(), 1 - accepted[np.array(genuine)].mean()
    assert errors == pytest.approx((found["EER"],) * 2, abs=0.01)


def test_cases_by_hand() -> None:
    low, high = np.zeros(BINS), np.zeros(BINS)
    low[100], high[900] = 5, 3
    apart, same, wrong = rates(high, low), rates(low, low), rates(low, high)
    assert (apart["EER"], apart["AUC"], apart["TMR at FMR 0.01"]) == (0, 1, 1)
    assert (same["EER"], same["AUC"]) == (0.5, 0.5)
    assert (wrong["EER"], wrong["AUC"], wrong["TMR at FMR 0.01"]) == (1, 0, 0)


def test_bands_resample_identities() -> None:
    summary = PAIRS.summary(resamples=200, seed=4)
    assert (summary["low"] <= summary["value"]).all()
    assert (summary["value"] <= summary["high"]).all()
    drawn = np.random.default_rng(4).multinomial(6, np.full(6, 1 / 6), 200)
    found = []
    for counts in drawn:
        who = np.repeat(np.arange(6), counts)
        found.append(rates(PAIRS.genuine[who].sum(0), PAIRS.impostor[who].sum(0))["EER"])
    assert list(summary.loc["EER", ["low", "high"]]) == pytest.approx(np.quantile(found, [0.025, 0.975]))
    copied = Verification(np.repeat(PAIRS.genuine, 9, 0), np.repeat(PAIRS.impostor, 9, 0)).summary(resamples=200)
    assert copied["value"].to_numpy() == pytest.approx(summary["value"].to_numpy())
    assert np.ptp(copied.loc["AUC", ["low", "high"]]) < np.ptp(summary.loc["AUC", ["low", "high"]])


def test_pairs_of_a_run(run: Path, data_root: Path) -> None:
    study = open_study(run, dataset_root=data_root)
    pairs = verify(study)
    people = {record.identity for record in study.data.query}
    assert len(pairs.genuine) == len(people)
    expected = sum(q.identity != g.identity for q in study.data.query for g in study.data.gallery)
    assert pairs.impostor.sum() == expected


def test_both_kinds_of_pairs_are_needed() -> None:
    with pytest.raises(BadInput, match="verification needs both"):
        count_pairs(QUERY, GALLERY, np.zeros(140, int), np.ones(50, int), *CAMS)
