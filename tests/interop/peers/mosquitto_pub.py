#!/usr/bin/env python3
"""mosquitto_pub at QoS 1, a process for each handful of samples.

    mosquitto_pub.py --mqtt HOST:PORT --topic TOPIC --base MS --first N [--device NAME --token TOKEN] [--form plant]

--form plant: not the JSON of devices/…/telemetry, but that of a make with names and units of its own."""

import json

from batches import options, run_batches
from samples import message, time_ms, values


def plant_message(base_ms, n):
    v = values(n)
    return json.dumps({"t": time_ms(base_ms, n), "d": {"mbar": round(v["dischargePressure"] * 1000), "oil": v["oilTemperature"]}})


o = options("mqtt", "topic", "device", "token", "form")
host, port = o.mqtt.rsplit(":", 1)
command = ["mosquitto_pub", "-h", host, "-p", port, "-q", "1", "-l", "-t", o.topic, "-i", f"pub-{o.device or 'plain'}"]
if o.token:
    command += ["-u", o.device, "-P", o.token]
make = plant_message if o.form == "plant" else message
run_batches(o, 100, lambda first, last: (command, "".join(make(o.base, n) + "\n" for n in range(first, last + 1))))
