"""Give the book a new repository address: `python book/tools/home.py owner/name`.

The address stands in `_config.yml`; wherever a file of the checkout repeats it, it is replaced there too.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def move(root: Path, new: str) -> list[str]:
    """Replace the repository address in every file that git knows or would add; return those files."""
    if not re.fullmatch(r"[\w-]+/[\w.-]+", new):
        raise ValueError(f"'{new}' is not a repository address: write owner/name")
    url = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    owner, name = url.split("/")[-2:]
    new_owner, new_name = new.split("/")
    pages = (f"{owner}.github.io/{name}", f"{new_owner}.github.io/{new_name}")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
        text=True,
    )
    changed = []
    for file in filter(None, listing.stdout.split("\0")):
        try:
            text = (root / file).read_bytes().decode()
        except (
            UnicodeDecodeError,
            FileNotFoundError,
        ):  # a picture or array; a file deleted but not yet committed
            continue
        moved = text.replace(*pages).replace(f"{owner}/{name}", new)
        if moved != text:
            (root / file).write_bytes(moved.encode())
            changed.append(file)
    return changed


if __name__ == "__main__":
    try:
        print("\n".join(move(ROOT, *sys.argv[1:])))
    except ValueError as error:
        sys.exit(str(error))
