"""Progress bars: in a terminal, in a notebook, and as a few lines in a log."""

import os
import sys
from operator import length_hint

from tqdm.asyncio import tqdm as terminal_tqdm
from tqdm.auto import tqdm

WIDTH = 100  # columns, where the terminal does not tell


def bar(iterable, name: str, shown: bool = True, **options) -> tqdm:
    """A bar over `iterable`: what is done, how much of it, at what rate, and the time left.

    Where standard error is neither a terminal nor a notebook's, it is a line at the start, one after every tenth that
    took a second or more, and one at the end.  There is none where the caller does not want it or `TQDM_DISABLE` is
    set (as for built pages).
    """
    hidden = not shown or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    if tqdm is not terminal_tqdm:  # a notebook's, which is a widget
        return tqdm(iterable, name, disable=hidden, **options)
    if not sys.stderr.isatty():
        total = options.get("total") or length_hint(iterable)
        steps = {"miniters": max(total // 10, 1), "mininterval": 1, "maxinterval": float("inf")}
        options |= {"file": _Lines(), "ncols": WIDTH, **steps}
    elif not os.get_terminal_size(sys.stderr.fileno()).columns:
        options |= {"ncols": WIDTH}
    return tqdm(iterable, name, disable=hidden, **options)


class _Lines:
    """Standard error for a log: what a bar would draw over itself, line by line."""

    def write(self, text: str) -> None:
        if line := text.strip():
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()
