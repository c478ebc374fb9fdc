"""What a scenario is given: a world with a server, a callee and a caller in it, and the questions it asks of them."""
import re
import time

import capture
from agent import RoamAgent
from peers import Baresip, Kamailio, RoamServe, tone_share
from world import Failure, Skip, World

SETTLE = 5.0      # after a change the call must be whole within this
PACKET = 0.020    # G.711 packets come every 20 ms


class Scenario:
    """`run(lab)` raises Failure or Skip, else the scenario passed."""

    def __init__(self, name, run, roam=True, **options):
        self.name, self.run, self.roam, self.options = name, run, roam, options


class Lab:
    def __init__(self, world, roam):
        self.world, self.roam = world, roam

    # ---- who takes part ----

    def cast(self, server, callee, caller="roam", auto_answer=True):
        """Starts everybody and waits until both ends are registered. `callee` None: the scenario brings its own."""
        self.server = self._server(server, callee)
        self.callee = callee and self._party(callee, self.world.callee, self.world.CALLEE, "bob", 700, auto_answer)
        self.caller = self._party(caller, self.world.agent, self.world.WLAN, "alice", 440, auto_answer)
        if self.callee:
            self.callee.registered()
        self.caller.registered()

    def _server(self, kind, callee):
        if kind == "kamailio":
            return Kamailio(self.world)
        # libre 1.1 (baresip 1.0) gives up when the first challenge is not MD5.
        return RoamServe(self.world, self.roam, ("--digest", "MD5") if callee == "baresip" else ())

    def _party(self, kind, namespace, address, user, hertz, auto_answer):
        if kind == "baresip":
            return Baresip(self.world, namespace, address, self.server, user, hertz, "auto" if auto_answer else "manual")
        return RoamAgent(self.world, namespace, self.roam, self.server, user, hertz, auto_answer)

    def call(self, caller=None, callee=None, seconds=5):
        caller, callee = caller or self.caller, callee or self.callee
        marks = caller.mark(), callee.mark()
        self.world.note(f"{caller.user} calls {callee.user}")
        caller.dial(f"sip:{callee.user}@{self.server.address}")
        caller.established(marks[0], seconds)
        callee.established(marks[1], seconds)

    def caller_confirmed(self):
        with self.caller.changed:
            return any(e.get("event") == "call_state" and e.get("state") == "confirmed" for e in self.caller.events)

    def hang_up(self, who, other, address=None):
        """`who` ends the call and the other learns of it; where an address is given the BYE is seen to arrive there."""
        marks = who.mark(), other.mark()
        start = time.time()
        self.world.note(f"{who.user} hangs up")
        who.hangup()
        other.closed(marks[1], 3)
        who.closed(marks[0], 3)
        if address is not None:
            byes = [m for m in self.sip(self.port_of(address)) if m.status is None and m.method == "BYE" and m.target == address and m.time >= start]
            if not byes:
                raise Failure(f"no BYE came to {address}")

    # ---- what passed ----

    def port_of(self, address):
        return {"10.1.": "wlan0", "10.2.": "wwan0", "10.8.": "callee", "10.9.": "server"}[address[:5]]

    def _capture(self, port):
        self.world.emulator.command("flush")
        return f"{self.world.directory}/{port}.pcap"

    def rtp(self, port):
        return capture.rtp(self._capture(port))

    def sip(self, port):
        return capture.sip(self._capture(port))

    def outward(self, address=None):
        """RTP that reached the callee's link from the agent (from this address)."""
        return [p for p in self.rtp("callee") if p.target == self.world.CALLEE and (address is None or p.source == address)]

    def inward(self, address=None):
        """RTP that was brought to the agent's links (for this address), in the order of time."""
        packets = [p for port in ("wlan0", "wwan0") for p in self.rtp(port) if p.source == self.world.CALLEE]
        return sorted((p for p in packets if address is None or p.target == address), key=lambda p: p.time)

    def two_way(self, address, seconds=1.0, share=0.9):
        """RTP flows both ways between this address of the agent and the callee, and both hear the other's tone."""
        self.flows({"outward": lambda: self.outward(address), "inward": lambda: self.inward(address)}, address, seconds, share)
        self.tones()

    def flows(self, ways, address, seconds=1.0, share=0.9):
        """Watches for a while whether packets come at their pace. A second that a busy machine spoils says nothing: three are looked at."""
        for attempt in range(3):
            start = time.time()
            time.sleep(seconds)
            end = time.time()
            time.sleep(self.world.rtt_ms / 2000 + 0.1)
            expected = share * seconds / PACKET
            few = [(way, n) for way, packets in ways.items() if (n := capture.count(packets(), start, end)) < expected]
            if not few:
                return
        raise Failure(f"RTP {few[0][0]} at {address}: {few[0][1]} packets in {seconds:g} s, at least {expected:.0f} wanted")

    def tones(self, seconds=0.6, wanted=0.8):
        for who, other in ((self.callee, self.caller), (self.caller, self.callee)):
            share, end = 0.0, time.monotonic() + 2  # recordings are written with some delay
            while share < wanted and time.monotonic() < end:
                recording = who.recording()
                share = tone_share(recording, other.hertz, seconds) if recording else 0.0
                time.sleep(0.1)
            if share < wanted:
                raise Failure(f"{who.user} hears {share:.0%} of {other.user}'s tone of {other.hertz} Hz")

    def silent(self, packets, start, end, what):
        n = capture.count(packets, start, end)
        if n > 2:
            raise Failure(f"{what}: {n} RTP packets in {end - start:.1f} s, none wanted")

    def only_contact(self, address, user="alice"):
        """The registrar holds exactly one Contact, at this address."""
        contacts = self.server.contacts(user)
        hosts = [re.sub(r"^<?sips?:(?:[^@]*@)?(\[[^]]*\]|[^:;>]*).*", r"\1", contact) for contact in contacts]
        if hosts != [address]:
            raise Failure(f"the registrar holds {contacts or 'nothing'} for {user}, wanted one Contact at {address}")

    def lost(self, packets):
        """Packets that never came, over all streams (each SSRC) in a list."""
        return sum(capture.missing([p for p in packets if p.ssrc == ssrc]) for ssrc in {p.ssrc for p in packets})

    def sleep_until(self, moment):
        time.sleep(max(0.0, moment - time.time()))
