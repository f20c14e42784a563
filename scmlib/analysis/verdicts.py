"""What a table of trainings says: differences to SCM with intervals, verdicts, and how many worlds a verdict takes.

Verdicts rest on the difference of mAP to SCM, paired by world and training seed, with worlds as units: a 95 % interval
of Student's t over the worlds' mean differences. All of it between -MARGIN and MARGIN: `equivalent` (two one-sided
tests at 2.5 %; Schuirmann, 1987, A comparison of the two one-sided tests procedure and the power approach for assessing
the equivalence of average bioavailability). Else all of it above 0: `SCM better`; all below 0: `SCM worse`; any other:
`not resolved`.

Lesson: notebooks/06_are_they_worth_it.ipynb.
"""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MARGIN = 0.015  # of mAP: variants that differ by less are as good as one another

LEVEL = 0.95  # of the intervals

POWER = 0.8  # odds of a verdict that `worlds_needed` plans for


def ablation_summary(table: pd.DataFrame) -> pd.DataFrame:
    """Every variant's metrics in the reported worlds, its paired difference of mAP to SCM, and the verdict.

    | column | what it says |
    |---|---|
    | `lr`, `worlds`, `trainings` | learning rate, and how many |
    | `mAP`, `mAP_sd`, `top1`, `top1_sd`, `person_lift` | means and standard deviations over the trainings |
    | `sd_worlds`, `sd_seeds` | spread of mAP between worlds and between trainings in one world; NaN with one each |
    | `behind_SCM`, `behind_SCM_sd` | SCM's mAP less the variant's: mean and standard deviation over worlds |
    | `low`, `high` | the 95 % interval of that mean; NaN with fewer than two worlds |
    | `verdict` | `SCM better`, `SCM worse`, `equivalent` or `not resolved` |
    | `worlds_needed` | for a verdict of `equivalent` at this spread, if there is no difference at all |

    Args:
        table: what `ablate` gives; also one cut short.
    """
    reported = table[(table["role"] == "reported") & table["mAP"].notna()]
    mAP = reported.set_index(["variant", "world", "seed"])["mAP"]
    rows: dict[str, dict[str, Any]] = {}
    for variant, group in reported.groupby("variant", sort=False):
        behind = (mAP["SCM"] - mAP[variant]).dropna().groupby("world").mean()
        row = {"lr": group["lr"].iloc[0], "worlds": group["world"].nunique(), "trainings": len(group)}
        for name in ("mAP", "top1"):
            row |= {name: group[name].mean(), f"{name}_sd": group[name].std()}
        row |= {"person_lift": group["person_lift"].mean(), **spreads(group)}
        row |= {"behind_SCM": behind.mean(), "behind_SCM_sd": behind.std()}
        if variant != "SCM":
            low, high = interval(behind.to_numpy())
            row |= {"low": low, "high": high, "verdict": verdict(low, high)}
            row |= {"worlds_needed": worlds_needed(behind.std())}
        rows[str(variant)] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def spreads(trainings: pd.DataFrame) -> dict[str, float]:
    """Standard deviations of mAP between worlds, and between seeds in one world, by one-way analysis of variance."""
    worlds = trainings.groupby("world")["mAP"]
    spare = len(trainings) - len(worlds)
    within = float(((trainings["mAP"] - worlds.transform("mean")) ** 2).sum() / spare) if spare else float("nan")
    between = float(worlds.mean().var()) - within / float(worlds.size().mean())
    return {"sd_worlds": float(np.sqrt(max(between, 0))) if spare else float("nan"), "sd_seeds": float(np.sqrt(within))}


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The interval of a mean by Student's t, at `LEVEL`; NaN for fewer than two values."""
    from scipy import stats  # here, since it takes long to import

    n = len(differences)
    if n < 2:
        return float("nan"), float("nan")
    reach = stats.t.ppf((1 + LEVEL) / 2, n - 1) * differences.std(ddof=1) / np.sqrt(n)
    return float(differences.mean() - reach), float(differences.mean() + reach)


def verdict(low: float, high: float, margin: float = MARGIN) -> str:
    """What an interval of SCM's mAP less a variant's says, see the module's head."""
    if -margin < low and high < margin:
        return "equivalent"
    return "SCM better" if low > 0 else "SCM worse" if high < 0 else "not resolved"


def worlds_needed(deviation: float, difference: float = 0.0, margin: float = MARGIN) -> float:
    """How many worlds give a verdict with odds of `POWER`, by the noncentral t distribution.

    Args:
        deviation: standard deviation of the paired differences over worlds.
        difference: the true one. 0 asks for the verdict `equivalent`, anything else for better or worse.
        margin: of equivalence.

    Returns:
        The number, at least 2; NaN if the deviation is NaN.
    """
    from scipy import stats

    def odds(worlds: int) -> float:
        limit = stats.t.ppf((1 + LEVEL) / 2, worlds - 1)
        beyond = stats.nct.sf(limit, worlds - 1, (abs(difference) or margin) * np.sqrt(worlds) / deviation)
        return float(beyond if difference else 2 * beyond - 1)  # equivalence asks for both ends of the interval

    if np.isnan(deviation):
        return float("nan")
    if deviation < MARGIN / 100:  # beyond what the distribution is computed for
        return 2
    return next(worlds for worlds in count(2) if odds(worlds) >= POWER)
