"""Which slice does a sentence mean: selectors taught on some studies, tested on others, beside what needs no model.

`python -m livervlm.analyses.key_slices` teaches the selectors of the study and writes a record of each cohort.
"""

from ...evaluation.retrieval import by_patient as by_patient
from ...evaluation.retrieval import printed as printed
from .cohorts import PROMPTS as PROMPTS
from .paper import claims as claims
from .places import by_segment as by_segment
from .places import told_by_names as told_by_names
from .places import with_segments as with_segments
from .questions import PLACELESS as PLACELESS
from .questions import QUESTIONS as QUESTIONS
from .questions import baselines as baselines
from .questions import by_towers as by_towers
from .questions import organ_aucs as organ_aucs
from .questions import retrieve as retrieve
from .questions import sentences_of as sentences_of
from .questions import windowed as windowed
from .questions import wordings as wordings
from .summary import contrasts as contrasts
from .summary import declared as declared
from .summary import measured as measured
from .summary import organs as organs
from .summary import read_records as read_records
from .summary import reader_against_selector as reader_against_selector
from .summary import slice_costs as slice_costs
