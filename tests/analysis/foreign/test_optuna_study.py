"""An Optuna study in an SQLite file as a search."""

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from analysis import load, read_optuna, write_results
from analysis.report.methods import methods_text
from cktf.errors import InputError
from cktf.rows import Status
from tests.analysis.command import main

TRIALS = 24


def objective(trial: optuna.Trial) -> float:
    """Return a score that the rate decides; some trials fail, bad ones are pruned at their second step."""
    rate = trial.suggest_float("rate", 1e-4, 1e-1, log=True)
    depth = trial.suggest_int("depth", 1, 4)
    trial.suggest_categorical("optimizer", ["sgd", None])
    score = 90 - 2 * abs(math.log10(rate / 1e-2)) + 0.1 * depth
    if trial.number % 9 == 8:
        raise ValueError("loss is NaN")
    for step in range(4):
        trial.report(score + step, step)
        if step == 1 and score < 88.5:
            raise optuna.TrialPruned
    return score + 3


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a database that holds one study; Optuna takes a second to make it."""
    path = tmp_path_factory.mktemp("optuna") / "study.db"
    url = f"sqlite:///{path}"
    study = optuna.create_study(
        storage=url, study_name="rates", direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1)
    )
    study.optimize(objective, TRIALS, catch=(ValueError,))
    study.ask()
    return path.read_bytes()


@pytest.fixture
def storage(database: bytes, tmp_path: Path) -> str:
    """Return the URL of a storage that holds one study."""
    (tmp_path / "study.db").write_bytes(database)
    return f"sqlite:///{tmp_path / 'study.db'}"


def test_trials_keep_their_states_params_and_values_on_the_way(storage: str) -> None:
    results = read_optuna(storage)
    study = optuna.load_study(study_name="rates", storage=storage)
    names = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}
    assert results.trials["status"].tolist() == [names[trial.state.name] for trial in study.trials]
    assert set(results.trials["status"]) == set(names.values())
    for row, trial in zip(results.trials.to_dict("records"), study.trials, strict=True):
        assert row["param.rate"] == pytest.approx(trial.params.get("rate", math.nan), nan_ok=True)
        if row["status"] == Status.COMPLETE:
            assert row["metric.value"] == trial.value
            assert row["param.optimizer"] == str(trial.params["optimizer"])
        if row["status"] == Status.PRUNED:
            assert row["metric.value"] == trial.intermediate_values[1]
            assert row["reason"] == "pruned after step 1"
        on_the_way = results.epochs[results.epochs["trial_id"] == row["trial_id"]]
        assert dict(zip(on_the_way["epoch"], on_the_way["metric.value"], strict=True)) == trial.intermediate_values
    assert results.trials["seed"].isna().all()
    assert results.facts.study.log_factors == ["rate"]


def test_a_trial_that_was_enqueued_has_its_arm_before_it_has_params(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study = optuna.create_study(storage=url)
    for arm in ("baseline", "kd"):
        for seed in range(2):
            study.enqueue_trial({"method": arm, "seed": seed})
    study.optimize(
        lambda trial: trial.suggest_int("seed", 0, 1) + len(trial.suggest_categorical("method", ["baseline", "kd"])), 1
    )
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    study.ask()
    found = read_optuna(url, arm="method", seed="seed").trials[["arm", "seed", "status"]].to_numpy().tolist()
    assert found == [
        ["baseline", 0, "complete"],
        ["baseline", 1, "failed"],
        ["kd", 0, "running"],
        ["kd", 1, "planned"],
    ]


def test_the_report_has_what_a_search_has(storage: str, tmp_path: Path) -> None:
    results = read_optuna(storage, name="rates")
    best = optuna.load_study(study_name="rates", storage=storage).best_trial
    assert results.leaderboard.at[0, "score"] == best.value
    assert results.leaderboard["arm"][0].startswith(f"trial {best.number}: rate=")
    important = results.importance[results.importance["method"] == "ped-anova"]
    assert important.iloc[0]["factor"] == "rate"
    paths = write_results(results, tmp_path / "out")
    assert {"history", "importance", "slices", "parallel"} <= set(paths.figures)
    assert {"leaderboard", "importance"} <= set(paths.tables)
    assert load(tmp_path / "out").facts == results.facts
    text = methods_text(results)
    assert f"were read from the Optuna study rates in {storage}" in text
    assert "names no seeds" in text
    assert "test split" not in text


def test_a_database_is_read_by_its_url_or_path_and_not_written(storage: str) -> None:
    file = Path(storage.removeprefix("sqlite:///"))
    before = file.read_bytes()
    for place in (storage, str(file), file):
        assert len(read_optuna(place).trials) == TRIALS + 1
    assert file.read_bytes() == before


def test_a_missing_file_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*/none\.db"):
        read_optuna(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(("table", "lacks"), [("things", "studies"), ("studies", "study_directions")])
def test_a_database_of_something_else_is_told_and_left_as_it_was(tmp_path: Path, table: str, lacks: str) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(f"CREATE TABLE {table} (id INTEGER, title TEXT)")
    before = file.read_bytes()
    with pytest.raises(ValueError, match=f"no Optuna storage: it lacks the tables alembic_version, {lacks}"):
        read_optuna(f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_what_cannot_be_read_is_told(storage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"there is no study 'other' \(--study\); there are: rates"):
        read_optuna(storage, name="other")
    optuna.create_study(storage=storage, study_name="two", directions=["minimize", "maximize"])
    with pytest.raises(ValueError, match="--study names one of its studies; there are: rates, two"):
        read_optuna(storage)
    with pytest.raises(ValueError, match=r"study 'two' has 2 objectives; --metric names .*: values_0, values_1"):
        read_optuna(storage, name="two")
    (tmp_path / "text.db").write_text("no data base, whatever its name says " * 100)
    with pytest.raises(ValueError, match=r"no Optuna storage that can be read"):
        read_optuna(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(ValueError, match=r"^nonsense: No such file"):
        read_optuna("nonsense")
    assert main(["compare", storage, "--from", "optuna", "--study", "rates", "--metric", "x"]) == 2
    assert "study 'rates' has 1 objectives; --metric names the one" in capsys.readouterr().err
    assert main(["compare", storage, "--from", "optuna", "--study", "rates", "--delta", "1"]) == 2
    assert "--delta is of arms at seeds: --seed names the param that is the seed" in capsys.readouterr().err
    assert main(["compare", storage, "--from", "optuna", "--study", "rates", "--minimise"]) == 2
    assert "study 'rates' maximises value" in capsys.readouterr().err


def test_a_password_does_not_stand_in_the_report() -> None:
    from analysis.foreign.optuna_study import without_password

    assert without_password("mysql://user:secret@host/studies") == "mysql://user@host/studies"
    assert without_password("mysql://user:se@cret@host/studies?password=secret") == "mysql://user@host/studies"
    assert without_password("postgresql:///studies?user=u&password=secret") == "postgresql:///studies"
    assert without_password("sqlite:///study.db") == "sqlite:///study.db"


def test_nor_one_in_a_query_in_the_report_or_a_message(storage: str, tmp_path: Path) -> None:
    paths = write_results(read_optuna(f"{storage}?password=hunter2"), tmp_path / "out")
    for file in (tmp_path / "out").rglob("*"):
        assert file.is_dir() or b"hunter2" not in file.read_bytes(), file
    assert paths.html
    for url in (
        f"sqlite:///{tmp_path}/none.db?password=hunter2",
        "nonsense://u:hunter2@host/x?password=hunter2",
        "sqlite://u:hunter2@host:port/x",
    ):
        with pytest.raises(ValueError) as error:
            read_optuna(url)
        assert "hunter2" not in str(error.value)
        assert error.value.__cause__ is None


def write_choices(url: str, choices: list[object], values: list[float] | None = None) -> None:
    """Write a study of a trial of each choice, in their order."""
    study = optuna.create_study(storage=url, study_name="choices", direction="maximize")
    domain = optuna.distributions.CategoricalDistribution(choices)  # type: ignore[arg-type]
    for number, choice in enumerate(choices):
        value = values[number] if values else 80.0 + number
        study.add_trial(optuna.create_trial(params={"c": choice}, distributions={"c": domain}, value=value))


def test_choices_of_several_kinds_are_different_levels(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    write_choices(url, [1, "1", 1.5, None, "None", "kd ", "KD"])
    results = read_optuna(url)
    assert results.trials["param.c"].tolist() == ["1", '"1"', "1.5", "None", '"None"', "kd", "KD"]
    assert results.trials["arm"].tolist()[:2] == ["trial 0: c=1", 'trial 1: c="1"']
    assert "alone set these levels of c apart: 'kd'; 'KD'." in methods_text(results)


def test_choices_that_optuna_itself_stores_as_one_are_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    write_choices(url, [1, "1", True])
    results = read_optuna(url)
    assert results.trials["param.c"].tolist() == ["1", '"1"', "1"]
    assert "Of c, Optuna stores True as 1: the trials of these choices cannot be told apart." in methods_text(results)
    truths = f"sqlite:///{tmp_path}/b.db"
    write_choices(truths, [True, False])
    assert read_optuna(truths).trials["param.c"].tolist() == [True, False]


def test_values_that_are_not_finite_have_failed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    write_choices(url, ["a", "b", "c", "d"], [1.0, math.inf, 2.0, -math.inf])
    results = read_optuna(url)
    assert results.trials["status"].tolist() == [Status.COMPLETE, Status.FAILED] * 2
    assert results.trials["reason"].tolist()[1] == "value is inf, which is not finite"
    assert len(results.leaderboard) == 2
    assert "Trials whose value is infinite or not a number, which count as failed: 2 of 4." in methods_text(results)


def test_a_storage_is_read_where_nothing_can_be_written(storage: str, tmp_path: Path) -> None:
    odd = tmp_path / "a #1 100%.db"
    Path(storage.removeprefix("sqlite:///")).rename(odd)
    odd.chmod(0o444)
    assert len(read_optuna(f"sqlite:///{odd}").trials) == TRIALS + 1
    with closing(sqlite3.connect(odd)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_storage_whose_version_nobody_wrote_is_not_completed(storage: str) -> None:
    file = storage.removeprefix("sqlite:///")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DELETE FROM version_info")
    before = Path(file).read_bytes()
    with pytest.raises(ValueError, match="no Optuna storage that can be read"):
        read_optuna(storage)
    assert Path(file).read_bytes() == before


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return the file of a journal that holds one study."""
    path = tmp_path / "journal.log"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    study = optuna.create_study(storage=optuna.storages.JournalStorage(backend), study_name="rates")
    for number in range(3):
        study.add_trial(optuna.create_trial(value=80.0 + number, intermediate_values={0: 1.0}))
    return path


