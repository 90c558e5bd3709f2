"""The lines that the demo prints, run as they are printed."""

import json
import subprocess
import sys


def test_the_curl_line_gets_model_json(demo):
    done = subprocess.run(demo["examples"]["curl"], shell=True, capture_output=True, check=True)
    assert json.loads(done.stdout)["entities"]


def test_the_python_example_runs(demo):
    done = subprocess.run([sys.executable, "-c", demo["examples"]["python"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "account 2024" in done.stdout


def test_the_pandas_example_runs(demo):
    done = subprocess.run([sys.executable, "-c", demo["examples"]["pandas"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("accounts")
