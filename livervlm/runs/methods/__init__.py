"""What a row can run: a file a method.  Each is an object that knows its settings, its needs and how to fit.

Importing them is quick: what computes is imported when it is used.
"""

from .lilnet import TrainedLiLNet
from .method import Answer, Fitted, Method
from .pretext import Pretext
from .radiomics import Radiomics
from .trained import Trained
from .zero_shot import ZeroShot

METHODS: dict[str, type[Method]] = {
    method.name: method for method in (Trained, TrainedLiLNet, Pretext, Radiomics, ZeroShot)
}

__all__ = ["METHODS", "Answer", "Fitted", "Method", "Pretext", "Radiomics", "Trained", "TrainedLiLNet", "ZeroShot"]
