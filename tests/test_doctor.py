"""`livervlm doctor` tells the truth about a machine, whatever is missing, without a network and without a name."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from livervlm.base.errors import InputError
from livervlm.cli import weights
from livervlm.cli.doctor import ABLE, EXTRAS, NEEDED
from livervlm.models.encoders import ENCODERS, build_encoder
from livervlm.models.text import TEXT_ENCODERS

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
        self.environment |= {"HOME": str(self.home), "LOGNAME": "anna", "MARK": str(self.mark)}
        self.environment["PYTHONPATH"] = os.pathsep.join([str(self.site), str(ROOT)])

    def doctor(self, *arguments: str, **environment: object) -> subprocess.CompletedProcess:
        ended = subprocess.run(
            [sys.executable, "-m", "livervlm.cli", "doctor", *arguments],
            env=self.environment | {name: str(value) for name, value in environment.items()},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in ended.stderr
        assert not self.mark.exists(), self.mark.read_text()
        return ended

    def findings(self, status: int = 0, **environment: object) -> dict[str, dict]:
        ended = self.doctor("--json", **environment)
        assert ended.returncode == status, ended.stdout + ended.stderr
        found = json.loads(ended.stdout)
        assert found["trains"] is (status == 0)
        return {one["name"]: one for one in found["findings"]} | {"": found}


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_an_empty_home_gives_one_screen_without_a_name_and_stays_empty(machine):
    ended = machine.doctor()
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line[0] not in " !"][:-1] == [
        "machine", "extras", "folders", "settings", "weights",
    ]  # fmt: skip
    assert "anna" not in ended.stdout
    assert "cache            ~/.cache/livervlm, not made yet, writable" in ended.stdout
    assert lines[-1].startswith("Works: training, ")
    assert f"the {sum(line.startswith('!') for line in lines)} lines with !" in lines[-1]
    assert list(machine.home.rglob("*")) == []


@pytest.mark.parametrize("offline", [0, 1])
def test_weights_that_are_not_here_are_told_apart_from_those_that_are_shipped(machine, offline):
    found = machine.findings(HF_HUB_OFFLINE=offline)
    assert found["bert"]["works"] is False
    assert "google-bert/bert-base-uncased" in found["bert"]["found"]
    assert re.match(r"\d+ prompts shipped; the encoder for others is ", found["minilm"]["found"])
    assert found["zero-shot"]["found"] == "at hand: none; not: clip, pubmedclip, biomedclip, medclip"
    assert found["ImageNet"]["found"] == f"at hand: none; not: {', '.join(ENCODERS)}"
    assert found["ImageNet"]["remedy"].endswith("they go to ~/.cache/torch/hub/checkpoints")
    assert (found["Grad-CAM"]["works"], found["Grad-CAM"]["found"]) == (True, "resnet18 shipped, 4 classes")


def test_weights_that_are_here_are_found(machine):
    def snapshot(repository, **files):
        folder = machine.home / ".cache/huggingface/hub" / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("c0ffee")
        (folder / "snapshots" / "c0ffee").mkdir(parents=True)
        for name, text in files.items():
            (folder / "snapshots" / "c0ffee" / name.replace("__", ".")).write_text(text)

    snapshot("google-bert/bert-base-uncased", config__json="{}", model__safetensors="")
    clip = {"config__json": "{}", "preprocessor_config__json": "{}", "vocab__json": "{}", "model__safetensors": ""}
    snapshot("openai/clip-vit-base-patch32", **clip)
    words = {"hf_model_name": "some/bert", "hf_tokenizer_name": "some/bert"}
    config = json.dumps({"model_cfg": {"text_cfg": words}})
    snapshot(
        "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        open_clip_config__json=config,
        open_clip_pytorch_model__bin="",
    )
    checkpoints = machine.home / ".cache/torch/hub/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / weights.imagenet_files()["resnet18"].name).touch()
    found = machine.findings()
    assert (found["bert"]["works"], found["bert"]["found"]) == (True, "google-bert/bert-base-uncased is at hand")
    assert found["zero-shot"]["found"] == "at hand: clip; not: pubmedclip, biomedclip, medclip"  # without its BERT
    assert found["ImageNet"]["found"].startswith("at hand: resnet18; not: resnet50, ")
    snapshot("some/bert", config__json="{}", vocab__txt="")
    assert machine.findings()["zero-shot"]["found"] == "at hand: clip, biomedclip; not: pubmedclip, medclip"


def test_json_and_the_screen_say_the_same(machine):
    found, screen = machine.findings(), " ".join(machine.doctor().stdout.split())
    for name, one in found.items():
        if name:
            text = f"{one['found']}; {one['remedy']}" if one["remedy"] else one["found"]
            mark = "" if one["works"] else "! "
            assert f"{mark}{name} {text}" in screen
    assert screen.endswith(found[""]["conclusion"])
    assert set(NEEDED).union(*ABLE.values()) < set(found)


@pytest.mark.parametrize("where", ["a file", "no permission"])
def test_a_cache_that_cannot_be_written_is_said_and_ends_with_1(machine, where):
    place = machine.home / "cache"
    if where == "a file":
        place.touch()
    else:
        place.mkdir(mode=0o500)
        if os.access(place, os.W_OK):
            pytest.skip("this user may write everywhere")
    found = machine.findings(1, LIVERVLM_CACHE=place / "livervlm")
    assert found["cache"]["found"].startswith("~/cache/livervlm, not writable (")
    assert "LIVERVLM_CACHE" in found["cache"]["remedy"]
    assert found[""]["conclusion"].startswith("Nothing can be trained here.")


def test_a_cache_in_use_is_measured(machine):
    (machine.home / "cache" / "deep").mkdir(parents=True)
    (machine.home / "cache" / "deep" / "phantom").write_bytes(bytes(3_000_000))
    assert machine.findings(LIVERVLM_CACHE=machine.home / "cache")["cache"]["found"] == "~/cache, 3 MB, writable"


def test_settings_that_are_not_valid_are_said_and_end_with_0(machine):
    found = machine.findings(LIVERVLM_PROFILE="huge", LIVERVLM_DATA=machine.home / "none.safetensors")
    assert (found["LIVERVLM_PROFILE"]["works"], found["LIVERVLM_DATA"]["works"]) == (False, False)
    assert found["LIVERVLM_PROFILE"]["found"].startswith("profile 'huge' is unknown: choose one of smoke")
    assert found["LIVERVLM_DATA"]["found"] == "~/none.safetensors: no such file"


def test_settings_that_are_valid_are_described(machine, toy):
    toy.save(machine.home / "mine.safetensors")
    found = machine.findings(LIVERVLM_PROFILE="paper", LIVERVLM_DATA=machine.home / "mine.safetensors")
    assert found["LIVERVLM_PROFILE"]["found"] == "paper, 224 px, 200 epochs, text bert"
    assert found["LIVERVLM_DATA"]["found"].startswith("~/mine.safetensors: 40 slices (CYST 10, ")
    assert found["LIVERVLM_DATA"]["works"] is True


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ModuleNotFoundError(\"No module named 'torch'\", name='torch')", "torch is missing"),
        ("ImportError('libcudart.so.12: cannot open shared object file')", "broken: libcudart.so.12: cannot open"),
    ],
)
def test_without_a_torch_that_works_the_rest_is_still_told(machine, raised, said):
    (machine.site / "torch.py").write_text(f"raise {raised}")
    found = machine.findings(1)
    assert found["torch"]["found"].startswith(said)
    assert found["torch"]["remedy"]
    assert (found["cache"]["works"], found["LIVERVLM_PROFILE"]["works"]) == (True, True)


def test_an_extra_that_is_missing_comes_with_the_line_that_brings_it(monkeypatch):
    from livervlm.cli import doctor

    monkeypatch.setitem(EXTRAS, "studies", ("SimpleITK-of-nobody",))
    found = {one.name: one for one in doctor._findings()}
    assert found["studies"].found == "SimpleITK-of-nobody missing"
    assert found["studies"].remedy == "pip install 'livervlm[studies]'"
    assert not found["studies"].works


# -- What is written down twice must agree ------------------------------------------------------------------------


def test_the_extras_are_those_of_pyproject():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    names = {extra: {re.split(r"[<>=]", line)[0] for line in lines} for extra, lines in declared.items()}
    assert {extra: set(packages) for extra, packages in EXTRAS.items()} == {
        k: v for k, v in names.items() if k != "dev"
    }


def test_every_text_encoder_is_looked_for():
    assert set(TEXT_ENCODERS) < set(weights.LOOKS)


@pytest.mark.parametrize("name", ENCODERS)
def test_pretrained_weights_are_looked_for_where_the_encoder_reads_them(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", lambda *_, **__: pytest.fail("a download"))
    file = weights.imagenet_files()[name]
    file.parent.mkdir(parents=True)
    file.write_text("no weights")
    with pytest.raises(InputError, match=re.escape(f"{file}: not the weights of")):
        build_encoder(name, 3, pretrained=True)
