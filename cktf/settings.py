"""The base of every settings model: frozen, hashable, closed to unknown keys."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings of one part, declared beside the part.

    A value is checked when the study is loaded, so a wrong one never reaches a worker. Frozen models are hashable,
    which lets a warm worker remember what it has already loaded for equal settings.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )
