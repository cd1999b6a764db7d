# The face of the package: what a user types, and what the chapters of the book import.  Each name is imported from its
# room when it is first used, so that a room can move and no chapter need change.

# Data
from .datasets import load_dataset as load_dataset
from .scans.conventions import CLASS_NAMES as CLASS_NAMES
from .scans.conventions import LIVER_VLM_CLASSES as LIVER_VLM_CLASSES
from .scans.lesions import LesionSet as LesionSet
from .scans.lesions import displace as displace
from .scans.windowing import images as images
from .scans.phases import inverses as inverses
from .scans.phases import order_names as order_names
from .scans.phases import shuffle as shuffle
from .scans.rois import extract_rois as extract_rois
from .scans.study import Study as Study
from .studies.files import read_study as read_study
from .studies.manifest import import_studies as import_studies
from .phantom.abdomen import abdomen_study as abdomen_study
from .phantom.abdomen_patients import draw_abdomens as draw_abdomens
from .phantom.cohort import make_cohort as make_cohort
from .phantom.cohort import phantom_study as phantom_study
from .phantom.enhancement import read_table as read_table
from .phantom.patients import Knobs as Knobs
from .phantom.patients import draw_patients as draw_patients
from .phantom.patients import table1 as table1
from .phantom.sentences import question_answers as question_answers
from .phantom.sentences import report_text as report_text
from .phantom.sentences import split_report as split_report
from .phantom.series import make_series as make_series

# Models
from .models import augmentation as augmentation
from .models import pretext as pretext
from .models import tiny_clip as tiny_clip
from .models import zero_shot as zero_shot
from .models.encoders import ImageEncoder as ImageEncoder
from .models.liver_vlm import LiverVLM as LiverVLM
from .models.prompts import descriptions as descriptions
from .models.prompts import prompts_by_order as prompts_by_order
from .models.prompts import templates as templates
from .models.selector import best_slices as best_slices
from .models.selector import encode_slices as encode_slices
from .models.selector import slice_scores as slice_scores
from .models.selector import train_selector as train_selector
from .models.settings import Config as Config
from .models.settings import Recipe as Recipe
from .models.text import encode_text as encode_text
from .models.text import text_bank as text_bank
from .models.trainer import config_for as config_for
from .models.trainer import pretrain as pretrain
from .models.trainer import train_model as train_model
from .models.towers import PictureTowers as PictureTowers
from .models.towers import SliceTowers as SliceTowers
from .models.training import fit as fit
from .models.training import predict as predict
from .models.training import to_device as to_device

# Evaluation
from .evaluation import forensics as forensics
from .evaluation.comparisons import Comparison as Comparison
from .evaluation.comparisons import cluster_bootstrap as cluster_bootstrap
from .evaluation.comparisons import delong as delong
from .evaluation.comparisons import paired_t as paired_t
from .evaluation.comparisons import pairs_for_half_width as pairs_for_half_width
from .evaluation.comparisons import power as power
from .evaluation.comparisons import simulate_type_one as simulate_type_one
from .evaluation.comparisons import verdicts as verdicts
from .evaluation.grad_cam import class_score as class_score
from .evaluation.grad_cam import grad_cam as grad_cam
from .evaluation.grad_cam import on_pixels as on_pixels
from .evaluation.grad_cam import phase_effect as phase_effect
from .evaluation.grad_cam import precision_over_prevalence as precision_over_prevalence
from .evaluation.metrics import accuracy_over_folds as accuracy_over_folds
from .evaluation.metrics import auc_over_folds as auc_over_folds
from .evaluation.metrics import calibration as calibration
from .evaluation.metrics import design_effect as design_effect
from .evaluation.outcome import Outcome as Outcome
from .evaluation.patients import PatientAnswers as PatientAnswers
from .evaluation.patients import accuracy_by as accuracy_by
from .evaluation.patients import last_less_first as last_less_first

# Runs
from .analyses import explained as explained
from .analyses import key_slices as key_slices
from .runs.cells import coverage as coverage
from .runs.cross_validation import cross_validate as cross_validate
from .runs.methods import Pretext as Pretext
from .runs.methods import Radiomics as Radiomics
from .runs.methods import Trained as Trained
from .runs.methods import ZeroShot as ZeroShot
from .runs.records import read_record as read_record
from .runs.results import Runs as Runs
from .runs.results import claims as claims
from .runs.rows import all_rows as all_rows
from .runs.rows import declared as declared

# The book
from .book import exercises as exercises
from .book.clinic import accuracy_lines as accuracy_lines
from .book.clinic import roc_curves as roc_curves
from .book.figures import PALETTE as PALETTE
from .book.figures import arm_curves as arm_curves
from .book.figures import cohort_dots as cohort_dots
from .book.figures import enhancement_curves as enhancement_curves
from .book.figures import fold_dots as fold_dots
from .book.figures import folds_by_row as folds_by_row
from .book.figures import forest as forest
from .book.figures import lesion_grid as lesion_grid
from .book.figures import map_grid as map_grid
from .book.figures import observer_bars as observer_bars
from .book.figures import part_scores as part_scores
from .book.figures import reliability as reliability
from .book.figures import say as say
from .book.figures import similarity_matrix as similarity_matrix
from .book.figures import type_one_rates as type_one_rates
from .book.live import live_answer as live_answer
from .book.live import live_panel as live_panel
from .book.moving import interval_and_pairs as interval_and_pairs
from .book.moving import key_slice as key_slice
from .book.moving import map_reader as map_reader
from .book.moving import phase_order as phase_order
from .book.moving import similarity_space as similarity_space
from .book.moving import window_level as window_level
from .book.widgets import browse as browse

# The house
from .base.device import best_device as best_device
from .base.errors import InputError as InputError
from .base.paths import data_file as data_file
from .base.profiles import current_profile as current_profile
from .base.profiles import get_profile as get_profile
