"""The health of a distillation: what is measured, and that measuring changes nothing."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from cktf.batch import Batch
from cktf.data import evaluation_batches, split
from cktf.epoch_result import EpochResult
from cktf.measures.predictions import agreement
from cktf.models import build_model, measure_shapes
from cktf.objectives.kd import softened_divergence
from cktf.seeding import initialisation
from cktf.storage import Storage
from cktf.trainer.assembly import assemble
from cktf.trainer.config import TrialConfig
from cktf.trainer.distributed import Workers
from cktf.trainer.health import Health, HealthConfig, layer_pairs, linear_cka
from cktf.trainer.train import TrainOptions
from cktf.trial.held_data import held_dataset
from cktf.trial.run import run_trial
from tests.kinds import MakeTrial
from tests.trainer.interrupted import figures, killed
from tests.two_workers import TwoWorkers

CPU = torch.device("cpu")
ALWAYS = HealthConfig(every=1)


def trained(results: Iterable[EpochResult]) -> tuple[Any, ...]:
    """All of the results that the same training must repeat, and what was measured beside it."""
    rows = figures(results)
    return rows, [row.pop("health") for row in rows]


def built(config: TrialConfig) -> tuple[Any, ...]:
    """Return a trial's main phase with an untrained teacher, its `Health`, and its parts."""
    dataset = held_dataset(config.data, CPU)
    parts = split(dataset.train_labels, config.data, config.seed)
    with initialisation(1, "teacher"):
        teacher = build_model("resnet14", 10, dataset.image_shape)
    teacher.requires_grad_(False).eval()
    _, objective, phases = assemble(config, dataset, parts, teacher)
    health = Health(ALWAYS, phases[-1], config, objective, teacher, dataset, parts)
    return phases[-1], health, teacher, dataset, parts


@pytest.mark.parametrize(
    "changes",
    [
        {"objective": {"cross_entropy": {}, "kd": {}, "cktf": {"negatives": 32}}},
        {"objective": {"cross_entropy": {}, "crd": {"negatives": 32, "source": "queue"}}},
        {"objective": {"kd": {}, "cktf": {"negatives": 16, "source": "batch", "pairing": "random"}}},
        {"objective": {"cross_entropy": {}, "ft": {"initial_epochs": 1}}},
        {"objective": {"cross_entropy": {}}},
        {"objective": {"cross_entropy": {}, "kd": {}}, "precision": "bfloat16"},
    ],
)
def test_a_trial_learns_the_same_bit_for_bit_whether_it_is_measured_or_not(
    tiny: MakeTrial, changes: dict[str, Any]
) -> None:
    config = tiny(epochs=2, **changes)
    alone, nothing = trained(run_trial(config))
    beside, measured = trained(run_trial(config, TrainOptions(health=ALWAYS)))
    assert beside == alone
    assert not any(nothing)
    assert all({"agreement", "kl", "cka.penultimate"} <= numbers.keys() for numbers in measured[-2:])
    assert not any(measured[:-2]), "an initial phase is not measured"
    terms = {f"gradient.{name}" for name in alone[-1]["terms"]}
    assert terms == {name for name in measured[-1] if name.startswith("gradient.")}


def test_a_measured_trial_that_is_resumed_is_bit_equal_to_one_that_was_not_interrupted(
    tiny: MakeTrial, tmp_path: Path
) -> None:
    config = tiny()
    whole = trained(run_trial(config, TrainOptions(health=ALWAYS)))
    run = Storage(tmp_path / "run")
    killed(config, run, health=ALWAYS)
    assert trained(run_trial(config, TrainOptions(health=ALWAYS), run=run)) == whole
    assert trained(run_trial(config, run=run)) == whole, "what was measured is in the checkpoint"


def test_measuring_neither_reads_nor_moves_global_randomness(tiny: MakeTrial) -> None:
    config = tiny(epochs=1)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    found = trained(run_trial(config, TrainOptions(health=ALWAYS)))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    assert trained(run_trial(config, TrainOptions(health=ALWAYS))) == found


def test_every_so_many_epochs_and_the_last_are_measured(tiny: MakeTrial) -> None:
    results = list(run_trial(tiny(epochs=5, objective={"kd": {}}), TrainOptions(health=HealthConfig(every=2))))
    assert [bool(result.health) for result in results] == [False, True, False, True, True]
    with pytest.raises(ValidationError, match="every"):
        HealthConfig(every=0)


def test_without_a_teacher_the_gradients_are_measured_alone(tiny: MakeTrial) -> None:
    (result,) = run_trial(tiny(epochs=1, objective={"cross_entropy": {}}, teacher=None), TrainOptions(health=ALWAYS))
    assert set(result.health) == {"gradient.cross_entropy.logits"}


