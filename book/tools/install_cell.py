# Does nothing where livervlm is installed.  On Colab it installs the version that this notebook was written for, and
# leaves every version that Colab ships as it is.
import importlib.util
import subprocess
import sys

SOURCE = "livervlm[studies] @ git+{repository}@v{version}"
if importlib.util.find_spec("livervlm") is None:
    if "google.colab" not in sys.modules:
        raise SystemExit(f'livervlm is not installed where this notebook runs: pip install "{SOURCE}"')
    print("Installing livervlm, about a minute ", end="")
    command = [sys.executable, "-m", "pip", "install", "--upgrade-strategy", "only-if-needed", SOURCE]
    pip, said = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), []
    for line in pip.stdout:
        said.append(line)
        print(".", end="", flush=True)
    print()
    if pip.wait():
        raise SystemExit(f"pip could not install it; run this cell again, or read what it says:\n{''.join(said[-5:])}")
