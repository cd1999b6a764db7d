"""The command line from outside: quick help, exit statuses, pipes, and the rooms that may import one another."""

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec

import pytest

from livervlm import cli
from livervlm.cli.parser import build_parser

COMMANDS = (
    "phantom",
    "scan",
    "import",
    "audit",
    "train",
    "predict",
    "evaluate",
    "find",
    "segment",
    "detect",
    "demo",
    "reproduce",
    "report",
    "doctor",
)


def shell(*arguments: str, code: str | None = None) -> subprocess.CompletedProcess:
    start = [sys.executable, "-c", code] if code else [sys.executable, "-m", "livervlm.cli"]
    return subprocess.run([*start, *arguments], capture_output=True, encoding="utf-8", timeout=120)


def test_the_package_is_light_to_import_and_help_needs_no_torch():
    code = "import sys, livervlm; print({'torch', 'transformers', 'sklearn', 'pandas'} & set(sys.modules))"
    assert shell(code=code).stdout.strip() == "set()"
    code = """import sys
from livervlm import cli
try: cli.main(sys.argv[1:])
except SystemExit as end: print(end.code, {'torch', 'transformers', 'numpy', 'pandas', 'tqdm'} & set(sys.modules))"""
    for arguments in (["--help"], ["train", "--help"]):
        assert shell(*arguments, code=code).stdout.splitlines()[-1] == "0 set()"


def test_a_reader_who_closes_the_pipe_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    start = [sys.executable, "-m", "livervlm.cli", "reproduce", "--list"]
    ended = subprocess.run(start, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_parses_and_says_what_it_is_not_for(command, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    assert "not for diagnosis" in text
    example = next(shlex.split(line) for line in text.splitlines() if line.startswith("  livervlm "))
    assert example[1] == command
    assert callable(build_parser().parse_args(example[1:]).run)


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert tuple(re.findall(r"^    (\w+)", text, re.MULTILINE)) == COMMANDS
    assert "not for diagnosis" in text


def test_the_commands_work_from_a_shell(tmp_path, monkeypatch, toy):
    monkeypatch.chdir(tmp_path)
    toy.save("toy.safetensors")
    trained = shell("train", "toy.safetensors", "--leave-out", "1", "--out", "model", "--head", "fc")
    assert trained.returncode == 0, trained.stderr
    assert "model: trained on 32 slices of 16 patients" in trained.stdout
    refused = shell("predict", "model", "none.safetensors", "--out", "a.csv")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "livervlm: error: none.safetensors: no such file\n"


@pytest.mark.skipif(find_spec("importlinter") is None, reason="import-linter (the extra `dev`) is not installed")
def test_rooms_import_only_from_the_rooms_below():
    from importlinter.cli import lint_imports

    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    code = f"import sys, os; os.chdir({root!r}); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
    assert callable(lint_imports)
    checked = shell(code=code)
    assert checked.returncode == 0, checked.stdout
    assert "1 kept, 0 broken" in checked.stdout