def test_answers_and_layers_are_compared_over_the_whole_validation_split(tiny: MakeTrial) -> None:
    phase, health, teacher, dataset, parts = built(tiny(batch_size=40))
    phase.student.train()
    buffers = [buffer.clone() for buffer in phase.student.buffers()]
    found = health.on_validation()
    assert phase.student.training
    assert all(torch.equal(*both) for both in zip(buffers, phase.student.buffers(), strict=True))

    phase.student.eval()
    images = torch.cat([images for images, _ in evaluation_batches(dataset, parts.validation_index)])
    with torch.no_grad():
        ours, theirs = phase.student(images), teacher(images)
    kl = softened_divergence(ours.logits, theirs.logits, temperature=1.0)
    expected = {"agreement": agreement(ours.logits, theirs.logits), "kl": kl}
    pairs = {f"stage{n}": (ours.stages[n - 1][-1], theirs.stages[n - 1][-1]) for n in (1, 2, 3)}
    pairs["stem"] = ours.stem, theirs.stem
    for name, (one, other) in pairs.items():
        expected[f"cka.{name}"] = linear_cka(one.mean(dim=(2, 3)), other.mean(dim=(2, 3)))
    expected["cka.penultimate"] = linear_cka(ours.penultimate, theirs.penultimate)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value.item(), rel=1e-4), name
    assert {name for name in found if name.partition(".")[0] in ("agreement", "kl", "cka")} == set(expected)


@pytest.mark.parametrize("pairing", ["last", "largest"])
def test_measured_again_the_numbers_are_the_same_until_the_student_changes(tiny: MakeTrial, pairing: str) -> None:
    objective = {"kd": {}, "cktf": {"negatives": 8, "pairing": pairing}}
    phase, health, *_ = built(tiny(objective=objective))
    first = health.on_validation()
    assert health.on_validation() == first
    with torch.no_grad():
        for parameter in phase.student.parameters():
            parameter *= 1.1
    assert health.on_validation() != first


def test_what_an_objective_tells_is_the_mean_over_batches_as_large_as_in_training(tiny: MakeTrial) -> None:
    _, health, teacher, dataset, parts = built(tiny(batch_size=50))
    health.student.eval()
    expected: dict[str, float] = {}
    count = 0
    batches = evaluation_batches(dataset, parts.validation_index, batch_size=50)
    with torch.no_grad():
        for images, labels in batches:
            index = torch.arange(10_000, 10_000 + len(labels))
            batch = Batch(images, labels, index, step=0)
            numbers = health.objective.health(health.student(images), teacher(images), batch)
            for name, value in numbers.items():
                expected[name] = expected.get(name, 0.0) + value.item() * len(labels)
            count += len(labels)
    found = health.on_validation()
    assert len(expected) == 40
    for name, total in expected.items():
        assert found[name] == pytest.approx(total / count, rel=1e-3, abs=1e-5), name


def step(config: TrialConfig, workers: Workers) -> tuple[Any, ...]:
    """Return a trial's `Health`, and one training step's loss, terms and share."""
    phase, health, teacher, *_ = built(config)
    batch = next(iter(phase.loader(workers).epoch(1)))
    phase.student.train()
    with torch.no_grad():
        its = teacher(batch.images)
    loss, terms = phase.loss(phase.student(batch.images), its, batch)
    return health, loss, terms, batch.share


def test_the_norm_of_a_term_s_gradient_is_that_of_a_backward_of_its_own(tiny: MakeTrial) -> None:
    config = tiny(objective={"cross_entropy": {}, "kd": {"weight": 0.5}, "cktf": {"weight": 2, "negatives": 8}})
    health, loss, terms, share = step(config, Workers())
    found = health.gradient_norms(terms, share, Workers())
    assert all(parameter.grad is None for parameter in health.student.parameters())
    weights = {"cross_entropy.logits": 1.0, "kd.logits": 0.5, "cktf.penultimate": 1.6, "cktf.stage2": 0.2}
    for name, weight in weights.items():
        separate, _, its_terms, _ = step(config, Workers())
        (weight * its_terms[name]).backward()
        squares = [p.grad.square().sum() for p in separate.student.parameters() if p.grad is not None]
        assert found[f"gradient.{name}"] == pytest.approx(sum(squares).sqrt().item(), rel=1e-4), name
    loss.backward()  # the step's own, in the same graph


def test_the_gradient_norm_of_one_weight_by_hand(tiny: MakeTrial) -> None:
    # A student w * x with the term w^2 and factor 1: the gradient at w = 3 is 6.
    _, health, *_ = built(tiny(objective={"cross_entropy": {}}))
    health.student = nn.Linear(1, 1, bias=False)
    nn.init.constant_(health.student.weight, 3.0)
    terms = {"cross_entropy.logits": health.student.weight.square().sum()}
    assert health.gradient_norms(terms, 1.0, Workers()) == {"gradient.cross_entropy.logits": 6.0}


def test_a_compiled_student_has_no_gradients_of_terms(tiny: MakeTrial) -> None:
    # Its graph serves the step's own backward, and no other.
    _, health, *_ = built(tiny(objective={"cross_entropy": {}}, compile=True))
    term = next(health.student.parameters()).square().sum()
    assert health.gradient_norms({"cross_entropy.logits": term}, 1.0, Workers()) == {}


