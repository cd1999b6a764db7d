"""`livervlm doctor` tells the truth about a machine, whatever is missing, without a network and without a name."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from livervlm.cli import main
from livervlm.cli.doctor import EXTRAS
from livervlm.models.zero_shot import BASELINES

ROOT = Path(__file__).parents[1]
# Whoever connects, or asks for an address, leaves a mark and is refused.
NO_NETWORK = """import os, socket
def refuse(*args, **kwargs):
    open(os.environ["MARK"], "a").write(f"{args}\\n")
    raise OSError("no network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = socket.create_connection = refuse
"""


class Machine:
    """A home folder without anything in it, and what the command says there."""

    def __init__(self, folder: Path):
        self.home, self.site, self.mark = folder / "home" / "anna", folder / "site", folder / "mark"
        self.home.mkdir(parents=True)
        self.site.mkdir()
        (self.site / "sitecustomize.py").write_text(NO_NETWORK)
        ours = ("LIVERVLM_", "HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TORCH_", "XDG_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.environment |= {"HOME": str(self.home), "MARK": str(self.mark)}
        self.environment["PYTHONPATH"] = os.pathsep.join([str(self.site), str(ROOT)])

    def doctor(self, status: int = 0) -> tuple[list[str], str]:
        """The lines of the screen, and its text in one line."""
        ended = subprocess.run(
            [sys.executable, "-m", "livervlm.cli", "doctor"],
            env=self.environment,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        assert (ended.returncode, ended.stderr) == (status, "")
        assert not self.mark.exists(), self.mark.read_text()
        return ended.stdout.splitlines(), " ".join(ended.stdout.split())


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_an_empty_home_gives_one_screen_without_a_name_and_stays_empty(machine):
    lines, said = machine.doctor()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= 80
    assert "anna" not in said
    assert "cache ~/.cache/livervlm: 0 MB, and " in said
    assert f"! zero-shot at hand: none; not at hand: {', '.join(BASELINES)}" in said
    assert "! ImageNet no weights in ~/.cache/torch/hub/checkpoints" in said
    assert "Grad-CAM net here" in said
    assert lines[-1] == "Models can be trained here. What else is wanted stands in the lines with !."
    assert list(machine.home.rglob("*")) == []


def test_weights_that_are_here_are_found(machine):
    def snapshot(repository, *names):
        folder = machine.home / ".cache/huggingface/hub" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("c0ffee")
        (folder / "snapshots" / "c0ffee").mkdir(parents=True)
        for name in names:
            (folder / "snapshots" / "c0ffee" / name).write_text("{}")

    snapshot("google-bert/bert-base-uncased", "config.json", "model.safetensors")
    snapshot(BASELINES["clip"].repository, *(name.split("|")[0] for name in BASELINES["clip"].files))
    checkpoints = machine.home / ".cache/torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "resnet18-f37072fd.pth").touch()
    _, said = machine.doctor()
    assert "prompts of minilm shipped; at hand: " in said
    assert "bert" in said.partition("at hand: ")[2].partition(";")[0]
    assert "! zero-shot at hand: clip; not at hand: clip_b16, pubmedclip, biomedclip, medclip" in said
    assert " ImageNet resnet18-f37072fd.pth in ~/.cache/torch/hub/checkpoints" in said


@pytest.fixture
def at_home(tmp_path, monkeypatch, capsys):
    """The command in this process, with a home of its own and this cache below it."""

    def doctor(cache: str, status: int = 0) -> tuple[list[str], str]:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("LIVERVLM_CACHE", str(tmp_path / cache))
        assert main(["doctor"]) == status
        shown = capsys.readouterr().out
        return shown.splitlines(), " ".join(shown.split())

    return doctor


def test_a_cache_that_cannot_be_written_is_said_and_ends_with_1(at_home, tmp_path):
    (tmp_path / "cache").touch()
    lines, said = at_home("cache/livervlm", status=1)
    assert "! cache ~/cache/livervlm: not writable (Not a directory); set LIVERVLM_CACHE" in said
    assert lines[-1] == "Nothing can be trained here: see cache."


def test_a_cache_in_use_is_measured(at_home, tmp_path):
    (tmp_path / "cache" / "deep").mkdir(parents=True)
    (tmp_path / "cache" / "deep" / "phantom").write_bytes(bytes(3_000_000))
    assert "cache ~/cache: 3 MB" in at_home("cache")[1]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "No module named 'torch'; install it again"),
        ("ImportError('libcudart.so.12: cannot open')", "libcudart.so.12: cannot open; install it again"),
    ],
)
def test_without_a_torch_that_works_the_rest_is_still_told(machine, raised, said):
    (machine.site / "torch.py").write_text(f"raise {raised}")
    lines, shown = machine.doctor(1)
    assert f"! torch {said}" in shown
    assert "cache ~/.cache/livervlm: " in shown
    assert lines[-1] == "Nothing can be trained here: see torch."


def test_an_extra_that_is_missing_comes_with_the_line_that_brings_it(monkeypatch, capsys):
    monkeypatch.setitem(EXTRAS, "studies", ("numpy", "SimpleITK-of-nobody"))
    assert main(["doctor"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "SimpleITK-of-nobody is missing: pip install 'livervlm[studies]'" in said


def test_the_extras_are_those_of_pyproject():
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(optional) - {"dev"}
    for extra, packages in EXTRAS.items():
        for package in packages:
            assert any(requirement.startswith(package) for requirement in optional[extra])
