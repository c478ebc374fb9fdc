"""SIPp (apt: sip-tester) as a peer whose manners are written down message by message in lab/sipp/. It echoes the RTP it gets."""
import os
import shutil
import time

from world import Skip

HERE = os.path.dirname(os.path.abspath(__file__))


class Sipp:
    """One scenario of lab/sipp/, at the callee's place. The registrar is told its Contact, because SIPp does not register here."""

    def __init__(self, world, namespace, address, registrar, scenario, user="bob", target=None, pause_ms=0):
        binary = shutil.which("sipp")
        if binary is None:
            raise Skip("sipp is not installed")
        self.world, self.user, self.log_file = world, user, f"{world.directory}/sipp-{scenario}"
        registrar.rpc("ul.add", "location", user, f"sip:{user}@{address}:5060", 3600, 1.0, ".", 0, 0, 0)
        command = [binary, f"{registrar.address}:5060", "-sf", f"{HERE}/sipp/{scenario}.xml", "-i", address, "-p", "5060", "-mi", address, "-mp", "6000",
                   "-rtp_echo", "-d", str(pause_ms), "-s", target or user, "-trace_msg", "-message_file", self.log_file + ".msg",
                   "-trace_err", "-error_file", self.log_file + ".err", "-nostdin", "-timeout", "50s"]
        if target:
            command += ["-m", "1", "-l", "1"]
        self.process = world.start(namespace, command, f"sipp-{scenario}", env={**os.environ, "TERM": "dumb"}, cwd=world.directory)
        time.sleep(0.3)

    def messages(self):
        """(time, text) of every message sent or received, in order, as SIPp wrote them down."""
        try:
            with open(self.log_file + ".msg", encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""
