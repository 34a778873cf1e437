"""What a message of the product shows."""

import pytest

from cktf.errors import LONGEST_LINE, InputError, UserError, fault, naming


@pytest.mark.parametrize("kind", [UserError, InputError])
def test_a_message_holds_no_character_that_a_terminal_obeys_and_no_endless_line(kind: type[UserError]) -> None:
    assert str(kind("one\ntwo\x1b[2J\u202e é")) == "one\ntwo\\x1b[2J\\u202e é"
    assert len(str(kind("x" * 100_000))) == LONGEST_LINE + 3


def test_what_the_machine_refuses_names_the_place_and_anything_else_is_a_fault_with_its_file() -> None:
    with pytest.raises(InputError, match=r"^there: No space left on device$"), naming("there"):
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyError) as caught, naming("there"):
        raise KeyError("x")
    said = fault(caught.value)
    assert "This is a fault of cktf, while at work on there (KeyError at " in said
    assert said.startswith("Traceback")
