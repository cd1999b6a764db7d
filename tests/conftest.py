"""What the tests share: no network, caches in a folder that goes away, small data, a small encoder, a browser."""

import locale
import os
import resource
import shutil
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Before any import of huggingface_hub, which reads these once.
_HOME = tempfile.TemporaryDirectory(prefix="livervlm-tests-")
os.environ.update(HF_HUB_OFFLINE="1", HF_HOME=f"{_HOME.name}/hf", LIVERVLM_CACHE=f"{_HOME.name}/cache")
os.environ["OMP_NUM_THREADS"] = "1"  # threads on small tensors, and beside other work, only wait for one another
for _name in ("LIVERVLM_PROFILE", "LIVERVLM_DATA", "LIVERVLM_LIVE_URL", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
    os.environ.pop(_name, None)

settings.register_profile("house", deadline=None, max_examples=30)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("CYST", "FNH", "HCC", "HEM")
CHROMIUM = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
)


def cells_that_wait(chapter: str, condition: str) -> list[str]:
    """The cells of a chapter that show their tables only once records are there."""
    import pages

    (source,) = (one for one in pages.Book(ROOT).sources if one.path.stem == chapter)
    return [cell.source for cell in source.cells if cell.cell_type == "code" and condition in cell.source]


def make_toy(size: int = 16, phases=("NC", "ART", "PV"), groups: int = 5, seed: int = 0):
    """A separable set: every group has a patient of each class with two slices; a class has its own brightness."""
    from livervlm.scans.lesions import LesionSet

    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(4 * groups), 2)
    label = patient % 4
    shape = (len(patient), len(phases), size, size)
    levels = np.stack([-60 + 70 * label * (-1) ** p for p in range(len(phases))], axis=1)
    hu = np.rint(levels[:, :, None, None] + rng.normal(0, 20, shape)).astype(np.int16)
    middle = np.zeros(shape, dtype=np.uint8)
    middle[..., size // 4 : -size // 4, size // 4 : -size // 4] = 1
    middle[..., size // 2, size // 2] |= 2
    return LesionSet(
        hu,
        label,
        patient,
        patient // 4 + 1,
        np.tile([5.0, 0.9, 0.9], (len(patient), 1)),
        phases=phases,
        masks=middle,
        mask_names=("lesion", "scar"),
        source={"kind": "toy"},
    )


@contextmanager
def small_disk(most: int):
    """No file may grow over `most` bytes: an error of the system while a file is written, as of a full disk."""
    capped, deaf = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, capped[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, capped)
        signal.signal(signal.SIGXFSZ, deaf)


@pytest.fixture(scope="session")
def toy():
    """40 slices of 20 patients in 5 groups, 16 px; not to be changed in place."""
    return make_toy()


@pytest.fixture(scope="session")
def cohort():
    """The phantom cohort as every chapter gets it: seed 0, at the smoke profile's resolution."""
    from livervlm.datasets import load_dataset

    return load_dataset("phantom", progress=False)


@pytest.fixture(scope="session")
def provenance():
    """What a record says of the code that made it; asked once, as git is asked for the commit."""
    from livervlm.runs.records import code_provenance

    return code_provenance()


@pytest.fixture(autouse=True)
def same_locale():
    """ITK leaves another one behind when a test writes DICOM through it."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    """A cache folder of this test's own."""
    monkeypatch.setenv("LIVERVLM_CACHE", str(tmp_path / "own-cache"))
    return tmp_path / "own-cache"


@pytest.fixture
def tiny_encoder(monkeypatch):
    """Put a small network behind the name of the default encoder, and run folds in this process, where it is known."""
    import joblib
    from torch import nn

    from livervlm.models import encoders

    def build(n_phases: int, pretrained: bool):
        body = nn.Sequential(nn.Conv2d(n_phases, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
        return encoders.ImageEncoder(body, 8)

    monkeypatch.setitem(encoders.ENCODERS, "resnet18", build)
    with joblib.parallel_config("sequential"):
        yield


@pytest.fixture
def one_process():
    """What would start processes does its work in this one."""
    import joblib

    with joblib.parallel_config("sequential"):
        yield


@pytest.fixture
def quick(monkeypatch):
    """The smoke profile, made smaller still; also what the commands find."""
    from livervlm.base import profiles

    profile = profiles.Profile("smoke", size=16, epochs=2, text_encoder="minilm")
    monkeypatch.setitem(profiles.PROFILES, "smoke", profile)
    return profile


@pytest.fixture(scope="module")  # no longer: while it is open, code that starts an event loop of its own fails
def browser():
    """Chromium without a window; where there is none, the test is skipped."""
    from playwright.sync_api import sync_playwright

    found = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if found is None:
        pytest.skip("no chromium was found: nothing was tried in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM.split())
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that must ask no network for anything and log no error."""
    page = browser.new_page(viewport={"width": 800, "height": 900})
    faults = []
    page.on(
        "request", lambda request: request.url.startswith(("data:", "about:", "blob:")) or faults.append(request.url)
    )
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []
