"""A Penstock server for end-to-end tests: its own data folder, free ports, ended with the test."""

import json
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path


class Penstock:
    def __init__(self, program, data, *arguments, keep_ports=False, listeners=("http", "mqtt", "ws")):
        """`listeners`: by the names in the ready line ("coap_tcp"), each on a free port. `keep_ports`: a later start()
        listens where the first one did, so that clients find it again."""
        self.listeners = listeners
        self.program, self.data, self.arguments = program, Path(data), arguments
        self.process, self.keep_ports, self.ports = None, keep_ports, {}
        self.log = open(f"{data}.log", "ab")  # noqa: SIM115 - lives as long as we do

    def start(self, timeout=60):
        """Returns the line it prints when ready."""
        command = [self.program, "serve", "--data", str(self.data)]
        for listener in self.listeners:
            command += ["--" + listener.replace("_", "-"), self.ports.get(listener, "127.0.0.1:0")]
        command += self.arguments
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server did not start; see {self.data}.log:\n{self.tail()}")
        self.ready = json.loads(line)
        self.mqtt, self.http = self.ready["mqtt"], self.ready["http"]
        if self.keep_ports:
            self.ports = {listener: self.ready[listener] for listener in self.listeners}
        self.token = (self.data / "admin.token").read_text().strip()
        return self.ready

    def tail(self):
        self.log.flush()
        return Path(f"{self.data}.log").read_text(errors="replace")[-2000:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def call(self, method, path, body=None, raw=False):
        request = urllib.request.Request(f"http://{self.http}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {self.token}",
                                                  "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                data = reply.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()[:500]}") from error
        return data if raw else (json.loads(data) if data else None)

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None):
        return self.call("POST", path, body if body is not None else {})

    def metric(self, name):
        total = 0.0
        for line in self.call("GET", "/metrics", raw=True).decode().splitlines():
            if line.startswith((name + " ", name + "{")):
                total += float(line.rsplit(" ", 1)[1])
        return total

    def until(self, what, condition, seconds=60):
        """Polls; the time is only how long we are willing to wait."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {what}; server log:\n{self.tail()}")

    def wait_for_history(self):
        self.until("history has all that the journal has", lambda: self.metric("penstock_history_lag_bytes") == 0)
