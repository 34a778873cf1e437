"""Published values that a report prints beside the measured ones."""

from pydantic import Field

from cktf.settings import Settings


class Reference(Settings):
    """Published values, shown beside a study's own numbers and never mixed with them."""

    source: str = Field(min_length=1)
    """The publication: a citation, and the table in it."""

    metric: str = "test_accuracy"
    """The column of `cktf.rows.EpochResult` of the values, in its unit; the study must report the same."""

    values: dict[str, float | dict[str, float]] = Field(min_length=1)
    """Context to arm to value; in a study without contexts, arm to value."""

    teacher: float | dict[str, float] | None = None
    """Context to the value of its teacher; in a study without contexts, the value."""

    def by_context(self) -> dict[str, dict[str, float]]:
        """Return context to arm to value; values without a context are under ''."""
        nested = {key: value for key, value in self.values.items() if isinstance(value, dict)}
        flat = {key: value for key, value in self.values.items() if not isinstance(value, dict)}
        return {"": flat, **nested} if flat else nested

    def teachers(self) -> dict[str, float]:
        """Return context to the value of its teacher; without contexts under ''."""
        if self.teacher is None:
            return {}
        return self.teacher if isinstance(self.teacher, dict) else {"": self.teacher}
