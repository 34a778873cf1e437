"""Measured beside published, against SciPy's own tests."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.published import difference_interval, mean_of

SCORES = np.array([70.1, 71.3, 70.4, 72.2, 70.9])
OTHERS = np.array([71.0, 74.5, 73.0])


def test_with_sd_and_n_the_interval_is_welchs() -> None:
    published = [float(OTHERS.mean()), float(OTHERS.std(ddof=1)), len(OTHERS)]
    found = difference_interval(SCORES.mean(), SCORES.std(ddof=1), len(SCORES), published)
    assert found == pytest.approx(stats.ttest_ind(SCORES, OTHERS, equal_var=False).confidence_interval(0.95))
    assert mean_of(published) == OTHERS.mean()


def test_of_a_value_alone_it_is_students() -> None:
    found = difference_interval(SCORES.mean(), SCORES.std(ddof=1), len(SCORES), 70.0)
    assert found == pytest.approx(np.array(stats.ttest_1samp(SCORES, 0).confidence_interval(0.95)) - 70.0)
    assert mean_of(70.0) == 70.0
    assert np.isnan(difference_interval(70.0, np.nan, 1, 70.0)).all()
    assert np.isnan(difference_interval(70.0, 0.0, 3, 71.0)).all()
