"""Does a Grad-CAM map show what its network used?  Maps are scored on phantom patients, whose causal parts are known.

Every patient gives one slice, cut with the lesion off the middle so that "the centre" is no answer, and the same slice
again without each part that is visible in it.  A map of the true class is asked two questions:

localisation: does the map single out the part within the lesion?  Two scores answer: the average precision over the
    part's share of the lesion, and the part's share of the map's positive energy over the same.  A map that knows
    nothing gets 1.
faithfulness: does a larger claim for a part go with a larger fall of the score when the part is gone?  The claim is
    the map's sum over the part, the fall is that very network's, and a rank correlation answers.

`python -m livervlm.analyses.explained` trains the networks and writes a record of each and one of the baselines.
"""

from .networks import ARMS as ARMS
from .networks import network_for as network_for
from .networks import shipped_network as shipped_network
from .patients import examples as examples
from .patients import slices_without as slices_without
from .summary import faithfulness as faithfulness
from .summary import faithfulness_within_patients as faithfulness_within_patients
from .summary import localisation as localisation
from .summary import read_records as read_records
from .summary import record_table as record_table
from .summary import sentences_told as sentences_told
