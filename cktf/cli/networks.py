"""The command that lists a network's layers."""

from typing import Annotated

import typer

from cktf.cli.terminal import out, say, table_of


def layers(
    model: Annotated[str, typer.Argument(help="A network: resnet8x4, timm/resnet18, torchvision/vit_b_16.")],
    side: Annotated[int, typer.Option(min=1, max=1024, help="Side of the images, as data.side.")] = 64,
    channels: Annotated[int, typer.Option(min=1, max=16, help="Channels of the images.")] = 3,
    teacher: Annotated[
        str | None, typer.Option("--with", metavar="MODEL", help="A teacher: the stages that would be paired.")
    ] = None,
) -> None:
    """List a network's layers that a study may name, their shapes, and what it takes where it names none."""
    from pydantic import ValidationError

    from cktf.batch import Shapes
    from cktf.errors import InputError
    from cktf.models import ModelConfig, build_model, layer_rows, measure_shapes, size_in_words
    from cktf.objectives.contrastive.representations import blocks_of
    from cktf.objectives.parts.stages import partners

    image = (channels, side, side)
    found = []
    for name, role in ((model, "student"), (teacher, "teacher")):
        if name is not None:
            try:
                network = build_model(ModelConfig(model=name), 10, image)
            except ValidationError as error:
                raise InputError(str(error.errors()[0]["ctx"]["error"])) from None
            found.append(measure_shapes(network, image, role))
            rows = [("layer", "class", "shape", "taken as"), *layer_rows(network, found[-1], image)]
            widths = [max(len(row[column]) for row in rows) for column in range(3)]
            out.print(f"{name}, images of {channels} x {side} x {side}", style="bold", markup=False)
            # No table, which would cut long names: they are there to be copied.
            say("  ".join([*map(str.ljust, row, widths), row[3]]).rstrip() for row in rows)
    if len(found) == 1:
        return
    student, of_teacher = found
    pairs = partners(student, of_teacher, f"{model} with {teacher}", "name pairs by hand under objective.cktf.pairs")
    ends = [{name: name} if student.has(name) and of_teacher.has(name) else {} for name in ("stem", "penultimate")]
    say(["", "What pairing 'last' compares, of a stage its last block:"])

    def last_block(network: Shapes, layer: str) -> str:
        return size_in_words(blocks_of(network, layer)[-1])

    named = ends[0] | pairs | ends[1]
    rows = [(own, last_block(student, own), its, last_block(of_teacher, its)) for own, its in named.items()]
    out.print(table_of(("student", "shape", "teacher", "shape"), rows))
