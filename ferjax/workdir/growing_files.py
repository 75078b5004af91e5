"""Files that a run appends to, on this machine or in an object store."""

import shutil
import tempfile
from pathlib import Path

from ferjax import filesystem
from ferjax.filesystem import Place


class Growing:
    """Files that are appended to, in a folder wherever it lies.

    Remote ones grow in a temporary folder here and are put whole by `publish`: putting the same
    rows twice does no harm, where appending them twice would, and a long run has less than ten
    megabytes of them.

    Args:
      folder: where they are to be; a local one is made, what is in a remote one is not fetched.

    Attributes:
      local: the folder to write them in: `folder` itself where it is local.
    """

    local: Path

    def __init__(self, folder: Place):
        self._folder, self._remote = folder, filesystem.is_remote(folder)
        self._sizes: dict[str, int] = {}
        filesystem.make_folder(folder)
        self.local = Path(tempfile.mkdtemp(prefix="ferjax-")) if self._remote else folder

    def publish(self) -> None:
        """Returns when all that has been written and flushed is where it is to be.

        Raises:
          OSError: it cannot be put there; a later call tries again.
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
