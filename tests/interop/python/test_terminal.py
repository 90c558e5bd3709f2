"""Progress is for whoever looks at a terminal, and for nobody else."""

import os
import pty
import subprocess
import threading


def _demo(data):
    return [os.environ["LAKESTAGE_BIN"], "--data", str(data), "demo", "--rows", "2000", "--exit"]


def _everything(descriptor):
    """What a terminal is told until the program behind it ends."""
    told = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return told
        if not chunk:
            return told
        told += chunk


def test_the_demo_shows_progress_on_a_terminal(tmp_path):
    ours, theirs = pty.openpty()
    told = []
    process = subprocess.Popen(_demo(tmp_path / "data"), stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    reading = threading.Thread(target=lambda: told.append(_everything(ours)))
    reading.start()
    out = process.stdout.read().decode()
    assert process.wait() == 0
    reading.join()
    shown = told[0].decode()
    for step in ["making account", "taking account in", "publishing T1", "publishing T2", "reading account back"]:
        assert step in shown, step
    assert "\x1b[" in shown
    assert "\x1b" not in out
    assert "Everything is as it should be" in out


def test_the_demo_says_only_results_to_a_pipe(tmp_path):
    done = subprocess.run(_demo(tmp_path / "data"), capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert "making account" not in done.stdout
