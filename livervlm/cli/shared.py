"""What several commands share: the profile that was asked for, and what is said of every answer."""

import argparse
from pathlib import Path

from ..base.errors import InputError
from ..base.profiles import Profile, current_profile, get_profile

NOT_FOR_DIAGNOSIS = "For teaching and research, not for diagnosis."
PICTURES = (".png", ".jpg", ".pdf", ".svg")


def picture_format(out: str) -> str:
    """The format that the name of a picture tells."""
    form = Path(out).suffix.lower()
    if form not in PICTURES:
        raise InputError(f"{out}: a picture is written as {', '.join(PICTURES)}; name --out so")
    return form[1:]


def chosen_profile(arguments: argparse.Namespace) -> Profile:
    """That of `--profile`, else the current one."""
    return get_profile(arguments.profile) if arguments.profile else current_profile()


def shortened(rows: list[int]) -> str:
    """Rows of a table as a person writes them: row 4, rows 2-9, rows 2, 5, 7, 8 and 12 more."""
    if len(rows) == 1:
        return f"row {rows[0]}"
    if rows == list(range(rows[0], rows[-1] + 1)):
        return f"rows {rows[0]}-{rows[-1]}"
    more = f" and {len(rows) - 4} more" if len(rows) > 4 else ""
    return f"rows {', '.join(map(str, rows[:4]))}{more}"


def described(lesions) -> str:
    """A data set in a line."""
    import numpy as np

    patients, groups = len(np.unique(lesions.patient)), len(np.unique(lesions.group))
    counts = np.bincount(lesions.label, minlength=len(lesions.classes))
    classes = ", ".join(f"{c} {n}" for c, n in zip(lesions.classes, counts, strict=True))
    return (
        f"{len(lesions)} slices ({classes}) of {patients} patients in {groups} groups, "
        f"{len(lesions.phases)} phases ({', '.join(lesions.phases)}), {lesions.size} px"
    )
