"""Six SGD steps of the published code, taken by the phases that trials are made of, from the same start.

`trajectories.json`, in ``tests/golden`` or the folder that CKTF_GOLDEN names, holds numbers alone: for each case its
settings, what the losses of the steps are, and what they change. All that a case begins with is given by formulas,
which are those of `wave`, `fill`, `images_of`, `samples_of_step` and `negatives_of`. Sizes, salts and cases are read
from the file.

A case that differs in float32 is taken again with its student in float64, all else in float32 as in every trial. The
published numbers are of float32, and agree with float64 within the noise that the file tells; but where a ReLU reads a
number near 0, another processor's float32 turns the direction of an update by more than that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cktf.batch import Activations, Batch
from cktf.data import Augmentation, Dataset, Split
from cktf.models import build_model
from cktf.objectives import OBJECTIVES, WeightedSum
from cktf.objectives.contrastive import representations
from cktf.objectives.contrastive.banks import MemoryBank
from cktf.objectives.contrastive.cktf import CKTF
from cktf.objectives.contrastive.crd import CRD
from cktf.objectives.contrastive.negatives import Negatives
from cktf.objectives.contrastive.pair import ContrastivePair
from cktf.objectives.contrastive.representations import drawn_block, most_similar
from cktf.objectives.ft import FT
from cktf.trainer.assembly import assemble
from cktf.trainer.config import TrialConfig
from cktf.trainer.optimizer import build_optimizer, learning_rate
from cktf.trainer.phases import MAIN, LiveTeacher, Phase
from tests.objectives.contrastive.one_side import pair_of
from tests.trainer.formulas import (
    COMMON,
    FILE,
    FOLDER,
    SALTS,
    TOLD,
    fill,
    fill_network,
    images_of,
    negatives_of,
    samples_of_step,
    statistics_of,
    wave,
    wave_like,
    with_kind,
)

RELATIVE = 1e-4

LARGE = {"cktf_resnet50": 2, "cktf_vgg64": 2}
"""Large case to the number of its steps that are taken, because all six take half a minute."""


SIDES = ("student", "teacher")


class GivenNegatives(nn.Module):
    """The negatives of the file, in the place of those that a trial draws."""

    def forward(self, batch: Batch) -> Negatives:
        weights = torch.zeros(len(batch.index), COMMON["N"])
        for row, anchor in enumerate(batch.index.tolist()):
            for negative in negatives_of(anchor, batch.step):
                weights[row, negative] += 1
        return Negatives(weights, count=COMMON["K"], distinct=bool(weights.max() == 1))


def objectives_of(settings: dict[str, Any], stages: int) -> dict[str, Any]:
    """Return the study's settings of a case's objectives."""
    method, beta = settings["method"], settings.get("beta", 0)
    if method not in OBJECTIVES:
        pytest.fail(f"the method {method!r} is none of {', '.join(OBJECTIVES)}, so its trajectory cannot be taken")
    contrast = {
        "temperature": COMMON["tau"],
        "negatives": COMMON["K"],
        "dim": COMMON["dim"],
        "momentum": COMMON["bank_momentum"],
    }
    own: dict[str, dict[str, Any]] = {
        "cktf": {**contrast, "beta": beta, "theta": settings.get("theta"), "pairing": settings.get("pairing")},
        "crd": {**contrast, "weight": beta},
        "cc": {"weight": beta, "dim": COMMON["dim"]},
    }
    chosen: dict[str, Any] = {"cross_entropy": {"weight": settings.get("gamma", 1)}}
    if settings["phase"] == "initial":
        chosen[method] = {"initial_learning_rate": settings["learning_rate"], "initial_epochs": 1}
        if method == "ab":
            # The published code has no preactivations of a VGG: it gives what is behind the ReLU.
            is_vgg = settings["student"].startswith("vgg")
            chosen[method]["maps"] = "activation" if is_vgg else "preactivation"
    elif method != "kd" and beta > 0:
        chosen[method] = own.get(method, {"weight": beta})
    if settings.get("alpha", 0) > 0:
        chosen["kd"] = {"weight": settings["alpha"], "temperature": COMMON["kd_temperature"]}
    second = settings.get("second")
    if second not in (None, "cktf"):
        pytest.fail(f"the second objective {second!r} is not cktf, so its trajectory cannot be taken")
    if second:
        chosen["cktf"] = {**contrast, "weight": settings["second_weight"], **second_pairs(settings, stages)}
    return chosen


def second_pairs(settings: dict[str, Any], stages: int) -> dict[str, Any]:
    """Return the pairs of CKTF as a second objective: the published loop leaves the fourth stage out."""
    if stages < 4:
        return {"beta": 1, "theta": 1, "pairing": settings["pairing"]}
    blocks = {"last": "", "first": ".0"}
    if settings["pairing"] not in blocks:
        pytest.fail(f"pairs without the fourth stage are named by hand: last or first, not {settings['pairing']}")
    named = [f"stage{number}" for number in range(1, 4)]
    pairs = [("stem", "stem"), *((name, name + blocks[settings["pairing"]]) for name in named)]
    pairs.append(("penultimate", "penultimate"))
    return {"pairs": [{"student": ours, "teacher": theirs} for ours, theirs in pairs]}


@dataclass
class Start:
    """A case at its start: what is trained, and the tensors of each group that the file describes.

    Attributes:
        phase: The phase that takes the steps.
        teacher: The frozen network, which other cases have, too.
        objective: The sum of objectives.
        contrasts: Number of a pair in the published list to the pair, of CRD or CKTF.
        num_pairs: How many there are in that list.
        groups: Name to tensors, in the order in which the file puts them one after the other.
    """

    phase: Phase
    teacher: "SharedTeacher"
    objective: WeightedSum
    contrasts: dict[int, ContrastivePair]
    num_pairs: int
    groups: dict[str, list[Tensor]] = field(default_factory=dict)


class SharedTeacher(nn.Module):
    """A frozen network that is filled once, and run once on each step's images, for all cases that have it."""

    def __init__(self, model: str, gain: float, side: int) -> None:
        super().__init__()
        self.network = build_model(model, COMMON["classes"], (3, side, side))
        fill_network(self.network, "teacher", gain)
        self.network.requires_grad_(False).eval()
        self.stages = len(self.network(torch.zeros(1, 3, side, side)).stages)
        values: dict[str, list[Tensor]] = {
            "teacher": [*self.network.parameters()],
            "teacher_statistics": statistics_of(self.network),
        }
        self.told = {group: norm_and_dot(flat(tensors)) for group, tensors in values.items()}
        self.seen: dict[int, Activations] = {}
        self.step = 0

    def forward(self, images: Tensor) -> Activations:
        """Return what the network computes in float32, in the precision of the images."""
        if self.step not in self.seen:
            self.seen[self.step] = self.network(images.float())
        found, dtype = self.seen[self.step], images.dtype
        assert found.pooled is None
        return replace(
            found,
            logits=found.logits.to(dtype),
            penultimate=found.penultimate.to(dtype),
            stem=found.stem.to(dtype),
            stages=tuple(tuple(block.to(dtype) for block in blocks) for blocks in found.stages),
            preactivations=tuple(values.to(dtype) for values in found.preactivations),
        )


@lru_cache(maxsize=1)  # the cases stand in an order in which this is enough
def teacher_of(model: str, gain: float, side: int, images_salt: int) -> SharedTeacher:  # noqa: ARG001  # of the images
    return SharedTeacher(model, gain, side)


def start_of(case: dict[str, Any], precision: torch.dtype) -> Start:
    """Build a case from a trial's configuration, as the training loop does, and fill it by the formulas."""
    settings = case["settings"]
    side, gains = settings["side"], settings["gains"]
    labels = torch.arange(COMMON["N"]) % COMMON["classes"]
    blank = torch.zeros(COMMON["N"], 3, side, side, dtype=torch.uint8)
    constants = torch.zeros(3), torch.ones(3)
    dataset = Dataset(blank, labels, blank, labels, COMMON["classes"], *constants, Augmentation(0, flip=False))
    teacher = teacher_of(settings["teacher"], gains["teacher"], side, settings["images_salt"])
    config = TrialConfig.model_validate(
        {
            "data": {"name": "cifar10", "side": side},
            "teacher": {"model": settings["teacher"]},
            "student": {"model": settings["student"]},
            "objective": objectives_of(settings, teacher.stages),
            "optimizer": {
                "learning_rate": settings["learning_rate"],
                "momentum": COMMON["momentum"],
                "weight_decay": COMMON["weight_decay"],
                "schedule": "constant",
            },
            "epochs": 1,
            "batch_size": COMMON["batch"],
            "precision": "float32",
        }
    )
    every = torch.arange(COMMON["N"])
    student, objective, phases = assemble(config, dataset, Split(every, every[:0]), teacher.network)
    fill_network(student, "student", gains["student"])
    is_main = settings["phase"] == "main"
    phase = next(phase for phase in phases if (phase.name in MAIN.values()) == is_main)

    student.to(precision)
    start = Start(phase, teacher, objective, *contrasts_of(objective, teacher.stages))
    fill_heads(start, student, case)
    groups: dict[str, list[Tensor]] = {
        "student": list(student.parameters()),
        "statistics": statistics_of(student),
        "images": [images_of(samples_of_step(0), side, settings["images_salt"])],
    }
    start.groups |= groups
    return start


