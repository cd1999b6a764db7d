"""Start-up: the command line and the import, against Python itself."""

import subprocess
import sys
from pathlib import Path

from common import Figure, in_turn


def measure() -> list[Figure]:
    command = str(Path(sys.executable).with_name("livervlm"))
    calls = {"livervlm --help": [command, "--help"], "import livervlm": [sys.executable, "-c", "import livervlm"]}

    def run(call):
        return lambda: subprocess.run(call, capture_output=True, check=True)

    bare, *times = in_turn(*map(run, [[sys.executable, "-c", ""], *calls.values()]), repeats=9)
    goals = dict(zip(calls, ("<= 0.3", "<= 0.1"), strict=True))
    return [
        Figure(name, spent - bare, "s more than", "Python itself", goals[name])
        for name, spent in zip(calls, times, strict=True)
    ]
