"""What data are called and how they are shown: classes, phases, the window of Hounsfield units.

Data carry their own classes and phases; here stands what is known about each, and the defaults.
"""

CLASS_NAMES = {  # short name -> full name, as prompts spell it (Liver-VLM, section 3.3; LiLNet)
    "CYST": "Cyst",
    "FNH": "Focal Nodular Hyperplasia",
    "HCC": "Hepatocellular Carcinoma",
    "HEM": "Hemangioma",
    "ICC": "Intrahepatic Cholangiocarcinoma",
    "MET": "Metastasis",
}
MALIGNANT = ("HCC", "ICC", "MET")
LIVER_VLM_CLASSES = ("CYST", "FNH", "HCC", "HEM")  # of the paper's Table 1
LILNET_CLASSES = ("CYST", "FNH", "HCC", "HEM", "ICC", "MET")  # LiLNet's six, by name
# In the order in which the phases are acquired: the canonical channel order.
PHASE_NAMES = {"NC": "Non-Contrast", "ART": "Arterial", "PV": "Portal Venous", "DL": "Delayed"}
CANONICAL = ("NC", "ART", "PV")
ABSENT = -1024  # HU, of a phase that a patient lacks: black at any window
WINDOW = (-160.0, 240.0)  # HU; width 400, level 40.  The paper names no window.
