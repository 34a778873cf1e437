"""What a user can mend: told in one message, without a traceback."""


class UserError(Exception):
    """The base of them; the text says what is wrong and what to do."""


class RunInUse(UserError):  # noqa: N818  # these names say what the user sees
    """Another driver works on the run directory."""


class BadRunDirectory(UserError):  # noqa: N818
    """What was named as the run directory is no place that can be opened."""


class RunNotFound(UserError):  # noqa: N818
    """There is no run at the place that was named."""


class LedgerDamaged(UserError):  # noqa: N818
    """A line of the ledger cannot be read, or contradicts those before it."""


class StudyDiffers(UserError):  # noqa: N818
    """The run directory belongs to another study."""


class NotRunnable(UserError):  # noqa: N818
    """Data, networks or a file that an arm needs are not there or do not go together."""


class ClusterTooSmall(UserError):  # noqa: N818
    """A trial asks for more than any node has."""


class ClusterNotFound(UserError):  # noqa: N818
    """No Ray cluster answers at the address."""


class NotExtensible(UserError):  # noqa: N818
    """The study cannot be extended in the way that was asked for."""


class Unreadable(UserError):  # noqa: N818
    """The run directory is there and cannot be read."""


class Unwritable(UserError):  # noqa: N818
    """The run directory cannot be written to."""
