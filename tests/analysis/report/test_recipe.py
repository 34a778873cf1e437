"""The recipe in words: of the baseline, as far as configurations tell it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from analysis.report.methods import methods_text
from analysis.report.recipe import recipe_text
from cktf.study.designs import plan_arms
from cktf.study.load import load_study

OPTIMIZER = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 5e-4, "bias_decay": True, "schedule": "cosine"}
TEACHER = {"model": "resnet20", "epochs": 30, "batch_size": 64, "train_fraction": 1.0, "optimizer": OPTIMIZER}
CONFIG: dict[str, Any] = {
    "task": "distill",
    "data": {"name": "digits", "train_fraction": 0.1},
    "student": {"model": "resnet8"},
    "teacher": TEACHER,
    "optimizer": OPTIMIZER,
    "epochs": 16,
    "batch_size": 32,
}
SGD = "learning rate 0.05, momentum 0.9, weight decay 0.0005, cosine schedule"


@pytest.fixture
def recipe(ablation_writer: Callable[..., Any]) -> Callable[..., str]:
    """Return what is said of trials with these configurations, the first one's arm being the baseline."""

    def recipe(*configs: dict[str, Any], baseline: bool = True) -> str:
        ledger = ablation_writer(arms=[])
        for number, config in enumerate(configs):
            ledger.plan("baseline" if baseline and not number else f"arm-{number}", 0, **config)
        return recipe_text(load(ledger.close()).trials)

    return recipe


def test_the_baseline_s_recipe_is_told(recipe: Callable[..., str]) -> None:
    other = CONFIG | {"student": {"model": "resnet14"}, "epochs": 3}
    assert recipe(CONFIG, other) == (
        "The baseline's student, resnet8, learns from the images of digits (10% of its training split) for 16 epochs "
        f"in batches of 32, by stochastic gradient descent ({SGD}). The teacher, resnet20, was trained for 30 epochs "
        f"in batches of 64 ({SGD}) and is frozen."
    )


def test_what_was_changed_about_the_data_is_told(recipe: Callable[..., str]) -> None:
    data = {"name": "stl10", "train_fraction": 1.0, "tail": 100.0, "per_class": 20, "noise": 0.4, "fold": 3}
    text = recipe(CONFIG | {"data": data})
    changes = "long-tailed by a factor of 100, at most 20 of a class, 40% of the training labels wrong, fold 3"
    assert f"from the images of stl10 ({changes}) for" in text
    plain = {"name": "digits", "train_fraction": 1.0, "tail": 1.0, "per_class": None, "noise": 0.0, "fold": None}
    assert "from the images of digits for" in recipe(CONFIG | {"data": plain})


def test_without_a_baseline_the_values_of_all_arms_are_named(recipe: Callable[..., str]) -> None:
    many = [CONFIG | {"student": {"model": model}, "epochs": epochs} for epochs, model in enumerate("aabb", 1)]
    text = recipe(*many, baseline=False)
    assert text.startswith("The student, a or b, learns from the images of digits")
    assert "for 4 different values epochs" not in text
    assert "for 1 to 4 epochs" in text


def test_steps_and_warm_up_of_the_learning_rate_are_told(recipe: Callable[..., str]) -> None:
    steps = OPTIMIZER | {"schedule": "step", "decay": 0.1, "milestones": [0.5, 0.75], "warmup_epochs": 2}
    text = recipe(CONFIG | {"optimizer": steps})
    assert "step schedule by 0.1 at the fractions 0.5, 0.75 of the epochs, 2 epochs of warm-up" in text


def test_how_far_a_training_went_and_what_else_it_stepped_by_are_told(recipe: Callable[..., str]) -> None:
    clipped = OPTIMIZER | {"nesterov": True, "clip_norm": 5.0, "betas": [0.9, 0.999]}
    teacher = TEACHER | {"epoch": 12, "width": 2.0, "optimizer": OPTIMIZER | {"nesterov": False, "clip_norm": None}}
    student = {"model": "resnet8", "width": 0.5, "weights": "first.pth"}
    text = recipe(CONFIG | {"student": student, "optimizer": clipped, "stop_after": 5, "teacher": teacher})
    assert "student, resnet8 at width 0.5 with trained first weights, learns" in text
    assert "for 16 epochs (stopped after epoch 5) in batches of 32" in text
    by = "learning rate 0.05, momentum 0.9, Nesterov's look-ahead, weight decay 0.0005, "
    assert f"({by}gradients clipped to a norm of 5, cosine schedule)" in text
    trained = f"was trained for 30 epochs (stopped after epoch 12) in batches of 64 ({SGD}) and is frozen."
    assert text.endswith(f"The teacher, resnet20 at width 2, {trained}")
    adamw = {"name": "adamw", "learning_rate": 0.001, "betas": [0.9, 0.95]}
    assert "(learning rate 0.001, betas [0.9, 0.95])" in recipe(CONFIG | {"optimizer": adamw})


