"""Code in a Python of its own."""

import json
import os
import subprocess
import sys


def python(code, **environment):
    """What a fresh Python prints, as JSON; imports come from where this one's came from."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)
