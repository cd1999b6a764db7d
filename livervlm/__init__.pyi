from .results import Runs as Runs
