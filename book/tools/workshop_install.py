"""Install the workshop into the folder `env` beside this file; no network is asked for anything."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = "{version}"
WANTED = "{wanted}"


def damaged():
    """The files that are missing or not what was packed."""
    found = []
    for line in (HERE / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        digest, name = line.split("  ", 1)
        path = HERE / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            found.append(name)
    return found


def main():
    if f"{sys.version_info[0]}.{sys.version_info[1]}" != VERSION:
        return f"This workshop was packed for Python {VERSION}: run install.py with that one."
    if files := damaged():
        return f"Not as it was packed: {', '.join(files[:5])}. Unpack the zip again, into an empty folder."
    print("Installing; this takes minutes.", flush=True)
    venv.create(HERE / "env", with_pip=True, clear=True)
    commands = HERE / "env" / ("Scripts" if os.name == "nt" else "bin")
    pip = [commands / "python", "-m", "pip", "--isolated", "--quiet", "--disable-pip-version-check", "install"]
    if subprocess.run([*pip, "--no-index", "--find-links", HERE / "wheels", *WANTED]).returncode:
        return "pip stopped; it says why above."
    return subprocess.run([commands / "livervlm", "doctor"]).returncode


if __name__ == "__main__":
    sys.exit(main())
