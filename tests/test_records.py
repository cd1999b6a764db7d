"""What a record says of the code that made it."""

import subprocess

from livervlm.runs import records
from livervlm.runs.records import run_provenance


def test_an_installed_package_does_not_take_the_commit_of_the_checkout_around_it(tmp_path, monkeypatch):
    def git(*arguments):
        own = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(tmp_path), *own, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "records.py").touch()
    git("commit", "--allow-empty", "-m", "somebody's own")
    monkeypatch.setattr(records, "__file__", str(tmp_path / "records.py"))
    assert run_provenance()["commit"] is None
    git("add", "records.py")
    git("commit", "-m", "a checkout of this package")
    assert len(run_provenance()["commit"]) >= 40
