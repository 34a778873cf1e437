"""A teacher that is run once: it gives the live teacher's features, and no file changes a result."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cktf.data import split
from cktf.models import build_model
from cktf.seeding import initialisation
from cktf.storage import Storage
from cktf.trainer.assembly import assemble
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.phases import LiveTeacher, live_teacher
from cktf.trainer.train import TrainOptions
from cktf.trial.held_data import held_dataset
from cktf.trial.run import run_trial
from cktf.trial.teacher_once import TeacherOnce, shared_teacher
from tests.kinds import MakeTrial
from tests.trainer.interrupted import figures, killed
from tests.two_workers import TwoWorkers

CPU = torch.device("cpu")
KD: dict[str, Any] = {"cross_entropy": {}, "kd": {}}
AUGMENTED = {"crop": 2, "flip": True}
AS_IT_IS = {"crop": 0, "flip": False}


@pytest.fixture(autouse=True)
def cache(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, in which the session's teachers are."""
    own = tmp_path / "cache"
    own.mkdir()
    (cache / "teachers").mkdir(exist_ok=True)
    (own / "teachers").symlink_to(cache / "teachers")
    monkeypatch.setenv("CKTF_CACHE", str(own))
    return own


def main_phase(config: TrialConfig, weights_seed: int = 0, num_workers: int = 1, once: bool = True) -> SimpleNamespace:
    """Return the parts of a trial's main phase, with a teacher that has learnt nothing and counts its passes."""
    dataset = held_dataset(config.data, CPU)
    parts = split(dataset.train_labels, config.data, config.seed)
    with initialisation(weights_seed, "teacher"):
        network = build_model("resnet8", 10, dataset.image_shape)
    network.requires_grad_(False).eval()
    phase = assemble(config, dataset, parts, network)[2][-1]
    seen = []
    network.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    bfloat16 = torch.autocast("cpu", torch.bfloat16, enabled=config.precision_on("cpu") == "bfloat16")
    loader = phase.loader(Workers(0, num_workers))
    teacher = (shared_teacher(config) if once else live_teacher)(phase, loader, bfloat16)
    return SimpleNamespace(teacher=teacher, loader=loader, seen=seen, phase=phase, network=network, autocast=bfloat16)


def values(parts: SimpleNamespace, epoch: int, teacher: Any = None) -> Any:
    """Return every reading of an epoch, batch by batch, as an objective reads it."""
    read = (teacher or parts.teacher).epoch(epoch)
    found = []
    for batch in parts.loader.epoch(epoch):
        with parts.autocast:
            seen = batch.images if batch.teacher_images is None else batch.teacher_images
            activations = read(seen.contiguous(memory_format=torch.channels_last), batch)
        found.append(
            [
                activations.readings.get(reading.name, None)
                if activations.readings
                else reading.compute(activations, batch)
                for reading in parts.phase.readings
            ]
        )
    return found


def files_in(cache: Path) -> list[Any]:
    return sorted(path.relative_to(cache).as_posix() for path in cache.rglob("*.float16"))


def assert_rounded(found: Any, expected: Any) -> None:
    for its, live in zip(found, expected, strict=True):
        for one, other in zip(its, live, strict=True):
            assert torch.equal(one, other.half().float())
            torch.testing.assert_close(one, other.float(), rtol=2**-11, atol=6e-8)


@pytest.mark.parametrize("objective", [KD, {"cross_entropy": {}, "kd": {}, "cktf": {"negatives": 8}}])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_values_are_the_live_teacher_s_on_exactly_the_augmented_batch(
    tiny: MakeTrial, objective: Any, precision: str
) -> None:
    config = tiny(objective=objective, augmentation=AUGMENTED, precision=precision)
    cold, warm = main_phase(config), main_phase(config)
    live = main_phase(config, once=False)
    whole = LiveTeacher(live.network)
    for epoch in (1, 2):
        expected = values(live, epoch, whole)
        assert_rounded(values(cold, epoch), expected)
        assert_rounded(values(warm, epoch), expected)
        # An epoch later the same samples are cropped and flipped otherwise: by sample, their values are others.
        others = [live.loader.epoch(epoch + 1), live.loader.epoch(epoch)]
        ours, theirs = (torch.cat([batch.index for batch in batches]).argsort() for batches in others)
        later = torch.cat([batch[0] for batch in values(live, epoch + 1)])[ours]
        assert (later - torch.cat([batch[0] for batch in expected])[theirs]).abs().amax(1).median() > 1e-3
    assert not warm.seen, "all was there"
    assert sum(cold.seen) == 2 * len(cold.loader.rows)