def contrasts_of(objective: WeightedSum, stages: int) -> tuple[dict[int, ContrastivePair], int]:
    """Return the pairs of the contrast by their number in the published list, and how many that list has."""
    named = {"stem": 0, "penultimate": stages + 1} | {f"stage{n}": n for n in range(1, stages + 1)}
    for name in ("crd", "cktf"):
        if name not in objective.objectives:
            continue
        method = objective.objectives[name]
        method.source = GivenNegatives()
        if name == "crd":
            assert isinstance(method, CRD)
            return {0: pair_of(method)}, 1
        assert isinstance(method, CKTF)
        found: dict[int, ContrastivePair] = {}
        for key, pair in method.pairs.items():
            assert isinstance(pair, ContrastivePair)
            found[named[key.partition("-")[0]]] = pair
        return found, stages + 2
    return {}, 0


def fill_heads(start: Start, student: nn.Module, case: dict[str, Any]) -> None:
    """Fill all that is trained beside the student, and the banks; tensors of absent pairs stand for themselves."""
    settings, objective = case["settings"], start.objective
    if "ft" in objective.objectives:
        ft = objective.objectives["ft"]
        assert isinstance(ft, FT)
        fill(with_kind(ft.initial.paraphraser), SALTS["paraphraser"], settings["gains"]["paraphraser"])
        start.groups["paraphraser"] = list(ft.initial.paraphraser.parameters())
    own = {id(parameter) for parameter in student.parameters()}
    beside = [parameter for parameter in start.phase.parameters if id(parameter) not in own]
    in_contrasts = {id(p): None for pair in start.contrasts.values() for p in pair.parameters()}
    shapes = [tuple(shape) for shape in case.get("head_shapes", [])]
    # Of a pair that is in no loss the published list has heads, too: they are here, and nobody moves them.
    first = len([parameter for parameter in beside if id(parameter) not in in_contrasts])
    heads: list[Tensor] = beside[:first] + [torch.empty(shape) for shape in shapes[first:]]
    for number, pair in start.contrasts.items():
        heads[first + 4 * number : first + 4 * number + 4] = pair.parameters()
    assert [tuple(head.shape) for head in heads] == shapes, "what is trained beside the student is something else"
    is_paraphraser = settings["method"] == "ft" and settings["phase"] == "initial"  # which is filled
    if heads and not is_paraphraser:
        fill(with_kind(objective, heads), SALTS["heads"], settings["gains"]["heads"])
    start.groups["heads"] = heads
    for offset, side in enumerate(SIDES):
        banks = [torch.empty(COMMON["N"], COMMON["dim"]) for _ in range(start.num_pairs)]
        for number, pair in start.contrasts.items():
            bank = getattr(pair, side).bank
            assert isinstance(bank, MemoryBank)
            banks[number] = bank.embeddings
        for number, bank in enumerate(banks):
            bank.copy_((2 / COMMON["dim"]) ** 0.5 * wave_like(bank, 2 * number + offset, SALTS["banks"]))
        start.groups[f"bank_{side}"] = banks


def step(
    start: Start, optimizer: torch.optim.Optimizer, number: int, settings: dict[str, Any], precision: torch.dtype
) -> float:
    """Take one step, as the training loop does, and return its loss."""
    index = samples_of_step(number)
    images = images_of(index, settings["side"], settings["images_salt"])
    batch = Batch(images, index % COMMON["classes"], index, number)
    images = images.to(precision).contiguous(memory_format=torch.channels_last)
    phase, start.teacher.step = start.phase, number
    theirs = LiveTeacher(start.teacher, phase.readings).epoch(1)(images, batch) if phase.teacher else None
    ours = phase.student(images) if phase.student else None
    loss, _ = phase.loss(ours, theirs, batch)
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item()


def flat(tensors: Sequence[Tensor]) -> Tensor:
    values = [tensor.detach().contiguous().flatten().double() for tensor in tensors]
    return torch.cat(values) if values else torch.zeros(0, dtype=torch.float64)


def norm_and_dot(values: Tensor) -> tuple[float, float]:
    return values.norm().item(), (values @ cosines(len(values))).item()


@lru_cache(maxsize=4)
def cosines(number: int) -> Tensor:
    return torch.cos(0.37 * torch.arange(number, dtype=torch.float64) + 0.2)


