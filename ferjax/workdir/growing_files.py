"""Files that a run appends to, on this machine or in an object store."""

import shutil
import tempfile
from pathlib import Path

from ferjax import filesystem
from ferjax.filesystem import Place


class Growing:
    """Files that are appended to, in a local or remote folder.

    Remote ones are written in a local temporary folder and uploaded whole by `publish`: uploading
    rows twice is harmless, appending them twice is not, and a long run has under ten megabytes.

    Args:
      folder: the folder of the files; a local one is made, files in a remote one are not fetched.

    Attributes:
      local: the folder to write them in: `folder` itself if it is local.
    """

    local: Path

    def __init__(self, folder: Place):
        self._folder, self._remote = folder, filesystem.is_remote(folder)
        self._sizes: dict[str, int] = {}
        filesystem.make_folder(folder)
        self.local = Path(tempfile.mkdtemp(prefix="ferjax-")) if self._remote else folder

    def publish(self) -> None:
        """Uploads what has been written and flushed; does nothing for a local folder.

        Raises:
          OSError: a file cannot be uploaded; a later call tries again.
        """
        for file in self.local.iterdir() if self._remote else ():
            size = file.stat().st_size
            if self._sizes.get(file.name) != size:
                filesystem.put(file, self._folder / file.name)
                self._sizes[file.name] = size

    def close(self, *, publish: bool = True) -> None:
        """Publishes unless told not to, and removes the temporary folder."""
        if self._remote:
            if publish:
                self.publish()
            shutil.rmtree(self.local)
