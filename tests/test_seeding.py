import subprocess
import sys

import pytest
import torch

from cktf.seeding import derive, generator, initialisation


def test_a_key_depends_on_every_word_of_the_purpose() -> None:
    keys = {
        derive(0, "order", 1),
        derive(0, "order", 2),
        derive(1, "order", 1),
        derive(0, "order"),
        derive(0, "or", "der", 1),
    }
    assert len(keys) == 5


def test_a_key_is_the_same_in_another_process() -> None:
    code = "from cktf.seeding import derive; print(derive(3, 'negatives', 7))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(other.stdout) == derive(3, "negatives", 7)


def test_keys_fit_a_torch_generator() -> None:
    assert all(0 <= derive(seed, "x") < 2**63 for seed in range(100))


def test_equal_addresses_draw_equal_numbers_and_others_do_not() -> None:
    draw = [torch.rand(4, generator=generator(*address)) for address in [(0, "a"), (0, "a"), (0, "b")]]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


def test_initialisation_neither_reads_nor_moves_the_global_stream() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    with initialisation(5, "student"):
        first = torch.nn.Linear(3, 3).weight
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    with initialisation(5, "student"):
        assert torch.equal(torch.nn.Linear(3, 3).weight, first)


def test_initialisation_leaves_the_streams_of_the_gpus_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    reseeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded.append)
    with initialisation(5, "student"):
        torch.nn.Linear(3, 3)
    assert reseeded == []


@pytest.mark.gpu
def test_initialisation_does_not_move_the_stream_of_a_gpu() -> None:
    torch.cuda.manual_seed(1)
    before = torch.cuda.get_rng_state()
    with initialisation(5, "student"):
        torch.nn.Linear(3, 3)
    assert torch.equal(torch.cuda.get_rng_state(), before)