def on_validation(config: TrialConfig) -> Any:
    _, health, *_ = built(config)
    return health.on_validation()


def _worker(rank: int, folder: Path, of_step: Any, of_trial: Any, *of_splits: Any) -> None:
    torch.set_num_threads(1)
    workers = Workers.current()
    health, _, terms, share = step(TrialConfig.model_validate_json(of_step), workers)
    config = TrialConfig.model_validate_json(of_trial)
    alone, beside = trained(run_trial(config)), trained(run_trial(config, TrainOptions(health=ALWAYS)))
    splits = [on_validation(TrialConfig.model_validate_json(text)) for text in of_splits]
    torch.save((health.gradient_norms(terms, share, workers), alone, beside, splits), f"{folder}/{rank}.pt")


def test_two_workers_measure_the_same_split_and_their_gradients_add_up(
    tiny: MakeTrial, run_in_two_workers: TwoWorkers, tmp_path: Path
) -> None:
    config = tiny(objective={"cross_entropy": {}, "kd": {}}, epochs=1)
    banks = tiny(objective={"cross_entropy": {}, "crd": {"negatives": 8}}, epochs=1)
    list(run_trial(config))  # the teacher is there
    normalised = {"negatives": 8}
    of_batch = {"negatives": 8, "source": "batch", "transform": "similarity", "head": "pad"}
    splits = [tiny(objective={"cktf": cktf}) for cktf in (normalised, of_batch)]
    configs = [each.model_dump_json() for each in (config, banks, *splits)]
    run_in_two_workers(_worker, tmp_path, *configs)
    workers = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    norms, alone, beside, measured = workers[0]
    assert norms == workers[1][0]
    assert beside[0] == alone[0]
    assert beside[1] == workers[1][2][1]
    assert "gap.crd.penultimate.student" in beside[1][0]

    assert measured == workers[1][3]
    for its_config, found in zip(splits, measured, strict=True):
        assert any(name.startswith("gap.cktf.stage1") for name in found)
        assert found == pytest.approx(on_validation(its_config), rel=1e-4, abs=1e-6)

    shards = [step(config, Workers(rank, 2)) for rank in range(2)]
    for name in ("cross_entropy.logits", "kd.logits"):
        total = torch.zeros(())
        for health, _, terms, share in shards:
            health.student.zero_grad()
            (terms[name] * share).backward(retain_graph=True)
            total = total + torch.cat([p.grad.flatten() for p in health.student.parameters()])
        assert norms[f"gradient.{name}"] == pytest.approx(total.norm().item(), rel=1e-4)


def test_networks_of_unequal_depth_share_their_ends_and_what_is_matched_by_hand() -> None:
    image = torch.Size([1, 8, 8])
    ours, theirs = (measure_shapes(build_model(name, 10, image), image) for name in ("resnet8", "vgg8"))
    assert layer_pairs(ours, theirs, [("stage1", "stage2.0")]) == {
        "stem": ("stem", "stem"),
        "penultimate": ("penultimate", "penultimate"),
        "stage1-stage2_0": ("stage1", "stage2.0"),
    }


@pytest.fixture
def sides() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(9, 4, generator=generator), torch.randn(9, 6, generator=generator)


def hsic(one: Tensor, other: Tensor) -> Any:
    """Hilbert-Schmidt independence criterion of two matrices of products of samples, but for its constant factor."""
    n = len(one)
    centring = torch.eye(n, dtype=one.dtype) - torch.full((n, n), 1 / n, dtype=one.dtype)
    return torch.trace(one @ centring @ other @ centring)


def test_linear_cka_is_the_normalised_hsic_of_its_definition(sides: tuple[Tensor, Tensor]) -> None:
    ours, theirs = (side.double() + 3 for side in sides)
    kernels = ours @ ours.T, theirs @ theirs.T
    expected = hsic(*kernels) / (hsic(kernels[0], kernels[0]) * hsic(kernels[1], kernels[1])).sqrt()
    torch.testing.assert_close(linear_cka(ours, theirs), expected)


def test_linear_cka_of_three_samples_by_hand() -> None:
    # Centred: x = (-1, 0, 1) and y = (-1, 1, 0); so (x.y)^2 / (x.x y.y) = 1 / 4.
    found = linear_cka(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.0], [2.0], [1.0]]))
    assert found.item() == pytest.approx(0.25)


def test_linear_cka_sees_neither_rotation_nor_scale_nor_shift(sides: tuple[Tensor, Tensor]) -> None:
    ours, theirs = sides
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1))).Q
    found = linear_cka(ours, theirs)
    assert 0 < found < 1
    torch.testing.assert_close(linear_cka(7 * ours @ rotation - 2, theirs), found, rtol=1e-5, atol=0)
    assert linear_cka(ours, ours @ rotation).item() == pytest.approx(1)
    assert linear_cka(ours, torch.ones(9, 2)).isnan()