def test_a_transfer_tells_source_and_probe(recipe: Callable[..., str]) -> None:
    transfer = {
        "task": "transfer",
        "source": {"name": "fashion_mnist"},
        "data": {"name": "digits", "side": 32, "train_fraction": 1.0},
        "teacher": {"model": "resnet20", "checkpoint": "t.safetensors"},
        "probe": {"mode": "linear", "epochs": 60, "batch_size": 16, "optimizer": OPTIMIZER},
    }
    text = recipe(CONFIG | transfer)
    assert "from the images of digits at 32 x 32 pixels without their labels for 16 epochs" in text
    assert f"Then a linear layer on it learns the labels for 60 epochs in batches of 16 ({SGD})." in text
    assert text.endswith("The teacher of fashion_mnist, resnet20, was read from a file and is frozen.")


def test_a_student_that_learns_alone_has_no_teacher(recipe: Callable[..., str]) -> None:
    assert "teacher" not in recipe(CONFIG | {"teacher": None})


def test_nothing_is_said_of_what_is_not_known(ablation: Path) -> None:
    assert recipe_text(load(ablation).trials) == ""


def test_what_a_table_lacks_leaves_no_gap_in_a_sentence(recipe: Callable[..., str]) -> None:
    teacher = {"model": "resnet20"}
    text = recipe({"data": {"name": "digits"}, "student": {"model": "resnet8"}, "teacher": teacher})
    assert text == (
        "The baseline's student, resnet8, learns from the images of digits for 4 epochs, by stochastic gradient "
        "descent. The teacher, resnet20, was trained and is frozen."
    )
    probe = {"data": {"name": "digits"}, "student": {"model": "resnet8"}, "probe": {"epochs": 3}}
    text = recipe(probe | {"epochs": 2, "optimizer": {"schedule": "step"}})
    assert text == (
        "The baseline's student, resnet8, learns from the images of digits for 2 epochs, by stochastic gradient "
        "descent (step schedule). Then a linear layer on it learns the labels for 3 epochs."
    )


def test_the_methods_tell_the_recipe(ablation_writer: Callable[..., Any]) -> None:
    ledger = ablation_writer(arms=[])
    ledger.train(ledger.plan("baseline", 0, **CONFIG), 90.0)
    assert "The baseline's student, resnet8, learns" in methods_text(load(ledger.close()))


def test_the_methods_tell_every_setting_of_a_shipped_baseline(ablation_writer: Callable[..., Any]) -> None:
    (baseline, *_) = plan_arms(load_study("search_spaces/digits_ablation.yaml"))
    ledger = ablation_writer(arms=[])
    ledger.train(ledger.plan("baseline", 0, objective=baseline.config.model_dump()["objective"]), 90.0)
    text = methods_text(load(ledger.close()))
    assert "kd.temperature = 4, kd.weight = 1. " in text


def test_teachers_that_were_read_and_those_that_were_trained_are_told_apart(recipe: Callable[..., str]) -> None:
    read = CONFIG | {"teacher": {"model": "vgg13", "checkpoint": "t.safetensors"}}
    text = recipe(CONFIG, read, baseline=False)
    assert text.endswith(
        f"The teacher, resnet20, was trained for 30 epochs in batches of 64 ({SGD}) and is frozen. "
        "The teacher, vgg13, was read from a file and is frozen."
    )


def test_what_today_s_recipe_adds_is_told(recipe: Callable[..., str]) -> None:
    adamw = {"name": "adamw", "learning_rate": 0.001, "momentum": 0.9, "weight_decay": 0.05, "schedule": "linear"}
    more = {"bias_decay": False, "head_learning_rate": 0.01, "accumulate": 4}
    text = recipe(
        CONFIG
        | {
            "optimizer": adamw | more,
            "teacher": TEACHER | {"optimizer": adamw},
            "augmentation": {"mixup": 0.2, "cutmix": 0.0, "rand_augment": {"operations": 2, "magnitude": 9}},
            "objective": {"cross_entropy": {"weight": 1.0, "smoothing": 0.1}},
            "teacher_view": "own",
            "ema": 0.999,
            "judge": "ema",
        }
    )
    by = "learning rate 0.001, weight decay 0.05, no decay of biases and norms, "
    by += "learning rate 0.01 of the objectives' own parameters, a step for each 4 batches, linear schedule"
    assert f", by AdamW ({by}). Its recipe has labels smoothed by 0.1, RandAugment of 2 operations, " in text
    assert "operations, mixup with alpha 0.2, a view of its own for the teacher, an exponential moving average" in text
    assert "average of the student with decay 0.999, that average judged in its place." in text
    assert "in batches of 64 (AdamW, learning rate 0.001, weight decay 0.05, linear schedule) and is frozen" in text
    plain = {"augmentation": {"mixup": 0.0, "cutmix": 0.0}, "teacher_view": "same", "ema": None, "judge": "student"}
    assert "Its recipe" not in recipe(CONFIG | plain)


@pytest.mark.parametrize(("use", "words"), [("mean", "the mean of their logits"), ("drawn", "one of them, drawn for")])
def test_several_teachers_are_all_told(recipe: Callable[..., str], use: str, words: str) -> None:
    file = {"model": "resnet56", "checkpoint": "good.pth"}
    told = recipe(CONFIG | {"teacher": None, "teachers": {"a": TEACHER, "b": file}, "teachers_as": use})
    assert f"The teacher a, resnet20, was trained for 30 epochs in batches of 64 ({SGD}) and is frozen." in told
    assert "The teacher b, resnet56, was read from a file and is frozen." in told
    assert f"Where teachers are several, a student learns from {words}" in told
