"""The mean over two crossed random factors, against loops, a case by hand, and draws of both factors."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.crossed import crossed_mean


def slow(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard error, degrees of freedom and p of one matrix, by loops over its sums of squares."""
    n, count = values.shape
    grand = sum(values[i, j] for i in range(n) for j in range(count)) / (n * count)
    rows = [sum(values[i, j] for j in range(count)) / count for i in range(n)]
    columns = [sum(values[i, j] for i in range(n)) / n for j in range(count)]
    of_rows = count * sum((row - grand) ** 2 for row in rows) / (n - 1)
    of_columns = n * sum((column - grand) ** 2 for column in columns) / (count - 1)
    rest = sum((values[i, j] - rows[i] - columns[j] + grand) ** 2 for i in range(n) for j in range(count))
    of_rest = rest / ((n - 1) * (count - 1))
    variance = max(of_rows + of_columns - of_rest, of_rows, of_columns)
    df = variance**2 / (of_rows**2 / (n - 1) + of_columns**2 / (count - 1) + of_rest**2 / ((n - 1) * (count - 1)))
    df = min(max(df, min(n, count) - 1), max(n, count) - 1)
    error = (variance / (n * count)) ** 0.5
    return grand, error, df, 2 * stats.t.cdf(-abs(grand / error), df)


def test_it_is_what_loops_over_the_sums_of_squares_give() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(6, 1, 1)) + draw.normal(size=(6, 5, 1)) + draw.normal(size=(6, 1, 3))
    values = values + draw.normal(size=(6, 5, 3))
    found = crossed_mean(values)
    for index, matrix in enumerate(values):
        expected = slow(matrix)
        assert [found.mean[index], found.standard_error[index], found.df[index], found.p[index]] == pytest.approx(
            expected
        )
        half = stats.t.ppf(0.975, expected[2]) * expected[1]
        assert (found.low[index], found.high[index]) == pytest.approx((expected[0] - half, expected[0] + half))


def test_a_case_by_hand() -> None:
    # Rows 1 and 3, columns 1 and 3, no interaction: mean squares 4, 4 and 0, so V = 8 and the error is sqrt(8 / 4).
    found = crossed_mean(np.array([[0.0, 2.0], [2.0, 4.0]]))
    numbers = [float(number) for number in (found.mean, found.standard_error, found.df)]
    assert numbers == [2.0, pytest.approx(2**0.5), 1.0]


def test_one_row_one_column_and_equal_values_have_no_error() -> None:
    for values in (np.array([[1.0, 2.0, 3.0]]), np.array([[1.0], [2.0]]), np.full((3, 3), 2.0)):
        found = crossed_mean(values)
        assert np.isfinite(found.mean)
        assert np.isnan([found.standard_error, found.low, found.high, found.p]).all()


@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_its_interval_holds_the_mean_of_both_populations(spread: float) -> None:
    draw = np.random.default_rng(1)
    values = draw.normal(size=(2000, 5, 1)) + spread * draw.normal(size=(2000, 1, 4)) + draw.normal(size=(2000, 5, 4))
    found = crossed_mean(values)
    share = ((found.low < 0) & (found.high > 0)).mean()
    assert share > 0.93
    of_rows = stats.ttest_1samp(values.mean(axis=-1), 0, axis=-1).confidence_interval()
    if spread:
        assert np.mean((of_rows.low < 0) & (of_rows.high > 0)) < 0.75, "an interval over seeds alone does not"