def test_mixed_images_and_views_of_the_teacher_s_own_are_shared_too(tiny: MakeTrial) -> None:
    augmentation = {**AUGMENTED, "trivial_augment": {}, "random_erasing": {}, "mixup": 0.5, "cutmix": 1.0}
    found = {}
    for view in ("same", "own"):
        config = tiny(objective=KD, augmentation=augmentation, teacher_view=view)
        once, live = main_phase(config), main_phase(config, once=False)
        expected = values(live, 2, LiveTeacher(live.network))
        assert_rounded(values(once, 2), expected)
        warm = main_phase(config)
        assert_rounded(values(warm, 2), expected)
        assert not warm.seen, "all was there"
        found[view] = once.teacher.folder
    assert found["same"] != found["own"]


@pytest.mark.parametrize("objective", [KD, {"cross_entropy": {}, "kd": {}, "cktf": {"negatives": 8}}])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_of_a_live_teacher_only_what_is_read_is_kept(tiny: MakeTrial, objective: Any, precision: str) -> None:
    config = tiny(objective=objective, augmentation=AUGMENTED, precision=precision)
    live = main_phase(config, once=False)
    batch = next(iter(live.loader.epoch(1)))
    with live.autocast:
        kept = live.teacher.epoch(1)(batch.images, batch)
    assert not hasattr(kept, "stages")
    assert not hasattr(kept, "stem")
    for its, all_of_it in zip(values(live, 1), values(live, 1, LiveTeacher(live.network)), strict=True):
        for one, other in zip(its, all_of_it, strict=True):
            assert torch.equal(one, other)


