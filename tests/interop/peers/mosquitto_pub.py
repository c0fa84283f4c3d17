#!/usr/bin/env python3
"""mosquitto_pub at QoS 1, a process for each handful of samples: what it ended well with is acknowledged, the rest is
sent again.

    mosquitto_pub.py --mqtt HOST:PORT --topic TOPIC --base MS --first N [--device NAME --token TOKEN]"""

import argparse
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from samples import PERIOD_MS, message, time_ms  # noqa: E402

LINES_MAX = 100


def main():
    parser = argparse.ArgumentParser()
    for name in ("mqtt", "topic", "device", "token"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--base", type=int)
    parser.add_argument("--first", type=int)
    o = parser.parse_args()
    until = [None]

    def listen():
        for line in sys.stdin:
            if line.startswith("until "):
                until[0] = int(line.split()[1])
        # The run is gone: so are we, with the one that is being sent.
        raise SystemExit

    threading.Thread(target=listen, daemon=True).start()
    host, port = o.mqtt.rsplit(":", 1)
    command = ["mosquitto_pub", "-h", host, "-p", port, "-q", "1", "-l", "-t", o.topic, "-i", f"pub-{o.device or 'plain'}"]
    if o.token:
        command += ["-u", o.device, "-P", o.token]
    n = o.first
    while True:
        now = int(time.time() * 1000)
        last = min(n + LINES_MAX, (now - o.base) // PERIOD_MS, until[0] if until[0] is not None else now)
        if last < n:
            time.sleep(0.1)
            continue
        lines = "".join(message(o.base, k) + "\n" for k in range(n, last + 1))
        sent = subprocess.run(command, input=lines.encode(), stderr=sys.stderr, check=False)
        if sent.returncode != 0:
            time.sleep(0.3)
            continue
        print(f"acked {n} {last}", flush=True)
        n = last + 1


assert time_ms(0, 1) == PERIOD_MS
main()
