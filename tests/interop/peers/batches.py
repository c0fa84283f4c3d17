"""For peers that are a program run once a batch: what it ended well with is acknowledged, the rest goes again."""

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from samples import PERIOD_MS  # noqa: E402


class Until:
    """The last number, once the run has said it. Ends this process when the run goes away."""

    def __init__(self):
        self.number = None
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in sys.stdin:
            if line.startswith("until "):
                self.number = int(line.split()[1])
        os._exit(0)


def options(*names):
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(f"--{name}")
    parser.add_argument("--base", type=int)
    parser.add_argument("--first", type=int)
    return parser.parse_args()


def due(base_ms, until):
    """The newest sample whose time has come."""
    now = (int(time.time() * 1000) - base_ms) // PERIOD_MS
    return now if until.number is None else min(now, until.number)


def run_batches(o, size_max, batch):
    """batch(first, last) gives (command, input); ended with 0: these samples are safe."""
    until, n = Until(), o.first
    while True:
        last = min(n + size_max - 1, due(o.base, until))
        if last < n:
            time.sleep(0.1)
            continue
        command, text = batch(n, last)
        if subprocess.run(command, input=text.encode(), stdout=sys.stderr, stderr=sys.stderr, check=False).returncode != 0:
            time.sleep(0.3)
            continue
        print(f"acked {n} {last}", flush=True)
        n = last + 1
