"""`make publish` on a copy of this repository: what a release consists of, and what it refuses."""

import re
import shutil
import subprocess

from conftest import ROOT


def test_a_release_has_sums_a_tag_and_a_word_about_what_is_missing(deb, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "--quiet", ROOT, copy], check=True)
    (copy / "scripts/publish").write_bytes((ROOT / "scripts/publish").read_bytes())
    (copy / "dist").mkdir()
    shutil.copy(ROOT / "dist/postern", copy / "dist")
    shutil.copy(deb, copy / "dist")
    version = re.search(r"postern_(.*)_", deb.name).group(1)

    def git(*command):
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *command], cwd=copy, check=True, capture_output=True)

    def publish():
        return subprocess.run(
            [copy / "scripts/publish"], cwd=copy, capture_output=True, text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GIT_AUTHOR_NAME": "x", "GIT_AUTHOR_EMAIL": "x@x", "GIT_COMMITTER_NAME": "x",
                 "GIT_COMMITTER_EMAIL": "x@x", "HOME": str(tmp_path)})
    changes = copy / "CHANGELOG.md"
    changes.write_text("# Changes\n\n## 99.0.0\n")
    refused = publish()
    assert refused.returncode == 1 and "CHANGELOG.md begins with '99.0.0'" in refused.stderr
    changes.write_text(f"# Changes\n\n## {version} (today)\n")
    assert "not committed" in publish().stderr
    git("commit", "-qam", "release")
    made = publish()
    assert made.returncode == 0, made.stderr
    architecture = re.search(r"_([a-z0-9]+)\.deb", deb.name).group(1)
    other = "arm64" if architecture == "amd64" else "amd64"
    assert f"tagged: v{version}" in made.stdout and f"not built: {other}" in made.stdout
    release = copy / f"dist/release/{version}"
    assert {one.name for one in release.iterdir()} == {deb.name, f"postern-linux-{architecture}", "SHA256SUMS"}
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=release, check=True)
    # What another machine has made is put beside it, and summed.
    (release / f"postern-linux-{other}").write_text("x")
    again = publish()
    assert again.returncode == 0 and "not built" not in again.stdout and f"postern-linux-{other}" in (release / "SHA256SUMS").read_text()
    git("commit", "-q", "--allow-empty", "-m", "later")
    assert "raise the version first" in publish().stderr
