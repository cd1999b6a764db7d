"""Print a hash of what the chapters' outputs depend on and Jupyter's cache does not see.

The cache of executed notebooks looks at their own text alone; `make book` deletes `_build` when this changes.
"""

import hashlib
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SEEN = ["livervlm", "data", "requirements.lock", "_config.yml", "_toc.yml"]


def key(root: Path, environment: dict[str, str]) -> str:
    """SHA-256 over the package, its data, the lock, the configuration, the profile and `LIVERVLM_DATA`."""
    digest = hashlib.sha256(repr(environment.get("LIVERVLM_PROFILE")).encode())
    paths = [path for name in SEEN for path in (root / name, *sorted((root / name).rglob("*")))]
    if given := environment.get("LIVERVLM_DATA"):
        paths.append(Path(given))
    for path in paths:
        if path.is_file() and path.suffix != ".pyc":
            digest.update(repr(os.path.relpath(path, root)).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


if __name__ == "__main__":
    print(key(ROOT, dict(os.environ)))
