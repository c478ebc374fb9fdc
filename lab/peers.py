"""The other ends: Kamailio, `roam serve`, and baresip as a callee or caller that can be driven."""
import glob
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import threading
import time
import wave

from world import Failure, Skip, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = "lab-secret"


def tone_file(path, hertz, seconds=120):
    """A WAV file of a tone, 8 kHz mono."""
    if not os.path.exists(path):
        period = 8000 // math.gcd(8000, hertz)
        one = b"".join(struct.pack("<h", int(12000 * math.sin(2 * math.pi * hertz * i / 8000))) for i in range(period))
        with wave.open(path, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(one * (8000 * seconds // period))
    return path


def tone_share(path, hertz, seconds):
    """How much of the energy of the last `seconds` of a recording is the tone: 0..1 (Goertzel). A file still being written will do."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
            rate, channels = 8000, 1
            while head[:4] == b"RIFF":
                chunk = file.read(8)
                if len(chunk) < 8:
                    return 0.0
                size = struct.unpack("<I", chunk[4:])[0]
                if chunk[:4] == b"data":
                    break
                body = file.read(size + size % 2)
                if chunk[:4] == b"fmt ":
                    channels, rate = struct.unpack("<HI", body[2:8])
            data = file.read()
    except OSError:
        return 0.0
    frames = len(data) // (2 * channels)
    samples = struct.unpack(f"<{frames * channels}h", data[:frames * channels * 2])[::channels][-int(seconds * rate):]
    if len(samples) < seconds * rate * 0.9:
        return 0.0
    # Blocks of 100 ms: the phase jumps where a gap was concealed.
    block, shares = rate // 10, []
    factor = 2 * math.cos(2 * math.pi * hertz / rate)
    for start in range(0, len(samples) - block + 1, block):
        a = b = energy = 0.0
        for x in samples[start:start + block]:
            a, b = x + factor * a - b, a
            energy += x * x
        power = a * a + b * b - factor * a * b
        shares.append(2 * power / (block * energy) if energy > block * 100 else 0.0)
    return sum(shares) / len(shares)


class Kamailio:
    name = "kamailio"

    def __init__(self, world, nonce_count=0, checks=0):
        binary = shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin")
        modules = next((d for d in glob.glob("/usr/lib/*/kamailio/modules") + ["/usr/lib/kamailio/modules"] if os.path.isdir(d)), None)
        if binary is None or modules is None:
            raise Skip("kamailio is not installed")
        self.world, self.address = world, world.SERVER
        self.runtime = world.scratch
        self.control = f"{self.runtime}/control"
        with open(f"{HERE}/kamailio/kamailio.cfg", encoding="utf-8") as file:
            text = file.read()
        for key, value in {"MODULES": modules + "/", "CONTROL": self.control, "PASSWORD": PASSWORD, "NONCE_COUNT": nonce_count, "CHECKS": checks}.items():
            text = text.replace(f"@{key}@", str(value))
        self.config = f"{world.directory}/kamailio.cfg"
        with open(self.config, "w", encoding="utf-8") as file:
            file.write(text)
        self.process = world.start(world.server, [binary, "-DD", "-f", self.config, "-Y", self.runtime, "-l", f"udp:{self.address}:5060",
                                                  "-m", "64", "-M", "8", "-b", "8388608", "-w", self.runtime], "kamailio")
        wait_for("kamailio answers", self._ready, 20, 0.1)

    def _ready(self):
        if self.process.poll() is not None:
            raise Failure(f"kamailio ended with {self.process.returncode}, see kamailio.log")
        try:
            return self.rpc("core.uptime")
        except OSError:
            return None

    def rpc(self, method, *params):
        reply = f"{self.runtime}/reply"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            if os.path.exists(reply):
                os.unlink(reply)
            s.bind(reply)
            s.settimeout(3)
            s.sendto(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode(), self.control)
            return json.loads(s.recv(65536))

    def contacts(self, user):
        """The URIs of the bindings that the registrar holds for a user and that are not yet over."""
        answer = self.rpc("ul.lookup", "location", user)
        if "error" in answer:
            return []
        found = []
        for entry in answer["result"].get("Contacts", []):
            contact = entry["Contact"]
            if contact.get("Expires") not in ("expired", "deleted"):
                found.append(contact["Address"])
        return found


class RoamServe:
    """`roam serve`: the same testbed code as the simulator's, on sockets."""
    name = "serve"

    def __init__(self, world, roam, extra=()):
        self.world, self.address = world, world.SERVER
        secret = f"{world.directory}/password"
        with open(secret, "w", encoding="utf-8") as file:
            file.write(PASSWORD + "\n")
        self.process = world.start(world.server, [roam, "serve", "--listen", f"{self.address}:5060", "--password-file", secret, *extra], "serve",
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.events, self.lock = [], threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()
        wait_for("roam serve is ready", lambda: self.events or self.process.poll() is not None, 10)
        if self.process.poll() is not None:
            raise Failure(f"roam serve ended with {self.process.returncode}, see serve.log")

    def _read(self):
        with open(f"{self.world.directory}/serve.jsonl", "w", encoding="utf-8") as log:
            for line in self.process.stdout:
                log.write(line)
                log.flush()
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                with self.lock:
                    self.events.append(event)

    def contacts(self, user):
        with self.lock:
            seen = len(self.events)
        self.process.stdin.write(f"contacts {user}\n")

        def answer():
            with self.lock:
                fresh = self.events[seen:]
            return next((e for e in fresh if e.get("event") == "contacts" and e.get("user") == user), None)
        return wait_for("roam serve tells its bindings", answer, 3)["contacts"]


class Baresip:
    """baresip without a screen: plays a tone, records what it hears, is driven through ctrl_tcp."""

    def __init__(self, world, namespace, address, registrar, user="bob", hertz=700, answer="auto"):
        binary = shutil.which("baresip")
        modules = next((d for d in ("/usr/lib/baresip/modules", *glob.glob("/usr/lib/*/baresip/modules")) if os.path.isdir(d)), None)
        if binary is None or modules is None:
            raise Skip("baresip is not installed")
        self.world, self.namespace, self.address, self.user, self.registrar, self.hertz = world, namespace, address, user, registrar, hertz
        self.directory = f"{world.directory}/baresip-{user}"
        os.makedirs(self.directory, exist_ok=True)
        tone = tone_file(f"{self.directory}/tone.wav", hertz)
        with open(f"{HERE}/baresip/config", encoding="utf-8") as file:
            text = file.read()
        for key, value in {"MODULES": modules, "ADDRESS": address, "TONE": tone, "RECORD": self.directory}.items():
            text = text.replace(f"@{key}@", value)
        self._write("config", text)
        self._write("accounts", f"<sip:{user}@{registrar.address}>;auth_user={user};auth_pass={PASSWORD};answermode={answer};audio_codecs=PCMU/8000/1,PCMA/8000/1;regint=600\n")
        self._write("contacts", "")
        self.process = world.start(namespace, [binary, "-f", self.directory, "-4"], f"baresip-{user}")
        self.events, self.lock, self.token, self.buffer = [], threading.Lock(), 0, b""
        self.control = wait_for("baresip listens", self._connect, 15, 0.1)
        threading.Thread(target=self._read, daemon=True).start()

    def _write(self, name, text):
        with open(f"{self.directory}/{name}", "w", encoding="utf-8") as file:
            file.write(text)

    def _connect(self):
        if self.process.poll() is not None:
            raise Failure(f"baresip ended with {self.process.returncode}")
        s = self.namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            s.connect(("127.0.0.1", 4444))
            return s
        except OSError:
            s.close()
            return None

    def _read(self):
        """Netstrings: LENGTH:JSON, (a comma ends each)."""
        data = b""
        with open(f"{self.directory}/events.jsonl", "w", encoding="utf-8") as log:
            while True:
                try:
                    got = self.control.recv(65536)
                except OSError:
                    return
                if not got:
                    return
                data += got
                while (colon := data.find(b":")) > 0 and len(data) > (length := int(data[:colon])) + colon + 1:
                    item = json.loads(data[colon + 1:colon + 1 + length])
                    data = data[colon + 2 + length:]
                    item["time"] = time.time()
                    log.write(json.dumps(item) + "\n")
                    log.flush()
                    with self.lock:
                        self.events.append(item)

    def command(self, name, params=""):
        """Runs one command and returns its text."""
        self.token += 1
        token = str(self.token)
        body = json.dumps({"command": name, "params": params, "token": token}).encode()
        self.control.sendall(str(len(body)).encode() + b":" + body + b",")

        def answer():
            with self.lock:
                return next((e for e in self.events if e.get("response") and e.get("token") == token), None)
        return wait_for(f"baresip does {name}", answer, 5).get("data", "")

    def mark(self):
        with self.lock:
            return len(self.events)

    def event(self, kind, since=0, seconds=5):
        """Waits for an event such as REGISTER_OK, CALL_INCOMING, CALL_ESTABLISHED, CALL_CLOSED."""
        def found():
            with self.lock:
                return next((e for e in self.events[since:] if e.get("type") == kind), None)
        return wait_for(f"baresip {self.user}: {kind}", found, seconds)

    def saw(self, kind, since=0):
        with self.lock:
            return any(e.get("type") == kind for e in self.events[since:])

    def registered(self):
        """Its own word for it may have come before anybody listened, so the registrar is asked."""
        wait_for(f"baresip {self.user} is registered", lambda: self.registrar.contacts(self.user), 10, 0.1)

    def established(self, since=0, seconds=5):
        return self.event("CALL_ESTABLISHED", since, seconds)

    def closed(self, since=0, seconds=5):
        return self.event("CALL_CLOSED", since, seconds)

    def is_closed(self, since=0):
        return self.saw("CALL_CLOSED", since)

    def dial(self, uri):
        self.command("dial", uri)

    def answer(self):
        self.command("accept")

    def hangup(self):
        self.command("hangup")

    def hold(self):
        self.command("hold")

    def resume(self):
        self.command("resume")

    def recording(self):
        """The newest file with what was heard, None when there is none."""
        files = sorted(glob.glob(f"{self.directory}/dump-*-dec.wav"), key=os.path.getmtime)
        return files[-1] if files else None
