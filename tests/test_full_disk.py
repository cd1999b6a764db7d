"""A disk that is full while a command writes: one line, and nothing half-written."""

from pathlib import Path

import pytest
from conftest import small_disk

from livervlm import cli

MOST = {  # a command -> bytes that a file may have
    "phantom --out new.safetensors --size 16": 100_000,
    "phantom --studies 4 --out new": 10_000,
    "train toy.safetensors --out new --head fc": 2_000,
    "predict model toy.safetensors --out new.csv": 300,
    "audit toy.safetensors --html new.html": 500,
    "evaluate toy.safetensors --records new": 200,
    "scan studies --out new.csv": 50,
}


@pytest.fixture(scope="module")
def phantom_studies(tmp_path_factory):
    pytest.importorskip("SimpleITK", reason="SimpleITK (the extra `studies`) is not installed")
    folder = tmp_path_factory.mktemp("phantom") / "studies"
    assert cli.main(["phantom", "--studies", "4", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("command", MOST)
def test_it_is_one_line_and_leaves_nothing(
    command, phantom_studies, tmp_path, toy, quick, tiny_encoder, empty_cache, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("studies").symlink_to(phantom_studies)
    toy.save("toy.safetensors")
    if command.startswith("predict"):
        assert cli.main(["train", "toy.safetensors", "--out", "model", "--head", "fc"]) == 0
    before = sorted(Path().rglob("*"))
    capsys.readouterr()
    with small_disk(MOST[command]):
        assert cli.main(command.split()) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line and "%|" not in line]
    assert len(said) == 1, said
    assert said[0].startswith("livervlm: error: ")
    assert "File too large" in said[0] or "is the disk full?" in said[0]
    left = {path for path in Path().rglob("*") if path not in before and path.is_file()}
    assert {path.name for path in left if not {".locks", "own-cache"} & {*path.parts}} <= {"scan.salt"}
    assert cli.main(command.split()) in (0, 1)
