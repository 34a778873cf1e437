"""The layers of a network that methods of transfer read the parameters of."""

from torch import nn

from cktf.batch import Layers
from cktf.models import imagenet_resnet, mobilenet, resnet, vgg, wide_resnet
from cktf.models.adapter import Adapter


def inner_layers(network: nn.Module) -> Layers:
    """Return the classifier and batch-norms of a network, or of one in a module; torchvision's are not known."""
    if any(isinstance(module, Adapter) for module in network.modules()):
        return Layers()
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    batch_norms = (found for module in network.modules() if (found := _stage_batch_norms(module)))
    return Layers(linear[-1] if linear else None, next(batch_norms, ()))


def _stage_batch_norms(network: nn.Module) -> tuple[nn.BatchNorm2d, ...]:
    """Return the batch-norm before the ReLU behind each stage.

    Of a residual block it is that of the residual branch, as published: it does not see the shortcut. The ShuffleNets
    have none that all of a stage's channels go through.
    """
    stages: list[nn.Module]
    match network:
        case wide_resnet.WideResNet():
            readers = network.block2.layer[0].get_submodule("bn1"), network.block3.layer[0].get_submodule("bn1")
            return tuple(layer for layer in (*readers, network.bn1) if isinstance(layer, nn.BatchNorm2d))
        case vgg.VGG():
            stages = [network.block1, network.block2, network.block3, network.block4]
        case mobilenet.MobileNetV2():
            stages = [network.blocks[number] for number in mobilenet.STAGES]
        case resnet.ResNet() | imagenet_resnet.ImageNetResNet():
            stages = [stage for name, stage in network.named_children() if name.startswith("layer")]
        case _:
            return ()
    return tuple(_last_batch_norm(stage) for stage in stages)


def _last_batch_norm(stage: nn.Module) -> nn.BatchNorm2d:
    return [
        layer
        for name, layer in stage.named_modules()
        if isinstance(layer, nn.BatchNorm2d) and not {"shortcut", "downsample"} & {*name.split(".")}
    ][-1]
