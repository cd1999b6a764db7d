"""What judges the answers to the book's exercises: `exercises.NAME(answer)` says in words what is wrong.

No solution stands here.  A checker knows values that can be worked out by hand, or puts an answer back into the
question, and it runs on small arrays of its own, so that it does not matter what data a reader has.
"""

from .augmentation import all_prompts_loss, mean_answer, put_back
from .clip_zero_shot import class_vectors, contrastive_loss, offset_needed
from .encoders import epochs_alike, inflated
from .grad_cam import cam, energy, fall_shares
from .judge import CHECKERS
from .key_slices import reciprocal_rank, youden
from .lilnet import aggregated, five_means, in_a_row, kappa
from .liver_vlm import scale_needed, scaled_softmax
from .luck import false_alarms, holm_adjusted, resample_patients
from .misregistration import extra_loss, shown_equivalent
from .next_hospital import highest_correlation, price_of_choosing
from .paper_numbers import corrected_interval, population_sd, possible
from .phantom_split import patient_groups, variance_factor
from .phase_shuffle import sorted_order, spread_of
from .prompts import map_to, share_that_follows, step_of_places
from .reading_ct import washes_out, window
from .report import paired_difference, verdict_of, winners_luck
