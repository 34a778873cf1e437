"""Content hash that identifies a user's images, wherever they are stored."""

from cktf.data.files.image_layout import folder_digest
from cktf.data.files.places import reading
from cktf.data.files.published import PUBLISHED


def content_of(name: str, root: str | None) -> str | None:
    """Return the SHA-256 that identifies a data set's files; None if this machine has none of them there.

    Args:
        name: `image_folder`, or a data set whose files have published checksums.
        root: As `data.root`.

    Raises:
        ValueError: If they cannot be read.
    """
    with reading(root):
        return PUBLISHED[name].content(root) if name in PUBLISHED else folder_digest(root)
