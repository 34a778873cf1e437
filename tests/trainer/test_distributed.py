import torch
from torch import distributed, multiprocessing, nn

from cktf.trainer.distributed import World


def _rank(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    try:
        world = World.current()
        assert world == World(rank=rank, size=2)
        network = _network()
        inputs, targets = _batch()
        # Shards of different size: three samples and two.
        shard = slice(0, 3) if rank == 0 else slice(3, 5)
        loss = nn.functional.mse_loss(network(inputs[shard]), targets[shard])
        (loss * len(inputs[shard]) / len(inputs)).backward()
        world.sum_gradients(network.parameters())

        statistics = nn.BatchNorm1d(2)
        statistics.running_mean.fill_(float(rank))
        world.average_buffers(statistics)
        assert statistics.running_mean.tolist() == [0.5, 0.5]
        frozen = nn.BatchNorm1d(2).eval()
        frozen.running_mean.fill_(float(rank))
        world.average_buffers(frozen)
        assert frozen.running_mean.tolist() == [rank, rank]
        assert world.sum(torch.tensor([1.0, rank])).tolist() == [2.0, 1.0]
        torch.save([parameter.grad for parameter in network.parameters()], f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def _network():
    network = nn.Linear(3, 2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter))
    return network


def _batch():
    return torch.arange(15.0).reshape(5, 3) / 10, torch.arange(10.0).reshape(5, 2)


def test_the_gradients_of_two_workers_add_up_to_those_of_one(tmp_path):
    multiprocessing.spawn(_rank, args=(str(tmp_path),), nprocs=2)
    network = _network()
    inputs, targets = _batch()
    nn.functional.mse_loss(network(inputs), targets).backward()
    for rank in range(2):
        gradients = torch.load(tmp_path / f"{rank}.pt")
        for gradient, parameter in zip(gradients, network.parameters(), strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


def test_alone_nothing_is_exchanged():
    world = World.current()
    assert world == World(rank=0, size=1)
    values = torch.tensor([1.0, 2.0])
    assert world.sum(values) is values
