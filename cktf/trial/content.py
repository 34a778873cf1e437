"""What a trial knows by content, wherever it lies: its teacher's file, a folder of one's own images."""

from dataclasses import dataclass

from cktf.data.content import content_of
from cktf.trial.weights import content_digest

TEACHER = "teacher.checkpoint"


@dataclass(frozen=True, order=True)
class Content:
    """One file or folder.

    Attributes:
        key: Of the configuration, that names it.
        place: What stands there; empty where nothing does, for a folder's place may be the default one.
        digest: By which it is known; empty where it is known by its place.
        dataset: Name of the data set; empty of a teacher's file.
    """

    key: str
    place: str
    digest: str
    dataset: str = ""

    def here(self) -> str:
        """Return the digest of what lies at the place on this machine; empty where nothing can be read there."""
        if self.key == TEACHER:
            return content_digest(self.place) or ""
        return content_of(self.dataset, self.place or None) or ""
