"""Data sets whose every file has a published checksum: finding, fetching and verifying them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cktf.data.files.places import DataPlace, data_folder, file_digest, files_digest, find_or_fetch, some_of
from cktf.errors import InputError


@dataclass(frozen=True, eq=False)
class Published:
    """The files of a data set, as its authors offer them.

    Attributes:
        name: The data set's name under `data.name`.
        folder: Folder that the archive unpacks to.
        url: Address of the archive, whose checksum is ``md5``.
        sums: Name of each file that is read to its MD5 sum.
        binary_folder: Folder that the archive of the binary version unpacks to; empty if none is read. Its files' names
            end in ``.bin``, and no checksums of them were published.
    """

    name: str
    folder: str
    url: str
    md5: str
    sums: Mapping[str, str]
    binary_folder: str = ""

    def places(self, root: str | None) -> list[Path]:
        """Return the folders to search: those that archives unpack to below the data folder, and that folder itself."""
        return [data_folder(root) / name for name in dict.fromkeys((self.folder, "", self.binary_folder))]

    def files_in(self, folder: Path, *, verify: bool) -> tuple[str, ...]:
        """Return the names of the files to be read in a folder; empty if some are missing."""
        binary = tuple(f"{name}.bin" for name in self.sums) if self.binary_folder and not verify else ()
        for names in (tuple(self.sums), binary):
            if names and all((folder / name).is_file() for name in names):
                return names
        return ()

    def find(self, place: DataPlace) -> Path:
        """Return the folder that holds all files, after a download if that is asked for and needed."""
        remedy = (
            f"set data.download: true, or data.root to the folder that holds {self.folder}/, as unpacked from "
            f"{self.url.rpartition('/')[2]}, with all of {some_of([*self.sums], 6)}"
        )
        if self.binary_folder:
            remedy += (
                ". With data.verify: false the binary version is read, too; Parquet files by data.name: huggingface"
            )
        return find_or_fetch(
            *(place, self.places(place.root), lambda folder: self.files_in(folder, verify=place.verify)),
            *(remedy, self._download),
        )

    def check(self, path: Path, *, verify: bool) -> None:
        """Raise an InputError if a file that is to be verified does not have its published checksum."""
        if verify and (found := file_digest(path, "md5")) != self.sums[path.name]:
            raise InputError(
                f"data.root: {path} is damaged, or of another data set of this form: its MD5 sum is {found}, and that "
                f"of the published file {self.sums[path.name]}. Delete {path.parent} and set data.download: true, "
                "which fetches it again; or, to read it as it is, set data.verify: false"
            )

    def content(self, root: str | None) -> str | None:
        """Return the SHA-256 of all files together; None if they are not there."""
        found = ({name: folder / name for name in self.files_in(folder, verify=False)} for folder in self.places(root))
        return files_digest(next(filter(None, found), {}))

    def _download(self, folder: Path) -> None:
        from torchvision.datasets.utils import download_and_extract_archive  # here, since it takes seconds

        download_and_extract_archive(self.url, str(folder), md5=self.md5)


CIFAR10 = Published(
    name="cifar10",
    folder="cifar-10-batches-py",
    url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
    md5="c58f30108f718f92721af3b95e74349a",
    sums={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "test_batch": "40351d587109b95175f43aff81a1287e",
    },
    binary_folder="cifar-10-batches-bin",
)

CIFAR100 = Published(
    name="cifar100",
    folder="cifar-100-python",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
    md5="eb9058c3a382ffc7106e4002c42a8d85",
    sums={"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    binary_folder="cifar-100-binary",
)

STL10 = Published(
    name="stl10",
    folder="stl10_binary",
    url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
    md5="91f7769df0f17e558f3565bffb0c7dfb",
    sums={
        "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
        "train_y.bin": "5a34089d4802c674881badbb80307741",
        "unlabeled_X.bin": "5242ba1fed5e4be9e1e742405eb56ca4",
        "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
        "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
    },
)

PUBLISHED = {published.name: published for published in (CIFAR10, CIFAR100, STL10)}
"""Name of a data set to its files."""
