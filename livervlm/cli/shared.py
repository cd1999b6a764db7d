"""What several commands share: the profile that was asked for, and what is said of every answer."""

import argparse
from pathlib import Path

from ..base.errors import InputError
from ..base.profiles import Profile, current_profile, get_profile

NOT_FOR_DIAGNOSIS = "For teaching and research, not for diagnosis."
ANY = "any"  # `--phases any`: those that a row has
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


def refuse_no_set(out: str | Path) -> None:
    """Raise `InputError` where a set would replace something that is none: a scan, a table."""
    from ..scans.lesions import LesionSet

    if Path(out).exists():
        try:
            LesionSet.load(out)
        except InputError:
            raise InputError(f"{out}: already there, and no data set of this program; name a new file") from None


def described(lesions) -> str:
    """A data set in a line."""
    import numpy as np

    patients, groups = len(np.unique(lesions.patient)), len(np.unique(lesions.group))
    counts = np.bincount(lesions.label, minlength=len(lesions.classes))
    classes = ", ".join(f"{c} {n}" for c, n in zip(lesions.classes, counts, strict=True))
    lacking = [] if lesions.present is None else np.unique(lesions.patient[~lesions.present.all(axis=1)])
    some = f" of which {len(lacking)} patients lack one or more" if len(lacking) else ""
    return (
        f"{len(lesions)} slices ({classes}) of {patients} patients in {groups} groups, "
        f"{len(lesions.phases)} phases ({', '.join(lesions.phases)}){some}, {lesions.size} px"
    )
