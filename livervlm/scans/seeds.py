"""The one table of seeds: which numbers draw which patients, so that nobody is in two groups that must be apart."""

from ..base.errors import InputError

SEEDS = {
    "book": range(0, 10_000),  # the paper's protocol; cohort 0 is the one of the chapters
    "population": range(10_000, 20_000),  # cohorts of the population protocol, from their own hospitals
    "development": range(20_000, 30_000),  # cohorts for choices, such as the number of epochs
    "chapters": range(30_000, 40_000),  # patients that a chapter shows; no recorded network saw them
    "observer": range(1_000_000, 2_000_000),  # patients from whom the near-ideal observer learns the tables
    "unlabelled": range(3_000_000, 4_000_000),  # patients that only a pretext sees
    "population pool": range(4_000_000, 5_000_000),  # test patients of the population protocol
    "development pool": range(5_000_000, 6_000_000),  # on whom choices are made
    "own hospital": range(7_000_000, 8_000_000),  # other patients of the hospital that a population cohort is from
    "explained": range(6_000_000, 7_000_000),  # patients whose Grad-CAM maps are scored
    "abdomens": range(8_000_000, 8_100_000),  # whole abdomens that a selector of key slices is taught on
    "abdomens pool": range(8_100_000, 8_200_000),  # test patients of the study on key slices
    "abdomens development": range(8_200_000, 8_300_000),  # on whom its choices are made
    "centres": range(8_300_000, 8_400_000),  # the internal centre's patients that LiLNet's study trains on
    "centres pool": range(8_400_000, 8_500_000),  # its test patients, inside the centre and outside
    "centres queue": range(8_500_000, 8_600_000),  # the clinical queues
    "centres development": range(8_600_000, 8_690_000),  # on whom choices of LiLNet's study are made
    "centres explained": range(8_690_000, 8_700_000),  # six classes whose maps are measured
    "detection": range(8_700_000, 8_800_000),  # whole abdomens that a detector of liver lesions is taught on
    "detection pool": range(8_800_000, 8_900_000),  # its test patients
    "detection development": range(8_900_000, 9_000_000),  # on whom its choices are made
    "which phase": range(9_000_000, 9_100_000),  # whole abdomens that teach which phase a series is, and its threshold
    "which phase pool": range(9_100_000, 9_200_000),  # its test patients
    "alignment": range(9_200_000, 9_300_000),  # whole abdomens whose phases are registered
    "alignment development": range(9_300_000, 9_400_000),  # on whom the settings were chosen
}


def seed_of(use: str, number: int) -> int:
    """The seed of cohort, chunk or pool `number` (from 0) of a use."""
    if not 0 <= number < len(SEEDS[use]):
        raise InputError(f"{use} {number}: there are seeds for 0 to {len(SEEDS[use]) - 1}")
    return SEEDS[use][number]