def test_the_wave_is_that_of_the_numbers() -> None:
    expected = [-0.454276, 0.275995, 0.737464, -0.852623]
    assert wave(torch.arange(4), 0, 1).tolist() == pytest.approx(expected, abs=1e-6)


def test_there_are_trajectories() -> None:
    assert FILE.is_file(), f"no trajectories.json in {FOLDER}"
    assert TOLD["cases"]


def teacher_in_words(name: str) -> str:
    settings = TOLD["cases"][name]["settings"]
    return f"{settings['teacher']} {settings['gains']['teacher']} {settings['side']} {settings['images_salt']}"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread: on busy cores, two threads wait for each other longer than one takes for a small product."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


NAMES: list[str] = sorted(TOLD["cases"], key=teacher_in_words)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", NAMES)
def test_six_steps_equal_the_published_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = TOLD["cases"][name]
    steps = LARGE.get(name, COMMON["steps"])
    differs = differences(case, torch.float32, monkeypatch, steps)
    if differs:
        differs = differences(case, torch.float64, monkeypatch, steps)
    assert not differs, "\n".join(differs)


def differences(case: dict[str, Any], precision: torch.dtype, patch: pytest.MonkeyPatch, steps: int) -> list[str]:
    """Take the steps of a case and return what differs from the file by more than its tolerances."""
    found: list[str] = []

    def compare(what: str, actual: object, expected: object, *, within: float | None = None) -> None:
        relative = RELATIVE if within is None else 0
        if actual != pytest.approx(expected, rel=relative, abs=within or 0):
            found.append(f"{what}: {actual}, not {expected}")

    start = start_of(case, precision)
    for group, told in case["before"].items():
        norm, dot = start.teacher.told.get(group) or norm_and_dot(flat(start.groups[group]))
        compare(f"before, {group}, norm", norm, told["norm"], within=1e-5 * told["norm"])
        compare(f"before, {group}, dot", dot, told["dot"], within=1e-5 * told["norm"])
    before = {group: flat(start.groups[group]).clone() for group in case["after"]}

    losses, blocks = take_steps(start, case, precision, patch, steps)
    compare("losses", losses, case["losses"][:steps])
    if "chosen_blocks" in case and blocks != (expected := case["chosen_blocks"][:steps]):
        found.append(f"chosen blocks: {blocks}, not {expected}")
    for side in SIDES if "Z" in case else ():
        told = dict(enumerate(case["Z"][side]))
        absent = {number: told.pop(number) for number in told.keys() - start.contrasts.keys()}
        if any(value is not None for value in absent.values()):
            found.append(f"Z of the {side}: no pairs {sorted(absent)}")
        partitions = {number: getattr(pair, side).partition for number, pair in start.contrasts.items()}
        compare(f"Z of the {side}", partitions, told)
    if steps < COMMON["steps"]:
        return found
    noise = {kind: max(values.values()) for kind, values in case["noise"].items()}
    of_dot = max(RELATIVE, 10 * noise["dots"])
    of_norm = max(RELATIVE, 10 * noise["norms"]) if noise["norms"] > 1e-5 else RELATIVE
    for group, told in case["after"].items():
        change = flat(start.groups[group]) - before[group]
        norm, dot = norm_and_dot(change)
        along = (change @ before[group]).item() / before[group].norm().item()
        compare(f"after, {group}, norm", norm, told["norm"], within=of_norm * told["norm"])
        compare(f"after, {group}, dot", dot, told["dot"], within=of_dot * told["norm"])
        compare(f"after, {group}, along", along, told["along"], within=RELATIVE * told["norm"])
    return found


def take_steps(
    start: Start, case: dict[str, Any], precision: torch.dtype, patch: pytest.MonkeyPatch, steps: int
) -> tuple[list[float], list[list[int]]]:
    """Return the loss of every step, and the teacher's blocks that were chosen in it by similarity or by chance."""
    chosen: list[int] = []

    def recorded(choose: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def choose_and_record(*arguments: Any) -> Tensor:
            block = choose(*arguments)
            chosen.append(int(block))
            return block

        return choose_and_record

    patch.setattr(representations, "drawn_block", recorded(drawn_block))
    patch.setattr(representations, "most_similar", recorded(most_similar))
    phase = start.phase
    assert learning_rate(phase.optimizer, 1, phase.epochs) == case["settings"]["learning_rate"]
    optimizer = build_optimizer(phase.optimizer, phase.parameters)
    if phase.student:
        phase.student.train()
    losses, blocks = [], []
    for number in range(steps):
        losses.append(step(start, optimizer, number, case["settings"], precision))
        blocks.append(chosen.copy())
        chosen.clear()
    return losses, blocks
