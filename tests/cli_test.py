#!/usr/bin/env python3
"""The command `roam`: options, exit statuses, the format of what it prints, the control socket, a call over loopback through `roam serve`.

    cli_test.py ROAM

Every line that a JSON stream prints is parsed. No password may show up anywhere. Nothing is asserted about wall-clock time; waits are
bounded only so that a failure ends.
"""
import json
import math
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

ROAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 and not sys.argv[1].startswith("-") else "roam"
PASSWORD = "correct-horse-battery"
LIMIT = 20


def run(*args, **kwargs):
    return subprocess.run([ROAM, *args], capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL, check=False, **kwargs)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tone_share(path, hertz, seconds):
    """The share of a tone in the end of a 16 bit mono WAV, by 100 ms blocks (Goertzel)."""
    with open(path, "rb") as file:
        data = file.read()
    rate = struct.unpack("<I", data[24:28])[0]
    samples = struct.unpack(f"<{(len(data) - 44) // 2}h", data[44:44 + (len(data) - 44) // 2 * 2])[-int(seconds * rate):]
    factor, shares, block = 2 * math.cos(2 * math.pi * hertz / rate), [], rate // 10
    for start in range(0, len(samples) - block + 1, block):
        a = b = energy = 0.0
        for x in samples[start:start + block]:
            a, b = x + factor * a - b, a
            energy += x * x
        shares.append(2 * (a * a + b * b - factor * a * b) / (block * energy) if energy > block * 100 else 0.0)
    return sum(shares) / len(shares) if shares else 0.0


class Process:
    """A running roam whose stdout is JSON lines."""

    def __init__(self, test, *args):
        self.test, self.seen = test, []
        self.process = subprocess.Popen([ROAM, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.rest, self.text = b"", b""
        test.addCleanup(self.end)

    def send(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def pump(self):
        chunk = self.process.stdout.read() or b""
        self.text += chunk
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in lines:
            self.seen.append(json.loads(line.decode("utf-8")))  # strict UTF-8, strict JSON: anything else fails the test
        return bool(chunk)

    def wait(self, since=0, **wanted):
        end = time.monotonic() + LIMIT
        while True:
            self.pump()
            for event in self.seen[since:]:
                if all(event.get(key) == value for key, value in wanted.items()):
                    return event
            if time.monotonic() > end or self.process.poll() is not None and not self.pump():
                raise AssertionError(f"{wanted} did not come; seen: {self.seen[since:]}; {self.stderr() if self.process.poll() is not None else ''}")
            time.sleep(0.01)

    def stderr(self):
        return self.process.stderr.read().decode(errors="replace")

    def finish(self):
        """Waits for its end; the exit status."""
        status = self.process.wait(LIMIT)
        self.pump()
        return status

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except OSError:
                pass


class Base(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.dir = scratch.name
        self.secret = self.file("secret", PASSWORD + "\n", 0o600)

    def path(self, name):
        return os.path.join(self.dir, name)

    def file(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def serve(self, *args):
        self.port = free_port()
        server = Process(self, "serve", "--listen", f"127.0.0.1:{self.port}", "--json", *args)
        server.wait(event="ready")
        return server

    def agent(self, user, *args):
        agent = Process(self, "agent", "--account", f"sip:{user}@127.0.0.1:{self.port}", "--password-file", self.secret, *args)
        agent.wait(event="ready")
        return agent


class CommandLine(Base):
    """Shows: wrong use ends with status 2 and one line on stderr that names the subcommand; help and version with 0."""

    def test_usage(self):
        for args in ([], ["nonsense"], ["agent"], ["agent", "--nonsense"], ["agent", "--account"], ["agent", "--account", "no-at-sign"],
                     ["agent", "--account", "a@b", "positional"], ["agent", "--account", "a@b", "--transport", "tls"], ["agent", "--account", "a@b", "--source", "tone:0"],
                     ["agent", "--account", "a@b", "--source", "/does/not/exist.wav"], ["agent", "--account", "a@b", "--password-file", "/does/not/exist"],
                     ["agent", "--account", "a@b", "--expires", "soon"], ["agent", "--account", "a@b", "--no-register=yes"], ["agent", "--account", "a@b", "--rtp-ports", "5-4"],
                     ["call"], ["register"], ["ladder"], ["serve", "--listen", "0.0.0.0:5060"], ["serve", "--user", "alice"], ["watch", "not-an-address"],
                     ["demo", "--scenario", "nothing"]):
            done = run(*args)
            self.assertEqual(done.returncode, 2, args)
            if args:
                self.assertRegex(done.stderr, r"^roam: ", args)

    def test_help(self):
        for name in ("agent", "phone", "register", "call", "watch", "serve", "ladder", "demo", "replay"):
            done = run(name, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn(f"roam {name}", done.stdout)
            self.assertIn("--help", done.stdout)
        self.assertEqual(run("help").returncode, 0)
        self.assertRegex(run("version").stdout, r"^roam \d+\.\d+\.\d+\n$")

    def test_password_on_the_command_line(self):
        """A password as an argument, or in a configuration file, is refused with the way to do it, and not repeated."""
        done = run("agent", "--account", "a@b", "--password", "hunter2-on-cmdline")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--password-file", done.stderr)
        self.assertNotIn("hunter2", done.stderr)
        config = self.file("config", "account = a@b\npassword = hunter2-in-file\n", 0o600)
        done = run("agent", "--config", config)
        self.assertEqual(done.returncode, 2)
        self.assertNotIn("hunter2", done.stderr)

    def test_config_file(self):
        """Names are those of the options; a mistake is told with file and line."""
        config = self.file("config", f"# comment\n[account]\naccount = sip:alice@127.0.0.1:{free_port()}\nno-register\nsource = tone:300\nuse-update = yes\n")
        agent = Process(self, "agent", "--config", config)
        self.assertEqual(agent.wait(event="ready")["accounts"][0]["account"], 1)
        agent.send("quit")
        self.assertEqual(agent.finish(), 0)
        bad = self.file("bad", "account = a@b\nexpires = never\n")
        done = run("agent", "--config", bad)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{bad}:2:", done.stderr)

    def test_watch(self):
        """The monitor's picture as one JSON line, loopback never in it."""
        done = run("watch", "--json", "--once", "127.0.0.1")
        self.assertEqual(done.returncode, 0, done.stderr)
        picture = json.loads(done.stdout)
        self.assertEqual(picture["event"], "network")
        self.assertNotIn("127.0.0.1", [a["address"] for a in picture["addresses"]])
        self.assertEqual([r["source"] for r in picture["routes"]], ["127.0.0.1"])


class Registering(Base):
    """Shows the exit statuses of `roam register`: 0 registered, 3 refused, 5 nobody there."""

    def test_statuses(self):
        self.serve("--user", f"alice:{self.secret}")
        account = ["register", "--account", f"sip:alice@127.0.0.1:{self.port}", "--timeout", "8"]
        done = run(*account, "--password-file", self.secret)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("registered in", done.stdout)
        wrong = self.file("wrong", "not-it\n", 0o600)
        self.assertEqual(run(*account, "--password-file", wrong).returncode, 3)
        self.assertEqual(run(*account).returncode, 3)
        done = run("register", "--account", f"sip:alice@127.0.0.1:{free_port()}", "--timeout", "1")
        self.assertEqual(done.returncode, 5)

    def test_json(self):
        self.serve("--password-file", self.secret)
        done = run("register", "--account", f"sip:anyone@127.0.0.1:{self.port}", "--password-file", self.secret, "--json")
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(done.returncode, 0)
        self.assertIn("registered", [e.get("state") for e in events])


class Calling(Base):
    """Shows the exit statuses of `roam call`: 0 answered, 4 refused."""

    def test_peer(self):
        """A built-in echo gives our own tone back; the WAV holds it."""
        self.serve("--peer", "echo=echo")
        heard = self.path("heard.wav")
        done = run("call", f"sip:echo@127.0.0.1:{self.port}", "--source", "tone:500", "--sink", heard, "--duration", "2")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("confirmed", done.stdout)
        self.assertGreater(tone_share(heard, 500, 1.0), 0.9)

    def test_refused(self):
        self.serve()
        done = run("call", f"sip:nobody@127.0.0.1:{self.port}")
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)


class AgentToAgent(Base):
    """Shows a call between two agents through `roam serve` with passwords, driven on stdin and on the control socket."""

    def test_call(self):
        server = self.serve("--password-file", self.secret, "--trace", self.path("serve.trace"))
        control = self.path("control")
        bob = self.agent("bob", "--source", "tone:700", "--sink", self.path("bob-%i.wav"), "--trace", self.path("bob.trace"), "--auto-answer=50")
        alice = self.agent("alice", "--source", "tone:440", "--sink", self.path("alice.wav"), "--trace", self.path("alice.trace"), "--control", control)
        registered = alice.wait(event="registration", state="registered")
        bob.wait(event="registration", state="registered")
        self.assertEqual(registered["sip_code"], 200)
        self.assertIn(b".", alice.text)

        # The control socket: for this user only, the same commands, events for all.
        self.assertEqual(stat.S_IMODE(os.stat(control).st_mode), 0o600)
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(LIMIT)
        client.connect(control)
        lines = client.makefile("rw", encoding="utf-8")
        self.addCleanup(lines.close)
        lines.write("call bob\n")
        lines.flush()
        seen = []
        while not any(e.get("state") == "confirmed" for e in seen):
            seen.append(json.loads(lines.readline()))
        result = next(e for e in seen if e["event"] == "result")
        self.assertEqual((result["command"], result["ok"], result["call"]), ("call", True, 1))
        self.assertFalse(any(e["event"] == "result" and e["command"] == "call" for e in alice.seen), "a result goes to who asked")
        alice.wait(event="call_state", state="confirmed")
        bob.wait(event="call_state", state="confirmed")

        self.sound(75, alice, bob)
        alice.send("dtmf 1 5#")
        self.assertEqual([bob.wait(event="call_dtmf", digit=d)["digit"] for d in "5#"], ["5", "#"])

        # Hold and resume, without numbers: the newest call is meant.
        alice.send("hold")
        self.assertEqual(bob.wait(event="call_hold")["hold"], "remote")
        alice.wait(event="call_hold", hold="local")
        alice.send("resume")
        alice.wait(event="call_hold", hold="none")
        bob.wait(event="call_hold", hold="none")

        # The application says the network changed: registration and call are renewed.
        alice.send("ip-change restart-listener=no")
        done = alice.wait(event="ip_change_progress", op="completed")
        reports = [e["report"] for e in alice.seen if "report" in e]
        self.assertEqual({bool(r.get("call")) for r in reports}, {False, True})
        self.assertGreaterEqual(done["epoch"], 1)

        # What the registrar holds.
        server.send("bindings alice")
        bindings = server.wait(event="bindings", user="alice")["bindings"]
        self.assertEqual(len(bindings), 1)
        server.send("contacts sip:bob@127.0.0.1")
        self.assertEqual(len(server.wait(event="contacts", user="bob")["contacts"]), 1)

        # Wrong commands are results too.
        for line, command in (("nonsense", "nonsense"), ("answer", "answer"), ("hold 99", "hold"), ("dtmf", "dtmf"), ("call", "call")):
            mark = len(alice.seen)
            alice.send(line)
            self.assertFalse(alice.wait(mark, event="result", command=command)["ok"], line)
        alice.send("x" * 10000)  # longer than a line may be: skipped

        # No password in a command line, an environment, an output or a trace; neither is a digest response.
        for party in (server, alice, bob):
            with open(f"/proc/{party.process.pid}/cmdline", "rb") as file:
                self.assertNotIn(PASSWORD.encode(), file.read())

        self.sound(50, alice, bob)  # the tones are in the last half second of the recordings
        bob.send("hangup")
        ended = alice.wait(event="call_state", state="ended")
        self.assertGreaterEqual(ended["media"]["packets_received"], 75)
        self.assertIsInstance(ended["duration_ms"], float)
        bob.wait(event="call_state", state="ended")
        alice.send("quit")
        self.assertEqual(alice.finish(), 0)
        self.assertFalse(os.path.exists(control), "the socket's name is gone")
        alice.wait(event="registration", state="none")
        bob.process.terminate()  # SIGTERM is polite: unregistered
        self.assertEqual(bob.finish(), 0)
        server.wait(event="binding_removed", subject="bob")
        server.send("quit")
        self.assertEqual(server.finish(), 0)

        self.assertGreater(tone_share(self.path("bob-1.wav"), 440, 0.5), 0.8)
        self.assertGreater(tone_share(self.path("alice.wav"), 700, 0.5), 0.8)
        for event in alice.seen + bob.seen + server.seen:
            self.assertIsInstance(event["time"], float)
        for raw in re.findall(rb'"time":([^,}]*)', alice.text + bob.text + server.text):
            self.assertRegex(raw, rb"^\d{10}\.\d{6}$")
        self.traces(alice, bob, server)

    def sound(self, packets, *parties):
        """Waits until each party received so many more packets."""
        for party in parties:
            wanted = None
            while True:
                mark = len(party.seen)
                party.send("status")
                received = party.wait(mark, event="result", command="status")["calls"][0]["media"]["packets_received"]
                wanted = received + packets if wanted is None else wanted
                if received >= wanted:
                    break
                time.sleep(0.1)

    def traces(self, *parties):
        everything = b"".join(p.text for p in parties)
        for name in ("alice.trace", "bob.trace", "serve.trace"):
            with open(self.path(name), "rb") as file:
                text = file.read()
            everything += text
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600)
            types = {json.loads(line)["type"] for line in text.decode("utf-8").splitlines()}
            self.assertLessEqual({"sent", "received", "state"}, types)
        self.assertNotIn(PASSWORD.encode(), everything)
        self.assertIsNone(re.search(rb'[ ,]response=\\"[0-9a-f]', everything))
        self.ladder()

    def ladder(self):
        """The diagram of all three: each message once, from its sender to its receiver, in the order of time."""
        done = run("ladder", self.path("alice.trace"), self.path("serve.trace"), self.path("bob.trace"))
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = done.stdout.splitlines()
        self.assertIn(f"127.0.0.1:{self.port}", rows[0])
        self.assertNotIn("[again]", done.stdout, "both sides of a message are one arrow")
        at = 0
        for step in ("REGISTER", "401 Unauthorized", "REGISTER +auth", "200 OK (REGISTER)", "INVITE +SDP", "200 OK +SDP (INVITE)", "ACK", "BYE", "200 OK (BYE)"):
            at = next((i for i in range(at, len(rows)) if step in rows[i]), None)
            self.assertIsNotNone(at, step)
        with open(self.path("alice.trace"), encoding="utf-8") as file:
            call_id = re.search(r"INVITE sip:.*?Call-ID: (\S+?)\\r", file.read()).group(1)
        one = run("ladder", "--call", call_id, "--width", "80", self.path("alice.trace"))
        self.assertEqual(one.returncode, 0)
        self.assertNotIn("REGISTER", one.stdout)
        self.assertLessEqual(max(map(len, one.stdout.splitlines())), 80)
        self.assertEqual(run("ladder", "--call", "unknown", self.path("alice.trace")).returncode, 1)


class Transferring(Base):
    """Shows a blind transfer by commands: asked, refused once, accepted, and told of on both sides."""

    def test_blind(self):
        self.serve()
        bob, carol, alice = self.agent("bob"), self.agent("carol"), self.agent("alice")
        for party in (bob, carol, alice):
            party.wait(event="registration", state="registered")
        for line, command in (("transfer 1 bob", "transfer"), ("transfer", "transfer"), ("transfer-to-call 1 2", "transfer-to-call"),
                              ("accept-transfer", "accept-transfer"), ("reject-transfer 7", "reject-transfer")):
            mark = len(alice.seen)
            alice.send(line)
            self.assertFalse(alice.wait(mark, event="result", command=command)["ok"], line)
        alice.send("call bob")
        bob.wait(event="call_incoming")
        bob.send("answer")
        alice.wait(event="call_state", state="confirmed")
        alice.send("transfer 1 carol")
        self.assertEqual(bob.wait(event="call_transfer_requested")["uri"], f"sip:carol@127.0.0.1:{self.port}")
        bob.send("reject-transfer")
        self.assertEqual(alice.wait(event="call_transfer", transfer="failed")["sip_code"], 603)
        marks = len(alice.seen), len(bob.seen)
        alice.send("transfer 1 carol")
        bob.wait(marks[1], event="call_transfer_requested")
        bob.send("accept-transfer")
        self.assertEqual(bob.wait(marks[1], event="result", command="accept-transfer")["new_call"], 2)
        carol.wait(event="call_incoming")
        alice.wait(marks[0], event="call_transfer", transfer="accepted", sip_code=180)
        carol.send("answer")
        alice.wait(marks[0], event="call_transfer", transfer="done", sip_code=200)
        alice.send("hangup")
        bob.wait(event="call_state", call=1, state="ended")
        bob.wait(event="call_state", call=2, state="confirmed")


    def test_attended(self):
        """Alice has two calls and puts them together: Bob takes her place in the one with Carol, which ends on her side by itself."""
        self.serve()
        bob, carol, alice = self.agent("bob", "--auto-answer=0"), self.agent("carol", "--auto-answer=0"), self.agent("alice")
        for party in (bob, carol, alice):
            party.wait(event="registration", state="registered")
        alice.send("call bob")
        alice.wait(event="call_state", call=1, state="confirmed")
        alice.send("hold 1")
        alice.wait(event="call_hold", call=1, hold="local")
        alice.send("call carol")
        alice.wait(event="call_state", call=2, state="confirmed")
        alice.send("transfer-to-call 1 2")
        bob.wait(event="call_transfer_requested")
        bob.send("accept-transfer")
        self.assertEqual(carol.wait(event="call_replaced")["other_call"], 2)
        alice.wait(event="call_transfer", transfer="done")
        alice.wait(event="call_state", call=2, state="ended")
        alice.send("hangup 1")
        bob.wait(event="call_state", call=1, state="ended")
        bob.wait(event="call_state", call=2, state="confirmed")
        carol.wait(event="call_state", call=2, state="confirmed")


class Replaying(Base):
    """Shows that a run with registration, call, hold, digits, a change and a transfer comes out of its trace again, and that a trace which was changed does not."""

    def replay(self, path):
        return run("replay", path)

    def test_replay(self):
        server = self.serve("--password-file", self.secret, "--peer", "echo=echo")
        field = self.path("field.trace")
        alice = self.agent("alice", "--source", "tone:440", "--trace-replay", field)
        alice.wait(event="registration", state="registered")
        alice.send("call echo")
        alice.wait(event="call_state", state="confirmed")
        alice.send("dtmf 1 5")
        alice.send("hold")
        alice.wait(event="call_hold", hold="local")
        alice.send("resume")
        alice.wait(event="call_hold", hold="none")
        alice.send("ip-change")
        alice.wait(event="ip_change_progress", op="completed")
        alice.send("transfer 1 bob")
        alice.wait(event="call_transfer", transfer="failed")
        alice.send("call no-such-user-here")
        alice.wait(event="call_state", call=2, state="ended")
        alice.send("quit")
        self.assertEqual(alice.finish(), 0)
        server.send("quit")

        with open(field, encoding="utf-8") as file:
            lines = file.readlines()
        self.assertNotIn(PASSWORD, "".join(lines))
        self.assertIsNone(re.search(r'[ ,]response=\\"[0-9a-f]', "".join(lines)))
        done = self.replay(field)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"^the same: \d+ inputs, \d+ records\n$")

        # Cut in the middle of a line, as by a crash: the same as far as it goes.
        done = self.replay(self.file("cut", "".join(lines[:len(lines) * 2 // 3]) + '{"type":"sta'))
        self.assertEqual(done.returncode, 0, done.stdout)

        def changed(find, old, new):
            at = next(i for i, text in enumerate(lines) if all(part in text for part in find))
            self.assertIn(old, lines[at])
            return self.file("changed", "".join(lines[:at] + [lines[at].replace(old, new, 1)] + lines[at + 1:])), at

        # Another answer went in: another story comes out. A record that is not what the core says: told with its line.
        path, _ = changed(('"input"', "SIP/2.0 200 OK", " INVITE"), "200 OK", "486 No")
        self.assertEqual(self.replay(path).returncode, 1)
        path, at = changed(('"state"', '"to":"confirmed"'), "confirmed", "nonsense")
        done = self.replay(path)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"line {at + 1}:", done.stdout)
        self.assertIn("nonsense", done.stdout)
        at = next(i for i, text in enumerate(lines) if '"state"' in text)
        self.assertEqual(self.replay(self.file("less", "".join(lines[:at] + lines[at + 1:]))).returncode, 1)
        at = next(i for i, text in enumerate(lines) if '"receive"' in text)
        self.assertEqual(self.replay(self.file("deaf", "".join(lines[:at] + lines[at + 1:]))).returncode, 1)

    def test_not_replayable(self):
        self.assertEqual(run("replay").returncode, 2)
        self.assertEqual(self.replay("/does/not/exist").returncode, 1)
        for text in ("", "nonsense\n", '{"type":"input","time":1.0,"at":1,"object":"advance"}\n', '{"type":"input","time":1.0,"at":1,"object":"frob"}\n',
                     '{"type":"input","time":1.0,"at":0,"object":"ua_new","bytes":"seed=zz"}\n', '{"type":"state","time":1.0,"object":"call","id":1}\n',
                     '{"type":"input","object":7}\n', "[1]\n"):
            done = self.replay(self.file("bad", text))
            self.assertEqual(done.returncode, 1, text)
        for line in ('"object":"network_update","bytes":"link=1\\nprefix=x\\naddr=\\n=\\nroute_link=3"', '"object":"receive","id":99,"remote":"x","bytes_hex":"zz0"',
                     '"object":"receive_media","why":"99999999","bytes_hex":"80"', '"object":"call_make","bytes":"options=1\\nsource=1"', '"object":"account_add"',
                     '"object":"call_dtmf","bytes":"call=1"', '"object":"resolved","bytes":"ip=nonsense%4"', '"object":"socket_opened"'):
            born = '{"type":"input","time":1.0,"at":0,"object":"ua_new","bytes":"seed=' + "0" * 64 + '"}\n'
            done = self.replay(self.file("odd", born + '{"type":"input","time":2.0,"at":1000000,' + line + "}\n"))
            self.assertIn(done.returncode, (0, 1), line + done.stderr)
class Usages(Base):
    """Shows subscriptions, messages and INFO by commands, against the notifier of the test server."""

    def test_usages(self):
        server = self.serve()
        alice, bob = self.agent("alice"), self.agent("bob")
        for party in (alice, bob):
            party.wait(event="registration", state="registered")
        for line, command in (("subscribe", "subscribe"), ("subscribe a b c d", "subscribe"), ("unsubscribe 9", "unsubscribe"), ("message bob", "message"),
                              ("info 7 text/plain x", "info")):
            mark = len(alice.seen)
            alice.send(line)
            self.assertFalse(alice.wait(mark, event="result", command=command)["ok"], line)
        alice.send("subscribe message-summary")
        alice.wait(event="result", command="subscribe", ok=True, subscription=1)
        alice.wait(event="subscription", subscription=1, state="active")
        server.send("messages alice 2 5")
        told = alice.wait(event="notify", subscription=1, voice_new=2)
        self.assertEqual((told["waiting"], told["voice_old"], told["package"]), (True, 5, "message-summary"))
        alice.send("subscribe reg - 1")
        self.assertIn("<contact ", alice.wait(event="notify", subscription=2)["body"])
        alice.send("status")
        self.assertEqual([s["state"] for s in alice.wait(event="result", command="status")["subscriptions"]], ["active", "active"])
        mark = len(alice.seen)
        alice.send("unsubscribe 1")
        alice.wait(mark, event="subscription", subscription=1, state="ended")
        alice.send("message bob two  blanks and\\na line")
        got = bob.wait(event="message")
        self.assertEqual((got["from"], got["body"]), (f"sip:alice@127.0.0.1:{self.port}", "two  blanks and\r\na line"))
        self.assertEqual(alice.wait(event="message_sent")["sip_code"], 200)
        alice.send("call bob")
        bob.wait(event="call_incoming")
        bob.send("answer")
        alice.wait(event="call_state", state="confirmed")
        alice.send("info 1 text/plain what is this")
        self.assertEqual(bob.wait(event="call_info")["body"], "what is this")
        self.assertEqual(alice.wait(event="call_info")["sip_code"], 200)


class Incoming(Base):
    """Shows an incoming call that a program answers, and one that it rejects with a status of its choice."""

    def test_answer_and_reject(self):
        self.serve()
        bob = self.agent("bob")
        bob.wait(event="registration", state="registered")
        alice = self.agent("alice")
        alice.wait(event="registration", state="registered")
        alice.send("call bob")
        bob.wait(event="call_incoming")
        alice.wait(event="call_state", state="early")
        bob.send("reject 1 603")
        self.assertEqual(alice.wait(event="call_state", state="ended")["sip_code"], 603)
        mark = len(bob.seen)
        alice.send("call bob")
        bob.wait(mark, event="call_incoming")
        bob.send("answer")
        alice.wait(event="call_state", call=2, state="confirmed")
        alice.process.stdin.close()  # the end of stdin is quit: the call is ended
        bob.wait(mark, event="call_state", state="ended")
        self.assertEqual(alice.finish(), 0)

    def test_phone_without_terminal(self):
        """The phone takes the same commands from a pipe and answers in words."""
        self.serve("--peer", "tone=tone")
        phone = subprocess.run([ROAM, "phone", "--account", f"sip:alice@127.0.0.1:{self.port}"], input="calls\nnonsense\nquit\n", capture_output=True,
                               text=True, timeout=LIMIT, check=False)
        self.assertEqual(phone.returncode, 0, phone.stderr)
        self.assertIn("no calls", phone.stdout)
        self.assertIn("nonsense: there is no such command", phone.stdout)


class Examples(Base):
    """Shows that the examples do what their first lines say: they are built beside the command, and play with `roam serve`."""

    def example(self, name):
        path = os.path.join(os.path.dirname(ROAM), "..", "examples", name)
        if not os.path.exists(path):
            self.skipTest("not built")
        return path

    def test_own_loop(self):
        """The core without libuv registers, and takes that back at the end of its stdin. While it is there it answers a call."""
        server = self.serve()
        with subprocess.Popen([self.example("own_loop"), f"sip:alice@127.0.0.1:{self.port}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
            server.wait(event="binding_added", subject="alice")
            call = run("call", f"sip:alice@127.0.0.1:{self.port}", "--duration", "1", "--json")
            self.assertEqual(call.returncode, 0, call.stdout + call.stderr)
            said, _ = program.communicate(timeout=LIMIT)
            self.assertEqual(program.returncode, 0, said)
        server.wait(event="binding_removed", subject="alice")
        for words in ("registered", "unregistered", "shutdown_done"):
            self.assertIn(words, said)

    def test_minimal_call(self):
        """It registers, calls a tone, and is told to end by its peer."""
        self.serve()
        bob = self.agent("bob", "--auto-answer")
        bob.wait(event="registration", state="registered")
        with subprocess.Popen([self.example("minimal_call"), f"sip:alice@127.0.0.1:{self.port}", f"sip:bob@127.0.0.1:{self.port}"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True) as program:
            bob.wait(event="call_state", state="confirmed")
            bob.send("hangup")
            said, _ = program.communicate(timeout=LIMIT)
            self.assertEqual(program.returncode, 0, said)
        self.assertIn("call: confirmed", said)
        self.assertIn("call: ended", said)


class Tap(unittest.TestResult):
    """One line a test, as the other tests print them (Test Anything Protocol)."""

    def report(self, word, test, why=""):
        print(f"{word} {self.testsRun} - {test.id().removeprefix('__main__.')}", flush=True)
        for line in why.splitlines():
            print("# " + line, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.report("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"ok {self.testsRun} # SKIP {test.id().removeprefix('__main__.')}: {reason}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.report("not ok", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.report("not ok", test, self.errors[-1][1])


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    print(f"1..{suite.countTestCases()}", flush=True)
    sys.exit(0 if suite.run(Tap()).wasSuccessful() else 1)
