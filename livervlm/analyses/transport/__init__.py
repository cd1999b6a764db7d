"""Does a gain that five folds find inside a hospital survive in the next, and do five folds predict it?

A hospital is one draw of the phantom's tables.  For each declared contrast and each cohort there are four differences,
in points.  folds: of five folds inside the cohort.  inside: on other patients of the cohort's hospital.  outside: on
patients of twenty other hospitals.  next: on the patients of one other cohort.  The plan that these functions carry
out is `data/results/next_hospital.md`.  Its intervals draw whole cohorts again, with all their contrasts.
"""

from .prediction import ceiling as ceiling
from .prediction import correlations as correlations
from .prediction import coverage as coverage
from .prediction import five_fold_intervals as five_fold_intervals
from .prediction import predictors as predictors
from .prediction import winners as winners
from .study import FEW as FEW
from .study import RESNET18 as RESNET18
from .study import Transport as Transport
from .survival import AUGMENTED as AUGMENTED
from .survival import SCALED as SCALED
from .survival import changes as changes
from .survival import same_signs as same_signs
from .survival import survival as survival
