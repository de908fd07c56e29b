"""``timed.py FILE COMMAND…``: run the command, and add its task, begin and end in seconds to a file of JSON lines."""

from __future__ import annotations

import json
import subprocess
import sys
import time

begin = time.monotonic()
given = sys.stdin.read()
code = subprocess.run(sys.argv[2:], input=given, text=True, check=False).returncode
with open(sys.argv[1], "a", encoding="utf-8") as lines:
    lines.write(f"{json.dumps([json.loads(given)['id'], begin, time.monotonic()])}\n")
sys.exit(code)
