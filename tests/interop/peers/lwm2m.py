#!/usr/bin/env python3
"""The LwM2M client of tests/lwm2m (on libcoap): Send with SenML CBOR, several samples a message, each with its time.

    lwm2m.py --peer PROGRAM --server URI --endpoint NAME --identity ID --key HEX --base MS --first N"""

import json
import subprocess
import sys
import threading
import time

from batches import Until, due, options
from samples import time_ms, values

PATHS = {"dischargePressure": "/3323/0/5700", "oilTemperature": "/3303/0/5700"}
IN_ONE_MAX, OPEN_MAX = 8, 6

o = options("peer", "server", "endpoint", "identity", "key")
child = subprocess.Popen([o.peer, "--server", o.server, "--endpoint", o.endpoint, "--identity", o.identity, "--key", o.key,
                          "--lifetime", "30"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr)
until, open_, wake = Until(), {}, threading.Condition()


def do(**command):
    child.stdin.write((json.dumps(command) + "\n").encode())
    child.stdin.flush()


def follow():
    for line in child.stdout:
        event = json.loads(line)
        if event["event"] == "sent" and event["code"] == 204:
            with wake:
                first, last = open_.pop(event["id"])
                wake.notify()
            print(f"acked {first} {last}", flush=True)
        else:
            print(line.decode().rstrip(), file=sys.stderr, flush=True)


threading.Thread(target=follow, daemon=True).start()
do(do="register")
n, number = o.first, 0
while child.poll() is None:
    last = min(n + IN_ONE_MAX - 1, due(o.base, until))
    if last < n:
        time.sleep(0.1)
        continue
    with wake:
        wake.wait_for(lambda: len(open_) < OPEN_MAX)
        number += 1
        open_[number] = (n, last)
    records = [{"path": PATHS[element], "value": value, "time": time_ms(o.base, k) / 1000}
               for k in range(n, last + 1) for element, value in values(k).items()]
    do(do="send", id=number, records=records)
    n = last + 1
sys.exit(1)
