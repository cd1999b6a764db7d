"""What the names of files and folders tell: a phase, a mask, an organ; what is left names the patient."""

import re
from collections.abc import Sequence

from .phase_words import named_phases

VOLUMES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
PHASE_WORDS = {
    "NC": "nc ncct nect dry pre native nativ plain non noncontrast precontrast unenhanced",
    "ART": "art arterial arteriell ap hap",
    "PV": "pv pvp ven portal venous portalvenous venös portalvenös",
    "DL": "dl del delay delayed late equilibrium",
}
PHASE_OF = {word: phase for phase, words in PHASE_WORDS.items() for word in words.split()}
TOLD = {
    "lesion": "lesion lesions tumor tumors tumour tumours mass masses nodule nodules gtv",
    "kind": ("hcc icc ccc cyst cysts hem hemangioma haemangioma fnh met mets metastasis metastases cancer neoplasm"),
    "mask": (
        "mask masks seg segs segmentation segmentations label labels roi rois contour contours annotation "
        "annotations gt"
    ),
    "image": "ct cts cect image images img imgs volume volumes vol scan scans phase phases contrast",
    "plain": "nii nifti niftis nrrd mha dicom dcm data raw series tr ts train test",
    "organ": (
        "liver hepar spleen kidney kidneys pancreas gallbladder stomach duodenum bowel colon esophagus "
        "oesophagus intestine aorta artery arteries vein veins vena cava vessel vessels lung lungs heart "
        "atrium atrial ventricle trachea bronchus bone bones spine spinal vertebra vertebrae rib ribs costal "
        "sternum sacrum hip femur humerus scapula clavicula skull brain muscle muscles autochthon gluteus "
        "iliopsoas iliac psoas adrenal bladder prostate thyroid body skin external fat table couch lobe "
        "couinaud organ organs"
    ),
}
LESION, KIND, MASK, IMAGE, PLAIN, ORGANS = (frozenset(words.split()) for words in TOLD.values())
SESSION = re.compile(
    r"(19|20)\d\d[-_.]?\d\d[-_.]?\d\d\d*|(ses|session|visit|tp|timepoint|study|exam)[-_ ]?\d+", re.IGNORECASE
)
CHANNEL = re.compile(r"000\d")  # nnU-Net's end of an image's name


def stem(name: str) -> str:
    """A file's name without what tells its format."""
    return next((name[: -len(end)] for end in VOLUMES if name.lower().endswith(end)), name)


def words_of(name: str) -> tuple[str, ...]:
    """Its words and numbers, in small letters: "caseA_PortalVenous-2" has case, a, portal, venous, 2."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return tuple(re.findall(r"[^\W\d_]+|\d+", apart.casefold()))


def phase_told(words: Sequence[str]) -> str | None:
    """The one phase that words name; late arterial is arterial."""
    told = [(word, PHASE_OF[word]) for word in words if word in PHASE_OF]
    if [phase for _, phase in told] == ["DL", "ART"] and told[0][0] == "late":
        return "ART"
    phases = {phase for _, phase in told}
    return phases.pop() if len(phases) == 1 else None


def phase_of_name(name: str) -> str | None:
    """The one phase that the name of a file or folder tells."""
    words = words_of(stem(name))
    named = named_phases(phase_told(words) or " ".join(words))
    return next(iter(named)) if len(named) == 1 else None


def tells_mask(words: Sequence[str]) -> bool | None:
    """Whether words name a mask; None where they name neither a mask nor an image."""
    return True if (LESION | MASK) & {*words} else False if IMAGE & {*words} else None


def organs_told(words: Sequence[str]) -> int:
    """How many words name organs, where none names a lesion."""
    return 0 if (LESION | KIND) & {*words} else len(ORGANS & {*words})


def is_plain(folder: str) -> bool:
    """Whether a folder's name says what it holds and not whose: ct, masks, imagesTr, arterial."""
    words = words_of(folder)
    return bool(words) and all(word in PHASE_OF or word in LESION | MASK | IMAGE | PLAIN for word in words)


def case_of(words: Sequence[str]) -> tuple[str, ...]:
    """What is left of a file's words: whose it is."""
    left = [word for word in words if word not in PHASE_OF and word not in LESION | MASK | IMAGE]
    numbered = any(map(str.isdecimal, left[:-1]))
    return tuple(left[:-1] if numbered and CHANNEL.fullmatch(left[-1]) else left)
