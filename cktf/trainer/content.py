"""What a trial knows by content, wherever it lies: its teacher's file, a folder of one's own images."""

from dataclasses import dataclass

from cktf.data.image_folder import folder_digest
from cktf.trainer.teacher_file import content_digest

TEACHER = "teacher.checkpoint"


@dataclass(frozen=True, order=True)
class Content:
    """One file or folder.

    Attributes:
        key: Of the configuration, that names it.
        place: What stands there; empty where nothing does, for a folder's place may be the default one.
        digest: By which it is known; empty where it is known by its place.
    """

    key: str
    place: str
    digest: str

    def here(self) -> str:
        """Return the digest of what lies at the place on this machine; empty where nothing can be read there."""
        found = content_digest(self.place) if self.key == TEACHER else folder_digest(self.place or None)
        return found or ""
