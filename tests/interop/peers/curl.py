#!/usr/bin/env python3
"""curl, and the line protocol of InfluxDB: a request for each handful of samples, with a key that is the same when it
is sent again.

    curl.py --http HOST:PORT --device NAME --token TOKEN --base MS --first N"""

from batches import options, run_batches
from samples import time_ms, values

o = options("http", "device", "token")


def line(n):
    v = values(n)
    return f"compressor dischargePressure={v['dischargePressure']},oilTemperature={v['oilTemperature']} {time_ms(o.base, n)}\n"


def batch(first, last):
    command = ["curl", "-fsS", "--max-time", "20", "-X", "POST", "--data-binary", "@-", "-H", f"Authorization: Bearer {o.token}",
               "-H", "Content-Type: text/plain", "-H", f"Idempotency-Key: {o.device}-{first}-{last}",
               f"http://{o.http}/api/v1/ingest/{o.device}?precision=ms"]
    return command, "".join(line(n) for n in range(first, last + 1))


run_batches(o, 100, batch)
