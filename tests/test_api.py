"""The pages of the API: every name of the face stands there, with an example that runs."""

import doctest
import re
from pathlib import Path

import api
import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import livervlm
from livervlm.models.augmentation import AUGMENTATIONS

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = api.Reference()
EXAMPLES = dict(REFERENCE.examples.values())  # first name -> the example


class Checker(doctest.OutputChecker):
    """Leaves out what clears the output of a cell, which only a notebook understands."""

    def check_output(self, want: str, got: str, flags: int) -> bool:
        return super().check_output(want, re.sub(r"(\x1b\[2K\r)+\n?", "", got), flags)


@pytest.fixture(scope="module")
def lesions():
    """What the page says that every example has in hand."""
    told = re.search(r"lesions = (make_cohort\(.*\))", (ROOT / "book" / "api.md").read_text(encoding="utf-8"))
    return eval(told[1], {"make_cohort": livervlm.make_cohort})


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_shows_what_it_says(name, lesions, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    code = "\n".join(re.findall(r"^```pycon\n(.*?)^```", EXAMPLES[name], re.MULTILINE | re.DOTALL))
    used = set(re.findall(r"\w+", code)) & set(livervlm.__all__) - {"lesions"}
    known = {"np": np, "pd": pd, "torch": torch, "lesions": lesions} | {one: getattr(livervlm, one) for one in used}
    said: list[str] = []
    example = doctest.DocTestParser().get_doctest(code, known, name, "book/api_examples.md", 0)
    assert example.examples
    doctest.DocTestRunner(Checker(), optionflags=doctest.ELLIPSIS).run(example, out=said.append)
    assert not said, "".join(said)


def test_every_name_of_the_face_has_an_example_and_an_entry():
    assert set(REFERENCE.examples) == set(livervlm.__all__) == set(REFERENCE.names)
    assert not [n for n, (first, _) in REFERENCE.examples.items() if not re.search(rf"\b{n}\b", EXAMPLES[first])]
    assert re.findall(r"^### (\w+)", REFERENCE.face(), re.MULTILINE) == [*REFERENCE.names]


def test_every_module_has_a_place_in_the_rooms_and_says_what_it_is():
    text = REFERENCE.rooms()
    rooms = re.findall(r"^## (\w+)", text, re.MULTILINE)
    assert (rooms[0], rooms[-1], len(rooms)) == ("base", "cli", 11)
    for section in re.split(r"^##+ ", text, flags=re.MULTILINE)[1:]:
        name, _, told = section.partition("\n")
        assert re.match(r"\s*(\[`|[^\s\[(-])", told), f"{name} has no docstring"
    for module, path in REFERENCE.package.modules.items():
        functions = re.search(r"^(def|class) [a-z]\w*", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not functions or "exercises." in module or f"/{path.relative_to(ROOT)}" in f"/{text}", module


def test_every_link_arrives_at_a_label():
    page = (ROOT / "book" / "api.md").read_text(encoding="utf-8")
    text = f"{page}\n{REFERENCE.face()}\n{REFERENCE.rooms()}"
    labels = set(re.findall(r"^\(([^)]+)\)=", text, re.MULTILINE))
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= labels


def test_sphinx_is_told_of_the_pages():
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]
    assert {*config["local_extensions"]} == {"api", "reference", "tables"} <= {*config["config"]["extensions"]}


def test_labels_differ_though_they_know_no_capitals():
    labels = re.findall(r"^\(([^)]+)\)=", f"{REFERENCE.face()}\n{REFERENCE.rooms()}", re.MULTILINE)
    assert len({label.casefold().replace("_", "-") for label in labels}) == len(labels) > 300


@pytest.mark.parametrize(
    ("doc", "known", "expected"),
    [
        ("A 2*3 [grid] of `x*y`.", (), r"A 2\*3 \[grid\] of `x*y`."),
        (
            "See `fit` and `fit(model)`, not `fitted`.",
            (),
            "See [`fit`](#api-fit) and [`fit(model)`](#api-fit), not `fitted`.",
        ),
        ("hu: what is\ngiven.  size: px.", ("hu", "size"), "- **hu**: what is given.\n- **size**: px."),
        ("hu: what is given: HU.", ("hu",), "**hu**: what is given: HU."),
        ("first: one\n    and more.\nsecond: two.", (), "- first: one and more.\n- second: two."),
        ("1. is no list", (), r"\1. is no list"),
        ("One.\n\nTwo\nlines.", (), "One.\n\nTwo lines."),
    ],
)
def test_a_docstring_becomes_markdown(doc, known, expected):
    assert REFERENCE.prose(doc, known) == expected


def test_names_beyond_the_face_lead_to_their_module_and_keys_are_told():
    assert REFERENCE.prose("`encoders.ENCODERS`, `read_volume`, `no_such_name`, `train`") == (
        "[`encoders.ENCODERS`](#room-models-encoders), [`read_volume`](#room-studies-volumes), `no_such_name`, `train`"
    )
    assert [*REFERENCE.choices("livervlm.models.augmentation")["AUGMENTATIONS"]] == [*AUGMENTATIONS]
    assert "- `OPTIMIZERS`: `sgd`, `adam`." in REFERENCE.rooms()


def test_signatures_are_those_of_the_code():
    node = api.ast.parse("def f(a: int, *b, c: str = 'x', **d) -> float: ...").body[0]
    assert api.signature(node) == "f(a: int, *b, c: str = 'x', **d) -> float"
    assert api.call(node) == "f(a, *b, c, **d)"
    long = api.ast.parse(f"def f(a: {'int' * 40}, *, b=1): ...").body[0]
    assert api.signature(long).splitlines()[2:] == ["    *,", "    b = 1,", ")"]
