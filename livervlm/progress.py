"""Progress bars, in a terminal and in a notebook."""

import os

from tqdm.auto import tqdm


def bar(iterable, name: str, shown: bool = True, **options) -> tqdm:
    """A bar over `iterable`, unless the caller does not want it or `TQDM_DISABLE` is set (as for built pages)."""
    hidden = not shown or os.environ.get("TQDM_DISABLE", "0") not in ("", "0")
    return tqdm(iterable, name, disable=hidden, **options)