def test_a_student_learns_the_same_of_what_is_kept_as_of_all(tiny: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(objective={"cross_entropy": {}, "kd": {}, "cktf": {"negatives": 8}}, epochs=2)
    losses = [result.terms for result in run_trial(config)]
    monkeypatch.setattr("cktf.trial.run.live_teacher", lambda phase, *_, **__: LiveTeacher(phase.teacher))
    assert [result.terms for result in run_trial(config)] == losses


def test_whatever_decides_the_values_is_in_the_name_of_their_files(
    tiny: MakeTrial, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny(objective=KD, augmentation=AUGMENTED)

    def folder(config: TrialConfig, **options: Any) -> Any:
        return main_phase(config, **options).teacher.folder

    names = [
        folder(base),
        folder(base, weights_seed=1),
        folder(base.with_seed(1)),
        folder(tiny(objective=KD, augmentation={**AUGMENTED, "flip": False})),
        folder(tiny(objective=KD, augmentation={**AUGMENTED, "crop": 1})),
        folder(tiny(objective=KD, augmentation={**AUGMENTED, "mixup": 0.2})),
        folder(tiny(objective=KD, augmentation={**AUGMENTED, "rand_augment": {"magnitude": 3}})),
        folder(tiny(objective=KD, augmentation=AUGMENTED, teacher_view="own")),
        folder(tiny(objective=KD, augmentation=AUGMENTED, batch_size=32)),
        folder(tiny(objective=KD, augmentation=AUGMENTED, precision="bfloat16")),
        folder(tiny(objective=KD, augmentation=AUGMENTED, data={"name": "digits", "train_fraction": 0.3})),
        folder(tiny(objective=KD, augmentation=AUGMENTED, data={"name": "digits", "side": 12})),
    ]
    assert len(set(names)) == len(names)
    monkeypatch.setattr("platform.node", lambda: "another")
    names.append(folder(base))
    assert len(set(names)) == len(names)
    monkeypatch.undo()
    # Settings that only the student reads leave the folder as it is.
    other = {"student": {"model": "resnet14"}, "optimizer": {"learning_rate": 0.01}, "epochs": 5}
    monkeypatch.setenv("CKTF_CACHE", str(cache))
    assert folder(tiny(objective={"kd": {"temperature": 2}}, augmentation=AUGMENTED, **other)) == names[0]


def test_the_same_samples_in_another_order_or_changed_have_other_files(tiny: MakeTrial) -> None:
    config = tiny(objective=KD, augmentation=AUGMENTED)
    parts = main_phase(config)
    reordered = replace(parts.phase, seed=1)
    loader = reordered.loader(Workers())
    assert torch.equal(loader.rows, parts.loader.rows)
    other = shared_teacher(config)(reordered, loader, parts.autocast)
    assert isinstance(other, TeacherOnce)
    assert other.folder != parts.teacher.folder
    dataset = parts.loader.dataset
    changed = dataset.train_images.clone()
    changed[7, 0, 3, 3] += 1
    phase = replace(parts.phase, samples=replace(parts.phase.samples, dataset=replace(dataset, train_images=changed)))
    loader = phase.loader(Workers())
    other = shared_teacher(config)(phase, loader, parts.autocast)
    assert isinstance(other, TeacherOnce)
    assert other.folder != parts.teacher.folder


def test_each_arm_runs_the_teacher_for_what_no_other_has_read(tiny: MakeTrial, cache: Path) -> None:
    def passes(objective: dict[str, Any], epoch: int = 1) -> Any:
        parts = main_phase(tiny(objective=objective, augmentation=AUGMENTED))
        values(parts, epoch)
        return len(parts.seen) / len(parts.loader)

    cktf = {"negatives": 8}
    assert passes({"kd": {}, "cktf": cktf}) == 1
    assert len(files_in(cache)) == 6, "logits, stem, three stages, penultimate"
    assert passes({"kd": {}}) == passes({"crd": cktf}) == passes({"rkd": {}}) == 0
    assert passes({"cktf": {**cktf, "temperature": 0.2, "theta": 0.5}}) == 0
    assert passes({"cktf": {**cktf, "normalize": "none"}}) == 1
    assert len(files_in(cache)) == 9, "the stages, not normalised"
    assert passes({"kd": {}}, epoch=2) == 1


def test_without_augmentation_one_pass_over_all_images_does_for_all_seeds_and_epochs(
    tiny: MakeTrial, cache: Path
) -> None:
    seen = 0
    for seed in (0, 1):
        half = {"name": "digits", "train_fraction": 0.5}
        config = tiny(objective=KD, augmentation=AS_IT_IS, epochs=5, data=half).with_seed(seed)
        parts, live = main_phase(config), main_phase(config, once=False)
        for epoch in (1, 2):
            for found, expected in zip(values(parts, epoch), values(live, epoch), strict=True):
                torch.testing.assert_close(found[0], expected[0], rtol=2**-10, atol=1e-6)
        seen += sum(parts.seen)
    assert seen == len(parts.loader.dataset.train_images)
    assert len(files_in(cache)) == 1


def test_a_small_part_of_the_data_does_not_pay_for_a_pass_over_all(tiny: MakeTrial) -> None:
    tenth = {"name": "digits", "train_fraction": 0.1}
    config = tiny(objective=KD, augmentation=AS_IT_IS, epochs=2, data=tenth)
    parts = main_phase(config)
    assert_rounded(values(parts, 1), values(main_phase(config, once=False), 1))
    assert sum(parts.seen) == len(parts.loader.rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": {"kd": {}, "at": {}}},
        {"objective": {"cktf": {"negatives": 8, "pairing": "largest"}}, "teacher": {"model": "resnet14"}},
        {"data": {"name": "digits", "generated": True}},
    ],
)
def test_where_it_cannot_pay_the_teacher_runs_live(tiny: MakeTrial, changes: dict[str, Any]) -> None:
    config = tiny(**{"objective": KD, **changes})
    if "teacher" in changes:
        dataset = held_dataset(config.data, CPU)
        parts = split(dataset.train_labels, config.data, config.seed)
        network = build_model("resnet14", 10, dataset.image_shape).eval()
        phase = assemble(config, dataset, parts, network)[2][-1]
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=False)
        teacher = shared_teacher(config)(phase, phase.loader(Workers()), autocast)
    else:
        teacher = main_phase(config).teacher
    assert isinstance(teacher, LiveTeacher)


def test_on_several_workers_the_teacher_runs_live(tiny: MakeTrial) -> None:
    assert isinstance(main_phase(tiny(objective=KD), num_workers=2).teacher, LiveTeacher)


