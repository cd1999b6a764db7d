"""The live panel in a real browser: its answers are PyTorch's, and everything moves by mouse and keyboard."""

import ast
import re
from urllib.parse import quote

import numpy as np
import pytest
from moving_page import document, set_slider, spec_of
from test_outputs import LIKE_JUPYTERLAB

from livervlm.book.live import Moves, live_answer, live_panel
from livervlm.book.live.files import packed_files, read_live, write_script
from livervlm.book.live.network import NETWORKS, TEMPLATES
from livervlm.book.live.panel import beside
from livervlm.scans.conventions import CANONICAL, LIVER_VLM_CLASSES
from livervlm.scans.phases import order_names

TOLERANCE = {"cosine": 1e-5, "prob": 1e-4, "maps": 1e-5, "hu": 1e-3}
# The worker's own messages, in this thread of a page.
ASK = """async ([files, facts, states]) => {{
    const {{ port1, port2 }} = new MessageChannel();
    ({worker})({engine})(port2);
    const told = (message) => new Promise((done) => {{
        port1.onmessage = ({{ data }}) => done(data);
        port1.postMessage(message);
    }});
    await told({{ kind: "open", files, facts }});
    const answers = [];
    for (const state of states) {{
        const {{ channels, cosine, prob, maps, ms }} = (await told({{ kind: "answer", state }})).is;
        const hu = channels.map((one) => [...one.filter((_, i) => i % 31 === 0)]); // some pixels: all take seconds
        answers.push({{ hu, cosine: [...cosine], prob, maps, ms }});
    }}
    return answers;
}}"""


def examples() -> list[Moves]:
    """Every patient under both networks, every part taken away, every template and order, and all moves at once."""
    live = read_live()
    n = len(live.patients.slices)
    found = [Moves(patient=i, network=network) for i in range(n) for network in NETWORKS]
    found += [Moves(patient=i, without=part) for i in range(n) for part in live.patients.parts_of(i)]
    orders = order_names(CANONICAL)
    found += [Moves(patient=20, order=o, named=orders[-i], template=t) for t in TEMPLATES for i, o in enumerate(orders)]
    found.append(
        Moves(
            patient=40,
            network=NETWORKS[1],
            paint=[("ART", 20, 30, 6, -80), ("all", 60, 2, 9, 200)],
            shift={"NC": (5, -7), "PV": (-16, 3)},
            blur={"ART": 1.5, "PV": 6},
            noise={"NC": 25, "ART": 120},
            order=("PV", "NC", "ART"),
            says=("HCC", "MET", "CYST", "ICC"),
            scale=3.5,
        )
    )
    return [*found, Moves(patient=7, hide=["ART", "PV"], noise={"ART": 10})]


def test_every_logit_and_map_is_pytorchs(page, capsys):
    spec, states = spec_of(live_panel()._repr_html_()), examples()
    facts = {name: spec[name] for name in ("window", "hidden", "step", "orders", "plain")}
    page.set_content(document())
    script = ASK.format(worker=beside("worker.js"), engine=beside("engine.js"))
    answers = page.evaluate(script, [packed_files(), facts, [state.fields() for state in states]])
    largest = dict.fromkeys(TOLERANCE, 0.0)
    for state, answer in zip(states, answers, strict=True):
        ours = live_answer(**state.departures())._asdict()
        ours["hu"] = ours["hu"].reshape(3, -1)[:, ::31]
        for name in TOLERANCE:
            found = np.reshape(answer[name], ours[name].shape)
            largest[name] = max(largest[name], float(np.abs(found - ours[name]).max()))
    with capsys.disabled():
        print(f"\nlive panel, {len(states)} examples: largest differences {largest}", end="")
        print(f", median {np.median([answer['ms'] for answer in answers]):.1f} ms")
    assert all(largest[name] < tolerance for name, tolerance in TOLERANCE.items()), largest


