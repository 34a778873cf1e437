"""The results of a run for a notebook: tables, figures, and a summary."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

import pandas as pd

from analysis.arguments import listed
from analysis.figures.drawing import Drawing, drawing
from analysis.statistics.any_table import reported
from analysis.study_tables import StudyTables
from analysis.wording import comparison_names, effect_text, interval_name, p_text, quantity, unit_text
from cktf.errors import InputError
from cktf.rows import Alternative

MOST_ROWS = 20
"""Largest number of arms in a notebook's summary."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Results(StudyTables):
    """`StudyTables` with figures, comparisons chosen afterwards, and a summary that a notebook shows."""

    def __repr__(self) -> str:
        return "\n".join(self._summary())

    def _repr_html_(self) -> str:
        """Return the summary, and the first rows of the main table: effects, or a search's leaderboard."""
        head, *counts = self._summary()
        lines = "<br>".join(escape(line.strip()) for line in counts)
        return f"<div><p><b>{escape(head)}</b><br>{lines}</p>{self._answer()}</div>"

    def figure(self, name: str, factors: Sequence[str] = ()) -> Drawing:
        """Return one figure, which a notebook shows.

        Args:
            name: A key of `analysis.figures.FIGURES`.
            factors: Paths of the factors to look at, if the figure lets them be chosen.

        Raises:
            InputError: If the name or a factor is unknown, or the figure does not apply; it names what is allowed.
        """
        return drawing(self, name, factors)

    def effects_against(self, arm: str) -> pd.DataFrame:
        """Return the effect of every other arm against this one, paired by seed, as `effects` has them.

        They are a family of comparisons of their own, over which Holm's method adjusts p. A choice of the arm after
        the results were seen is not accounted for.

        Args:
            arm: Name of an arm that every context has.

        Returns:
            One row for each context and other arm: the columns of `analysis.statistics.effects.effects`.

        Raises:
            InputError: If a context has no arm of this name; the message names those that there are.
        """
        study, is_extended = self.facts.study, self.facts.is_looked_at
        return self._compared(delta=study.delta, family=study.family, baseline=arm, is_extended=is_extended)

    def afterthought(self, arm: str) -> "Results":
        """Return these results with the comparisons of `effects_against` in place of the study's, marked as such.

        Raises:
            InputError: If a context has no arm of this name, or there is no other arm.
        """
        named = reported(self.trials)
        others = [name for name in dict.fromkeys(named["arm"]) if name != arm]
        for context, rows in named.groupby("context", sort=False)["arm"]:
            if arm not in set(rows):
                within = f" in context {context!r}" if context else ""
                raise InputError(f"--against {arm}: no arm is called so{within}; there are: {listed(rows.unique())}")
        if not others:
            raise InputError(f"--against {arm}: there is no other arm whose trials were fixed before their results")
        asked = replace(
            self.facts.study,
            contrasts=[[other, arm] for other in others],
            alternative=Alternative.TWO_SIDED,
            margin=0.0,
            is_afterthought=True,
            looks=[],
        )
        return Results(trials=self.trials, epochs=self.epochs, facts=replace(self.facts, asked=asked))

    def _summary(self) -> list[str]:
        study, ended = self.facts.study, self.trials["status"].value_counts()
        statuses = ", ".join(f"{count} {status}" for status, count in ended.items()) or "none"
        num_contexts = len(self.contexts)
        within = f" in {num_contexts} contexts" if num_contexts > 1 else ""
        return [
            f"Results of {study.study}, run {study.run}, judged by {study.report_metric}",
            f"  trials: {statuses}; {self.trials['arm_id'].nunique()} arms{within}",
            f"  epochs: {len(self.epochs)} rows",
            *([f"  {self.facts.afterthought}"] if self.facts.afterthought else []),
        ]

    def _answer(self) -> str:
        """Return the first arms of the effects, or else of the leaderboard, as HTML; nothing if both are empty."""
        rows = self.leaderboard if self.effects.empty else self.effects
        if rows.empty:
            return ""
        shown = rows.head(MOST_ROWS)
        if self.effects.empty:
            table = shown[["rank", "arm", "n", "score"]]
        else:
            measured = quantity(self.facts.study.report_metric)
            shown = shown.assign(arm=comparison_names(shown))
            columns = [*(["context"] if len(self.contexts) > 1 else []), "arm", "n_pairs"]
            table = shown[columns].rename(columns={"n_pairs": "pairs"})
            table[f"effect [{interval_name(shown)}]{unit_text(measured)}"] = [
                effect_text(effect, measured.decimals) for _, effect in shown.iterrows()
            ]
            table["p (Holm)"] = shown["p_holm"].map(p_text)
            table["verdict"] = shown["verdict"]
        more = f"<p>The first {MOST_ROWS} of {len(rows)} rows.</p>" if len(rows) > MOST_ROWS else ""
        html: str = table.to_html(index=False, border=0)
        return html + more