def test_a_journal_is_read_and_not_written(journal: Path) -> None:
    before = journal.read_bytes()
    for place in (str(journal), journal, f"journal:///{journal}"):
        assert read_optuna(place).trials["metric.value"].tolist() == [80, 81, 82]
    assert [journal.read_bytes(), [*journal.parent.iterdir()]] == [before, [journal]]


def test_the_last_line_of_a_journal_may_be_torn(journal: Path) -> None:
    content = journal.read_bytes()
    journal.write_bytes(content.rstrip()[:-5])
    assert len(read_optuna(journal).trials) == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"nonsense", "JSONDecodeError"),
        (b"[1]", "TypeError"),
        (b'{"op_code": 4}', "KeyError"),
        (b'{"op_code": 99, "worker_id": ""}', ""),
        (b"[" * 100_000, "RecursionError"),
    ],
)
def test_a_line_of_a_journal_that_is_none_is_named(journal: Path, line: bytes, told: str) -> None:
    first, *rest = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([first, line, *rest]))
    with pytest.raises(InputError) as error:
        read_optuna(journal)
    assert str(error.value).startswith(str(journal))
    assert f"no Optuna storage that can be read: {told}" in str(error.value)


def test_a_value_that_is_no_number_is_named_with_its_trial(journal: Path) -> None:
    content = journal.read_text()
    for wrong in ('"x"', "[1]", "{}"):
        journal.write_text(content.replace('"value":81.0', f'"value":{wrong}'))
        with pytest.raises(
            InputError, match=r"no Optuna storage that can be read|study .*: trial 1: .* must be a number; got"
        ):
            read_optuna(journal)
    journal.write_text(content.replace('"value":81.0', '"value":null'))
    assert read_optuna(journal).trials["status"].tolist() == ["complete", "failed", "complete"]
    journal.write_text(content.replace('"0":1.0', f'"{2**70}":1.0'))
    with pytest.raises(InputError, match="no Optuna storage that can be read"):
        read_optuna(journal)


