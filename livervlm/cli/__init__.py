"""The commands: `livervlm phantom | scan | import | audit | train | predict | evaluate | find | segment |
detect | demo | reproduce | report | doctor`.

Heavy imports stay inside the commands, so that `--help` is quick.
"""

import os
import sys

from ..base.errors import InputError
from .parser import build_parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status.  Bad input is one line on standard error and status 2."""
    arguments = build_parser().parse_args(argv)
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()  # here, where a closed pipe can be caught
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing more to flush at exit
        return 1
    except (InputError, OSError) as error:  # OSError: a full disk, a folder where a file should be
        print(f"livervlm: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("livervlm: interrupted; the same command goes on where it can", file=sys.stderr)
        return 130
    return status or 0
