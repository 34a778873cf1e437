"""The publications of the objectives and networks that a study uses, as BibTeX."""

import re
from pathlib import Path

import pandas as pd

from analysis.report.reading import teacher_columns

NETWORKS = ("resnet", "wrn", "vgg", "mobilenetv2", "shufflev1", "shufflev2")
"""Keys of the entries of networks, which are prefixes of models' names; all other keys are names of objectives."""


def cited(trials: pd.DataFrame) -> dict[str, str]:
    """Return the BibTeX entry of each objective and network that trials use, by its key; empty for foreign results."""
    settings = trials.filter(regex=r"^config\.objective\.").dropna(axis="columns", how="all")
    used = {str(name).split(".")[2] for name in settings}
    networks = {"config.student.model", *(f"{start}model" for start in teacher_columns(trials))} & {*trials}
    for model in (str(model) for name in networks for model in trials[name].dropna()):
        plain = model.rpartition("/")[2].lower().replace("_", "").replace("shufflenet", "shuffle")
        used |= {key for key in NETWORKS if plain.replace("wideresnet", "wrn").startswith(key)}
    entries = (Path(__file__).parent / "pages" / "methods.bib").read_text().strip().split("\n\n")
    found = {re.findall(r"@\w+\{(\w+),", entry)[0]: entry for entry in entries}
    return {key: entry for key, entry in found.items() if key in used}
