"""The command that runs rows: what it lists, where it goes on, and where it refuses to."""

import json
import re

import pytest
import torch

from livervlm.base.errors import InputError
from livervlm.cli import main
from livervlm.runs import cells as module
from livervlm.runs.cells import on_one_device
from livervlm.runs.records import SCHEMA, write_record
from livervlm.runs.rows import all_rows

pytest_plugins = ["small_cells"]


def test_the_list_names_every_row_with_the_papers_figure(capsys):
    assert main(["reproduce", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}  [" in shown for name in all_rows())
    assert "85.09 ± 3.89 %" in shown
    assert "ImageNet weights" in shown
    assert len(re.findall(r"recorded: (?:\d+ cohorts|needs|no record yet)", shown)) == len(all_rows())


def test_the_command_runs_a_table_and_goes_on(house, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "--table", "7", "--profile", "smoke"]) == 0
    shown = capsys.readouterr().out
    assert "15 cells run, 0 were there before" in shown
    assert re.search(r"model 2 +85.63 ± 3.18 +\d+\.\d\d ± \d+\.\d\d +5 folds of 1 cohorts", shown)
    assert main(["reproduce", "--table", "7", "--profile", "smoke"]) == 0
    assert "0 cells run, 15 were there before" in capsys.readouterr().out


def test_a_cohort_goes_on_only_in_the_precision_in_which_it_began(house, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    todo = house("scratch", "model 1", protocol="population", cohorts=2)
    folds = house("scratch", protocol="inside")
    begun = next(cell for cell in todo if (cell.row.name, cell.cohort) == ("scratch", 1))
    write_record(begun.path(tmp_path), {"schema": SCHEMA, "device": {"type": "cpu", "name": "any", "autocast": "None"}})
    on_one_device(folds, tmp_path)  # another cohort
    said = r"cohort 1 was begun on cpu, float32, and this is cpu, bfloat16; .* set LIVERVLM_PRECISION=float32"
    for cells_of_it in (todo, house("scratch", protocol="inside", cohorts=2)):
        with pytest.raises(InputError, match=said):
            on_one_device(cells_of_it, tmp_path)
    on_one_device([begun], tmp_path)  # it has its record
    with pytest.raises(InputError, match=said):  # scratch is compared with it, though it is not asked for
        on_one_device([cell for cell in todo if cell.row.name == "model 1"], tmp_path)
    monkeypatch.setenv("LIVERVLM_PRECISION", "float32")
    on_one_device(todo, tmp_path)
    gpu = {"type": "cuda", "name": "any", "autocast": "torch.bfloat16"}
    write_record(folds[0].path(tmp_path), {"schema": SCHEMA, "device": gpu})
    with pytest.raises(InputError, match=r"cohort 0 was begun on cuda.* leave LIVERVLM_PRECISION out, or go on"):
        on_one_device(todo, tmp_path)
    monkeypatch.delenv("LIVERVLM_PRECISION")
    with pytest.raises(InputError, match=r"this is cpu, bfloat16; .* mix them: go on where it began, or give another"):
        on_one_device(folds, tmp_path)
    folds[0].path(tmp_path).write_text("{")
    with pytest.raises(InputError, match="fold1"):
        on_one_device(todo, tmp_path)


def test_the_command_asks_first_whether_a_cohort_may_go_on_here(house, answered, tmp_path, monkeypatch, capsys):
    def refuse(todo, out):
        raise InputError(f"{out}: {len(todo)} cells")

    monkeypatch.setattr(module, "on_one_device", refuse)
    assert main(["reproduce", "--row", "scratch", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path}: 5 cells" in capsys.readouterr().err
    assert not answered


def test_a_row_without_its_weights_says_so_and_nothing_stands_in(house, tmp_path, capsys):
    assert main(["reproduce", "--row", "CLIP, one prompt", "--row", "scratch", "--out", str(tmp_path / "r")]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"not run: CLIP, one prompt: .*clip-vit-base-patch32", shown)
    assert not list((tmp_path / "r").rglob("clip*"))


def test_a_changed_record_stops_the_summary(house, tmp_path, capsys):
    arguments = ["reproduce", "--row", "scratch", "--out", str(tmp_path)]
    main(arguments)
    path = next(tmp_path.glob("paper/scratch/*fold3.json"))
    record = json.loads(path.read_text())
    record["train_loss"][0] = 0.0
    path.write_text(json.dumps(record))
    assert main(arguments) == 2
    assert "changed since it was written" in capsys.readouterr().err
