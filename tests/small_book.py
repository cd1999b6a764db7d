"""A small package called `livervlm` and a small book on it, for the tests of what a chapter reaches."""

import os
import subprocess
import sys

# Each chapter of the small book below uses one name of the face of this package, or one module.
PACKAGE = {
    "__init__.py": "import lazy_loader\n\n__version__ = '1'\n__getattr__, __dir__, __all__ = "
    "lazy_loader.attach_stub(__name__, __file__)\n",
    "__init__.pyi": "from . import metrics as metrics, other as other\nfrom .book import figures as figures\n"
    "from .models.vlm import Model as Model\nfrom .results import Runs as Runs\n",
    "paths.py": "def data_file(name):\n    return name\n",
    "metrics.py": "def auc():\n    return 1\n",
    "results.py": "from .paths import data_file\n\n\ndef Runs():\n    return data_file('results')\n",
    "other.py": "def Model():\n    return 7\n\n\ndef Runs():\n    return 8\n",
    "models/__init__.py": "import lazy_loader\n\n__getattr__, __dir__, __all__ = "
    "lazy_loader.attach(__name__, ['parts'])\n",
    "models/parts.py": "def part():\n    return 2\n",
    "models/vlm.py": "from ..metrics import auc\n\n\ndef Model():\n    from . import parts\n\n"
    "    return auc() + parts.part()\n",
    "book/__init__.py": "from . import figures, style\n",
    "book/figures.py": "def draw():\n    return 3\n",
    "book/style.py": "colour = 4\n",
    "book/figures.js": "draw()\n",
}
CHAPTERS = {
    "model": "from livervlm import Model\n\nModel()",
    "records": "from livervlm import Runs\n\nRuns()",
    "drawn": "from livervlm import figures\n\nfigures.draw()",
    "other": "from livervlm.other import Runs\n\nRuns()",
    "observer": "from livervlm.paths import data_file\n\ndata_file('results/observer.json')",
    "numbers": "from livervlm.paths import data_file\n\ndata_file('paper.csv')",
}
FRONT = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: Python 3}\n---\n\n# Title\n"
CONFIG = """title: A book
only_build_toc_files: true
repository: {url: https://github.com/owner/name, branch: main}
parse: {myst_enable_extensions: [colon_fence, dollarmath]}
execute: {execute_notebooks: cache, run_in_temp: true}
"""


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def cell(code):
    return f"\n```{{code-cell}} ipython3\n{code}\n```\n"


def write_house(root, package, chapters):
    """A checkout with `package` as `livervlm` and a book of `chapters`, one cell each."""
    toc = ", ".join(f"{{file: book/{name}}}" for name in chapters)
    write(root / "livervlm", package)
    write(root / "book", {"index.md": "# Home\n"} | {f"{name}.md": FRONT + cell(chapters[name]) for name in chapters})
    write(root / "data", {"paper.csv": "1", "results/observer.json": "1"})
    config = {"_config.yml": CONFIG, "_toc.yml": f"{{format: jb-book, root: book/index, chapters: [{toc}]}}"}
    write(root, {**config, "requirements.lock": "torch==2\n"})
    return root


def python(code, folder):
    """What `code` prints in a process that finds the package of `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True).stdout