def test_a_database_that_was_changed_by_hand_is_named(storage: str) -> None:
    file = storage.removeprefix("sqlite:///")
    for change in (
        "UPDATE trial_params SET distribution_json = '{'",
        "UPDATE trial_values SET value = 'x'",
        "UPDATE trials SET state = 'DONE'",
    ):
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(change)
        with pytest.raises(InputError, match=f"^{storage}: "):
            read_optuna(storage)


def test_a_study_without_trials_or_params_has_a_report(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    study = optuna.create_study(storage=url)
    assert read_optuna(url).trials.empty
    study.add_trials([optuna.create_trial(value=float(number)) for number in range(12)])
    paths = write_results(read_optuna(url), tmp_path / "out")
    assert not paths.unmade
    assert "slices" not in paths.figures


@pytest.mark.parametrize("place", ["", "nowhere", "sqlite://", "x://y", "journal:///", "sqlite:///."])
def test_what_is_no_storage_is_one_message(place: str) -> None:
    with pytest.raises(
        InputError, match=r"(?i)no Optuna storage that can be read|no such file|there is no file|is a directory"
    ):
        read_optuna(place)


def opened(url: str) -> str | optuna.storages.BaseStorage:
    """Return a storage as Optuna takes it: it knows no URL of a journal."""
    if not url.startswith("journal:///"):
        return url
    backend = optuna.storages.journal.JournalFileBackend(url.removeprefix("journal:///"))
    return optuna.storages.JournalStorage(backend)


def write_seeds(url: str) -> None:
    """Write a study of two objectives, whose params name method and seed, and whose attributes a test score."""
    study = optuna.create_study(storage=opened(url), study_name="seeds", directions=["maximize", "minimize"])
    domains = {
        "method": optuna.distributions.CategoricalDistribution(["none", "kd"]),
        "seed": optuna.distributions.IntDistribution(0, 9),
    }
    for method, gain in (("none", 0.0), ("kd", 2.0)):
        for seed, noise in enumerate((0.0, 1.0, 0.25)):
            score = 70 + seed + gain + (noise if gain else 0)
            study.add_trial(
                optuna.create_trial(
                    params={"method": method, "seed": seed},
                    distributions=domains,
                    values=[score, 3 - gain - noise],
                    user_attrs={"test": score + 1, "fold": "a"},
                )
            )


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_a_study_whose_params_name_arm_and_seed_is_a_comparison(tmp_path: Path, kind: str) -> None:
    url = f"{kind}:///{tmp_path}/study"
    write_seeds(url)
    first = read_optuna(url, metric="values_0", arm="method", baseline="none", delta=1.0)
    assert first.effects[["arm", "n_pairs", "effect"]].to_numpy().tolist() == [["kd", 3, pytest.approx(2 + 1.25 / 3)]]
    assert first.effects["delta"].tolist() == [1.0]
    assert first.leaderboard.empty
    second = read_optuna(url, metric="values_1", seed="seed", baseline="method=none")
    assert second.effects["arm"].tolist() == ["method=kd"]
    assert second.effects["effect"].tolist() == [-2.0]
    assert not second.facts.study.maximise
    tested = read_optuna(url, metric="test", arm="method", baseline="none", context="fold")
    assert tested.trials["metric.test"].tolist() == [71, 72, 73, 73, 75, 75.25]
    assert tested.contexts == ["a"]
    assert "arm: column method, seed: column seed, context: column fold, metric: column test" in methods_text(tested)
    with pytest.raises(InputError, match=r"no column is called 'net' \(--arm\); there are: .*, method, seed"):
        read_optuna(url, metric="values_0", arm="net")
    with pytest.raises(InputError, match="trial 0: 'fold' must be a number; got 'a'"):
        read_optuna(url, metric="fold", arm="method")
    study = optuna.load_study(study_name="seeds", storage=opened(url))
    study.add_trial(study.trials[0])
    with pytest.raises(InputError, match=r"arm 'none' has several rows at seed 0 \(trial 0, trial 6\)"):
        read_optuna(url, metric="values_0", arm="method", baseline="none")


def test_a_pruned_trial_says_after_which_step_whatever_number_is_compared(storage: str) -> None:
    study = optuna.load_study(study_name="rates", storage=storage)
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.PRUNED, intermediate_values={1: 50.0, 3: 51.0}, user_attrs={"top5": 70.0}
        )
    )
    last = read_optuna(storage, metric="top5", maximise=True).trials.iloc[-1]
    assert (last["status"], last["reason"]) == ("pruned", "pruned after step 3")
    assert math.isnan(last["metric.top5"])  # it has no value of its end
