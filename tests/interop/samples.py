"""Sample n of a site. Every peer makes the same ones from n alone, so that a peer that was killed can make them again,
and whoever looks into history knows what must be there. peers/samples.mjs and the peers in C say the same."""

import json

PERIOD_MS = 20
ELEMENTS = ("dischargePressure", "oilTemperature")


def time_ms(base_ms, n):
    return base_ms + n * PERIOD_MS


def values(n):
    return {"dischargePressure": (6000 + n % 1000) / 1000, "oilTemperature": (700 + n % 97) / 10}


def message(base_ms, n):
    """As devices/{device}/telemetry takes it."""
    return json.dumps({"ts": time_ms(base_ms, n), "values": values(n)})
