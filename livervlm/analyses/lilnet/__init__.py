"""LiLNet's study on the phantom: the whole, its parts taken away, and its rivals, inside a centre and outside it.

`python -m livervlm.analyses.lilnet` teaches the rows and writes a record of each cohort.
"""

from .cohorts import ROWS as ROWS
from .summary import agreement as agreement
from .summary import answers as answers
from .summary import as_prevalent as as_prevalent
from .summary import by_background as by_background
from .summary import by_centre as by_centre
from .summary import by_size as by_size
from .summary import contrasts as contrasts
from .summary import declared as declared
from .summary import measures as measures
from .summary import read_records as read_records
from .summary import recall as recall
from .summary import same_signs as same_signs
from .summary import staged as staged
from .summary import verdict as verdict
