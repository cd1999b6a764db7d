"""`Finding`: what a reader would report of a study, and where it is seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Those of the table of organs in the paper on key slices (Bioengineering 2025); left and right are told by `side`.
ORGANS = (
    "aorta",
    "colon",
    "duodenum",
    "esophagus",
    "gallbladder",
    "heart",
    "kidney",
    "liver",
    "pancreas",
    "stomach",
    "spleen",
    "thyroid gland",
    "urinary bladder",
    "trachea",
    "lung",
)
# Beside the lesions of the liver, which have the names of their classes.
OTHER_KINDS = {
    "renal cyst": "kidney",
    "splenic cyst": "spleen",
    "gallstone": "gallbladder",
    "lung nodule": "lung",
    "pleural effusion": "lung",
    "ascites": "",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One lesion or other abnormality of a study.

    kind: a class of `scans.conventions.CLASS_NAMES`, or one of `OTHER_KINDS`.  organ: one of `ORGANS`, "" for none.
    side: "left", "right" or "".  segment: of the liver, 1 to 8, else 0.  diameter: mm, the largest in a slice.
    slices: the first and the last slice that show it in the reference phase, counted from the head, both included.
    marked: the one where it is largest, which a reader marks.  attenuation: phase -> "hyper", "iso" or "hypo" against
    its organ.
    """

    kind: str
    organ: str
    side: str = ""
    segment: int = 0
    diameter: float
    slices: tuple[int, int]
    marked: int
    attenuation: Mapping[str, str] = field(default_factory=dict)