def test_epochs_that_do_not_fit_within_the_limit_are_not_begun(
    tiny: MakeTrial, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tiny(objective=KD, augmentation=AUGMENTED, epochs=3)
    live = main_phase(config, once=False)
    size = 2 * 10 * len(live.loader.rows)
    for room, num_files in ((3 * size, 3), (3 * size - 1, 2), (size - 1, 0)):
        monkeypatch.setenv("CKTF_CACHE_GB", str(room / 1e9))
        shutil.rmtree(cache / "readings", ignore_errors=True)
        caplog.clear()
        for _ in range(2):
            parts = main_phase(config)
            for epoch in (1, 2, 3):
                found, expected = values(parts, epoch), values(live, epoch)
                if epoch <= num_files:
                    assert_rounded(found, expected)
                else:
                    assert all(torch.equal(one[0], other[0]) for one, other in zip(found, expected, strict=True))
        assert len(files_in(cache)) == num_files
        assert sum(parts.seen) == (3 - num_files) * len(parts.loader.rows), "what fits is there, the rest is live"
        warned = f"the teacher runs live after epoch {num_files} of 3: what is read of it in one takes"
        assert (warned in caplog.text) == (num_files < 3)


def test_values_that_float16_cannot_hold_are_the_live_teacher_s_cold_and_warm(tiny: MakeTrial) -> None:
    config = tiny(objective=KD, augmentation=AUGMENTED)
    live = main_phase(config, once=False)
    for attempt in ("cold", "warm"):
        parts = main_phase(config)
        for some in (parts, live):
            some.network.fc.weight.fill_(0.0)
            some.network.fc.bias.fill_(1e6)
        # The weights have changed, and with them the name of the files.
        teacher = shared_teacher(config)(parts.phase, parts.loader, parts.autocast)
        for found, expected in zip(values(parts, 1, teacher), values(live, 1), strict=True):
            assert torch.equal(found[0], expected[0]), attempt


def _in_a_process(rank: int, folder: Path, config_json: str) -> None:
    torch.set_num_threads(1)
    config = TrialConfig.model_validate_json(config_json)
    parts = main_phase(config)
    (folder / f"ready{rank}").touch()
    while not (folder / f"ready{1 - rank}").exists():
        pass
    found = [values(parts, epoch) for epoch in (1, 2)]
    torch.save({"found": found, "seen": sum(parts.seen)}, folder / f"{rank}.pt")


def test_two_processes_at_once_run_the_teacher_once_and_read_the_same(
    tiny: MakeTrial, run_in_two_workers: TwoWorkers, tmp_path: Path
) -> None:
    config = tiny(objective={"kd": {}, "crd": {"negatives": 8}}, augmentation=AUGMENTED)
    run_in_two_workers(_in_a_process, tmp_path, config.model_dump_json(), as_group=False)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    samples = len(main_phase(config).loader.rows)
    assert one["seen"] + other["seen"] == 2 * samples
    for mine, its in zip(one["found"], other["found"], strict=True):
        assert all(torch.equal(a, b) for x, y in zip(mine, its, strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize(
    "changes",
    [
        {"augmentation": AUGMENTED, "objective": {"cross_entropy": {}, "kd": {}, "cktf": {"negatives": 32}}},
        {"augmentation": AS_IT_IS, "objective": KD, "data": {"name": "digits", "train_fraction": 0.6}},
    ],
)
def test_a_trial_s_numbers_do_not_depend_on_what_was_there(
    tiny: MakeTrial, cache: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = tiny(**changes, epochs=2)
    live = figures(run_trial(config))
    cold = figures(run_trial(config, TrainOptions(teacher_once=True)))
    written = files_in(cache)
    warm = figures(run_trial(config, TrainOptions(teacher_once=True)))
    assert warm == cold
    assert files_in(cache) == written
    assert written

    # Interrupted, and taken up where the files are gone.
    run = Storage(tmp_path / "run")
    killed(config, run, teacher_once=True)
    shutil.rmtree(cache / "readings")
    assert figures(run_trial(config, TrainOptions(teacher_once=True), run=run)) == cold

    # Where nothing can be written.
    shutil.rmtree(cache / "readings")
    (cache / "readings").write_text("no folder")
    assert figures(run_trial(config, TrainOptions(teacher_once=True))) == cold

    assert live != cold
    for ours, theirs in zip(cold, live, strict=True):  # what was rounded grows from step to step
        for name in ("train_loss", "validation_loss"):
            assert ours[name] == pytest.approx(theirs[name], rel=2e-2)


def test_an_arm_that_reads_maps_learns_the_same_with_and_without(tiny: MakeTrial, cache: Path) -> None:
    config = tiny(objective={"cross_entropy": {}, "at": {}}, epochs=1)
    assert figures(run_trial(config, TrainOptions(teacher_once=True))) == figures(run_trial(config))
    assert not files_in(cache)
