# On Colab this installs the book's package and leaves every version that Colab ships as it is.
# Anywhere else it does nothing: there the package came with the environment.
import subprocess
import sys

if "google.colab" in sys.modules:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade-strategy", "only-if-needed"]
    subprocess.run([*pip, "git+{repository}"], check=True)
