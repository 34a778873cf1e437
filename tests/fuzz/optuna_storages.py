"""Optuna's storages in SQLite files, of which cells, tables or bytes are damaged, and other databases."""

import shutil
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import optuna

from analysis.foreign import read
from cktf.errors import visible
from cktf.foreign_options import Options
from tests.fuzz.driver import Case
from tests.fuzz.mutations import ODD_NUMBERS, ODD_TEXTS, changed_bytes
from tests.fuzz.reading import read_through

TRIALS = 12


@cache
def _storage() -> bytes:
    """Return the file of a storage with one study."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with TemporaryDirectory(prefix="cktf-fuzz-") as folder:
            file = Path(folder) / "study.db"
            url = f"sqlite:///{file}"
            sampler = optuna.samplers.RandomSampler(seed=1)
            study = optuna.create_study(storage=url, study_name="rates", direction="maximize", sampler=sampler)
            study.optimize(_objective, TRIALS, catch=(ArithmeticError,))
            study.ask()
            read_through(read("optuna", url, Options()))  # so that no case pays for what is imported then
            return file.read_bytes()
    finally:
        optuna.logging.set_verbosity(verbosity)


def _objective(trial: optuna.Trial) -> float:
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    trial.suggest_categorical("optimizer", ["sgd", "adam", None])
    if trial.number % 6 == 5:
        raise ArithmeticError("the loss is nan")
    for step in range(3):
        trial.report(rate + step, step)
        if step == 1 and trial.number % 4 == 3:
            raise optuna.TrialPruned
    return rate + 3 + trial.suggest_int("depth", 1, 4)


def optuna_storages(draws: Random, folder: Path) -> Case:
    """Return a storage in which something was changed, and how it is named."""
    file = folder / "study.db"
    file.write_bytes(_storage())
    words = []
    way = draws.choice(("cell", "cell", "cell", "cell", "table", "bytes", "other", "name"))
    if way == "bytes":
        content, what = changed_bytes(file.read_bytes(), draws)
        file.write_bytes(content)
        words.append(what)
    elif way != "name":
        with closing(sqlite3.connect(file)) as database:
            words.append(_changed(database, way, draws))
            database.commit()
    place = f"sqlite:///{file}"
    if way == "name":
        place = draws.choice(
            (
                str(file),
                f"sqlite://{file}",
                f"sqlite:///{folder}/none.db",
                f"sqlite:///{folder}",
                "",
                "x",
                *ODD_TEXTS[:12],
            )
        )
        place = place.replace("~nobody", f"{folder}/nobody")
        words.append(f"named {place[:60]!a}")
    name = draws.choice((None, "rates")) if draws.random() < 0.9 else draws.choice(ODD_TEXTS)
    before = shutil.copy(file, folder / "before.db")

    def use() -> None:
        try:
            read_through(read("optuna", place, Options(study=name)))
        finally:
            assert Path(before).read_bytes() == file.read_bytes(), "something was written into the storage"

    return Case(
        f"{', '.join(words)}; study {str(name)[:40]!a}",
        use,
        (str(file), "--study", visible(place)[:40] or "empty"),
    )


def _changed(database: sqlite3.Connection, way: str, draws: Random) -> str:
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    table = draws.choice(tables)
    if way == "other":
        for each in tables:
            database.execute(f'DROP TABLE "{each}"')
        database.execute(f"CREATE TABLE {draws.choice(('studies', 'x'))} (study_id INTEGER, study_name TEXT)")
        return "another database"
    if way == "table":
        database.execute(draws.choice((f'DROP TABLE "{table}"', f'DELETE FROM "{table}"')))  # noqa: S608
        return f"{table} is gone or empty"
    full = [each for each in tables if database.execute(f'SELECT count(*) FROM "{each}"').fetchone()[0]]  # noqa: S608
    table = draws.choice(full)
    column = draws.choice([row[1] for row in database.execute(f'PRAGMA table_info("{table}")')])
    value = draws.choice(
        (None, b"\xff", "x", "{}", "[1", *ODD_TEXTS, *(each for each in ODD_NUMBERS if abs(each) < 2**63))
    )
    number = database.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608
    row = draws.randrange(number)
    try:
        database.execute(
            f'UPDATE "{table}" SET "{column}" = ? WHERE rowid = (SELECT rowid FROM "{table}" LIMIT 1 OFFSET {row})',  # noqa: S608
            (value,),
        )
    except sqlite3.Error:
        return "nothing"
    return f"{table}.{column} is {str(value)[:40]!a}"