# -- The panel ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def panel() -> str:
    """An output that carries all it needs."""
    return live_panel("Which part does it see?", patient=20)._repr_html_()


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A page of a book without a server, whose panel asks first; the model lies beside it."""
    folder = tmp_path_factory.mktemp("book")
    write_script(folder / "live.js")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVERVLM_LIVE_URL", "live.js")
        output = live_panel("What without the arterial phase?", predict=True, patient=14, hide=["ART"])._repr_html_()
    assert len(output) < 150_000
    (folder / "page.html").write_text(document(output), encoding="utf-8")
    return (folder / "page.html").as_uri()


@pytest.fixture
def leaf(browser):
    """A page that may read files, and logs no error."""
    page, faults = browser.new_page(viewport={"width": 390, "height": 844}), []
    page.on("request", lambda one: one.url.startswith(("file:", "data:", "blob:")) or faults.append(one.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []


def opened(scope) -> None:
    scope.get_by_role("button", name="Open the live model").click()
    scope.locator("[role=status]", has_text="answers").wait_for()


def press(scope, group: str, name: str) -> None:
    scope.get_by_role("group", name=group, exact=True).get_by_role("button", name=name, exact=True).click()


def state_of(scope) -> dict:
    """What the panel writes for Python."""
    (call,) = re.findall(r"live_answer\((.*)\)\.prob", scope.locator("code").text_content())
    return {one.arg: ast.literal_eval(one.value) for one in ast.parse(f"f({call})", mode="eval").body.keywords}


def check_answer(scope, **state) -> None:
    """The panel is in this state and says what PyTorch says of it."""
    best = (prob := live_answer(**state).prob).argmax()
    said = f"The network answers {LIVER_VLM_CLASSES[best]} {100 * prob[best]:.0f} %"
    scope.locator("[role=status]", has_text=said).wait_for()
    assert state_of(scope) == state


def test_every_move_by_mouse_reaches_the_answer_the_log_and_python(page, panel):
    page.set_content(document(panel))
    opened(page)
    check_answer(page, patient=20)
    press(page, "Take away", "scar")
    check_answer(page, patient=20, without="scar")
    press(page, "Order", "PV ART NC")
    page.get_by_text("Change a phase").click()
    press(page, "Phase", "NC")
    press(page, "Phase is", "hidden")
    press(page, "Phase", "PV")
    for name, value in {"Blur": 2, "Noise": 40, "Move down": -3}.items():
        set_slider(page, name, value)
    picture = {"without": "scar", "order": ["PV", "ART", "NC"], "hide": ["NC"], "shift": {"PV": [-3, 0]}}
    picture |= {"blur": {"PV": 2}, "noise": {"PV": 40}}
    check_answer(page, patient=20, **picture)
    page.get_by_text("Change the sentences").click()
    press(page, "Sentences", "description")
    page.get_by_role("button", name="Permute the names").click()
    page.get_by_label("CYST is called").select_option("Metastasis")
    set_slider(page, "Scale", 1)
    words = {"template": "description", "says": ["MET", "HCC", "HEM", "CYST"], "scale": 10}
    check_answer(page, patient=20, **picture, **words)
    assert page.locator(".sentence").text_content().endswith("a cancer that begins in the cells of the liver")
    page.get_by_text("Log of moves").click()
    names = [line.split(":")[0].split()[0] for line in page.locator("ol li").all_inner_texts()]
    assert names == ["without", "order", "hide", "blur", "noise", "shift", "template", "says", "scale"]
    page.get_by_role("button", name="Undo everything").click()
    check_answer(page, patient=20)


def test_painting_and_choosing_by_keyboard(page, panel):
    page.set_content(document(panel))
    page.get_by_role("button", name="Open the live model").focus()
    page.keyboard.press("Enter")
    check_answer(page, patient=20)
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    page.get_by_text("Paint", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_role("group", name="Brush").get_by_role("button", name="this phase").focus()
    page.keyboard.press("Space")
    canvas = page.get_by_role("img", name="Channel 2: ART")
    canvas.focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert canvas.get_attribute("aria-label").endswith("brush at row 31, column 34")
    check_answer(page, patient=20, paint=[["ART", 30, 33, 4, 40]])


def test_how_often_a_change_flips_an_answer(page, panel):
    page.set_content(document(panel))
    opened(page)
    press(page, "Take away", "scar")
    patients = read_live().patients
    mine = [i for i in range(len(patients.words)) if "scar" in patients.parts_of(i)]
    pairs = [[live_answer(patient=i, without=part).prob.argmax() for part in (None, "scar")] for i in mine]
    flips = sum(one != other for one, other in pairs)
    right = [sum(pair[k] == patients.slices.label[i] for pair, i in zip(pairs, mine, strict=True)) for k in (0, 1)]
    said = page.locator("[role=status]", has_text="Over the")
    said.wait_for()
    assert said.text_content().startswith(f"Over the {len(mine)} patients with this part this flips {flips} answer")
    assert said.text_content().endswith(f"Right before: {right[0]}, now: {right[1]}.")


def test_a_reader_predicts_before_anything_is_shown(leaf, book):
    leaf.goto(book)
    opened(leaf)
    assert leaf.evaluate("document.documentElement.scrollWidth") == 390
    answer = leaf.get_by_role("group", name="Answer")
    assert "%" not in answer.inner_text()
    press(leaf, "Map", "HCC")
    assert "Grad-CAM" not in leaf.locator(".stage").inner_text()
    best = live_answer(patient=14, hide=["ART"]).prob.argmax()
    wrong = LIVER_VLM_CLASSES[best - 1]
    press(leaf, "Your prediction", wrong)
    said = f"You said {wrong}, it answers {LIVER_VLM_CLASSES[best]}. Of your predictions 0 of 1"
    assert said in leaf.locator(".stage").inner_text()
    assert answer.inner_text().count("%") == 4
    assert "add up to zero" in leaf.locator(".stage").inner_text()
    press(leaf, "Order", "PV ART NC")
    leaf.get_by_role("group", name="Your prediction").wait_for()
    assert "%" not in answer.inner_text()


def test_the_address_holds_the_state(leaf, book):
    leaf.goto(book)
    opened(leaf)
    press(leaf, "Predict first", "no")
    press(leaf, "Take away", "lesion")
    check_answer(leaf, patient=14, hide=["ART"], without="lesion")
    address = leaf.url
    leaf.goto("about:blank")
    leaf.goto(address)
    check_answer(leaf, patient=14, hide=["ART"], without="lesion")  # without a click, and without a prediction


@pytest.mark.parametrize(
    "state",
    ['{"patient": 999}', '{"noise": {"NC": "x"}}', '{"order": ["NC"], "says": {}}', '{"paint": 3, "x": 1}', "[", "7"],
)
def test_an_address_that_holds_no_state_does_no_harm(leaf, book, state):
    leaf.goto(f"{book}#live={quote(state)}")
    check_answer(leaf)


def test_a_model_that_is_not_there_is_said_so(leaf, monkeypatch, tmp_path):
    monkeypatch.setenv("LIVERVLM_LIVE_URL", "nowhere/live.js")
    (tmp_path / "page.html").write_text(document(live_panel()._repr_html_()), encoding="utf-8")
    leaf.goto((tmp_path / "page.html").as_uri())
    leaf.get_by_role("button", name="Open the live model").click()
    leaf.locator("[role=status]", has_text="not found at nowhere/live.js").wait_for()
    assert leaf.get_by_role("img", name="A slice of a phantom patient").count() == 1


def test_where_no_worker_may_run_the_page_computes(page, panel):
    page.set_content(document("<script>delete globalThis.Worker;</script>", panel))
    opened(page)
    check_answer(page, patient=20)


def test_in_a_sandboxed_frame_and_as_jupyterlab_inserts_it(page, panel):
    page.set_content(document('<iframe sandbox="allow-scripts" width="700" height="700" title="Output"></iframe>'))
    page.locator("iframe").evaluate("(frame, html) => { frame.srcdoc = html; }", document(panel))
    frame = page.frame_locator("iframe")
    opened(frame)
    check_answer(frame, patient=20)
    page.evaluate(LIKE_JUPYTERLAB, panel)
    opened(page)
    check_answer(page, patient=20)
