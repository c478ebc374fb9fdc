"""Where the programs are that the lab runs: given by name, below $ROAM_BUILD, or in the usual build directories."""
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent


def find(given, name):
    """An absolute path, None when it is not there. `name` is relative to a build directory: "cli/roam"."""
    builds = [os.environ.get("ROAM_BUILD", ""), ROOT / "build" / "release", ROOT / "build", ROOT / "build" / "debug"]
    for path in [given] if given else [pathlib.Path(build) / name for build in builds if build]:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return str(pathlib.Path(path).resolve())
    return None
