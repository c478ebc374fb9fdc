"""Drives `roam agent`: commands on its stdin, events as JSON lines on its stdout (docs/agent.md)."""
import json
import os
import subprocess
import threading
import time

from peers import PASSWORD
from world import Failure, wait_for


class RoamAgent:
    """A roam agent that plays a tone and records what it hears. It offers what peers.Baresip offers, so that either can be either end."""

    def __init__(self, world, namespace, roam, registrar, user="alice", hertz=440, auto_answer=False, extra=()):
        self.world, self.registrar, self.user, self.hertz = world, registrar, user, hertz
        self.sink = f"{world.directory}/{user}-heard.wav"
        secret = f"{world.directory}/{user}.password"
        with open(secret, "w", encoding="utf-8") as file:
            file.write(PASSWORD + "\n")
        os.chmod(secret, 0o600)
        command = [roam, "agent", "--account", f"sip:{user}@{registrar.address}", "--registrar", f"sip:{registrar.address}", "--password-file", secret,
                   "--source", f"tone:{hertz}", "--sink", self.sink, "--trace", f"{world.directory}/{user}.trace.jsonl"]
        if auto_answer:
            command.append("--auto-answer")
        self.process = world.start(namespace, command + list(extra), f"agent-{user}", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.events, self.changed = [], threading.Condition()
        self.over = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with open(f"{self.world.directory}/{self.user}.events.jsonl", "w", encoding="utf-8") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                try:
                    event = json.loads(line)
                except ValueError:
                    event = {"event": "not json", "line": line}
                event["arrived"] = time.time()
                with self.changed:
                    self.events.append(event)
                    self.changed.notify_all()
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def send(self, command):
        self.world.note(f"{self.user}: {command}")
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except OSError:
            raise Failure(f"{self.user}: the agent is gone, exit status {self.process.poll()}") from None

    def mark(self):
        with self.changed:
            return len(self.events)

    def wait(self, what, predicate, seconds=5, since=0):
        """The first event after `since` (a mark) that `predicate` likes."""
        end = time.monotonic() + seconds
        with self.changed:
            at = since
            while True:
                for event in self.events[at:]:
                    if predicate(event):
                        return event
                at = max(since, len(self.events))
                if self.over:
                    raise Failure(f"{self.user}: {what}: the agent ended, exit status {self.process.poll()}")
                left = end - time.monotonic()
                if left <= 0:
                    raise Failure(f"{self.user}: {what}: not within {seconds:g} s")
                self.changed.wait(left)

    def state(self, name, seconds=5, since=0):
        return self.wait(f"call is {name}", lambda e: e.get("event") == "call_state" and e.get("state") == name, seconds, since)

    # ---- what either end can do ----

    def registered(self):
        self.wait("registered", lambda e: e.get("event") == "registration" and e.get("state") == "registered", 10)
        wait_for(f"{self.user} is with the registrar", lambda: self.registrar.contacts(self.user), 3, 0.1)

    def dial(self, uri):
        self.send(f"call {uri}")

    def answer(self):
        self.send("answer")

    def hangup(self):
        self.send("hangup")

    def hold(self):
        self.send("hold")

    def resume(self):
        self.send("resume")

    def established(self, since=0, seconds=5):
        return self.state("confirmed", seconds, since)

    def closed(self, since=0, seconds=5):
        return self.state("ended", seconds, since)

    def is_closed(self, since=0):
        with self.changed:
            return any(e.get("event") == "call_state" and e.get("state") == "ended" for e in self.events[since:])

    def recording(self):
        return self.sink

    def memory(self):
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
