"""The two-network world: an agent with wlan0 and wwan0, a server and a callee, joined by the emulator.

    agent  wlan0 10.1.0.2/24 --.
           wwan0 10.2.0.2/24 --+-- emulator --+-- 10.9.0.10/24 eth0  server
                                              '-- 10.8.0.20/24 eth0  callee

The links of the agent carry the delay: half of the round trip each way. Each attachment point has a capture, NAME.pcap.
"""
import os
import signal
import socket
import struct
import subprocess
import time

from namespaces import Namespace


class Failure(Exception):
    """What the scenario wanted to see did not happen."""


class Skip(Exception):
    """The scenario cannot be run here; the text says why."""


def wait_for(what, probe, seconds, every=0.02):
    """Asks `probe` until it gives something true, `seconds` at most; returns that."""
    end = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds:g} s")
        time.sleep(every)


def ping(namespace, address, size=56, timeout=3):
    """One ICMP echo; the round trip in milliseconds. Failure when nothing comes back."""
    with namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(timeout)
        request = struct.pack("!BBHHH", 8, 0, 0, 0x726f, 1) + bytes(size)
        total = sum(struct.unpack(f"!{len(request) // 2}H", request))
        total = (total & 0xffff) + (total >> 16)
        request = request[:2] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + request[4:]
        start = time.monotonic()
        s.sendto(request, (address, 0))
        while True:
            try:
                answer = s.recv(65535)
            except TimeoutError:
                raise Failure(f"no echo from {address}") from None
            if answer[20] == 0 and answer[24:28] == request[4:8]:
                return 1000 * (time.monotonic() - start)


class Emulator:
    def __init__(self, binary, log):
        self.process = subprocess.Popen([binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1)

    def command(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer.startswith("ok"):
            raise RuntimeError(f"emulator: {line}: {answer or 'gone'}")
        return answer[3:]

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Link:
    """An interface in a namespace and the emulator's end of it."""

    def __init__(self, world, namespace, interface, gateway, number):
        self.world, self.namespace, self.interface, self.gateway = world, namespace, interface, gateway
        self.port = interface if namespace.name == "agent" else namespace.name
        self.far = f"e-{self.port}"
        self.subnet = gateway.rsplit(".", 1)[0] + ".0/24"
        mac = f"02:00:00:00:00:{number:02x}"
        namespace.ip(f"link add {interface} address {mac} type veth peer name {self.far} netns {os.getpid()}",
                     f"link set {interface} addrgenmode none txqueuelen 10000")
        namespace.checksums_in_software(interface)
        subprocess.run(["ip", "link", "set", self.far, "addrgenmode", "none", "arp", "off", "up"], check=True, timeout=10)
        emulator = world.emulator
        emulator.command(f"port {self.port} {self.far} {mac} {world.directory}/{self.port}.pcap")
        emulator.command(f"gateway {self.port} {gateway}")
        emulator.command(f"route {self.subnet} {self.port}")

    def carrier(self):
        """Brings the link up and waits until the kernel sends on it: until then it drops silently what an address and a route would allow.
        Real links, too, are up before they have an address."""
        self.namespace.ip(f"link set {self.interface} up")
        wait_for(f"{self.port} is up", lambda: "state UP" in self.namespace.run(["ip", "-o", "link", "show", self.interface]), 5)

    def lines_address(self, address):
        """The iproute2 lines that give the link an address and the default route."""
        return [f"addr add {address}/24 dev {self.interface}", self.line_default()]

    def line_default(self):
        return f"route replace default via {self.gateway} dev {self.interface}"

    def lines_down(self):
        return [f"addr flush dev {self.interface}", f"link set {self.interface} down"]


class World:
    """`with World(directory, emulator, scratch) as world`: everything in it ends with the block, whatever happens."""

    SERVER, CALLEE = "10.9.0.10", "10.8.0.20"
    WLAN, WWAN = "10.1.0.2", "10.2.0.2"

    def __init__(self, directory, emulator, scratch, rtt_ms=100):
        """`directory` takes logs and captures; `scratch` is a directory with a short path, for Unix sockets. Both are the caller's."""
        self.directory, self.binary, self.scratch, self.rtt_ms = directory, emulator, scratch, rtt_ms
        self.processes, self.namespaces, self.files = [], [], []
        self.started = time.time()

    def __enter__(self):
        signal.signal(signal.SIGTERM, self._terminated)
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    @staticmethod
    def _terminated(*_):
        raise SystemExit(143)

    def log(self, name):
        file = open(f"{self.directory}/{name}.log", "ab")
        self.files.append(file)
        return file

    def _build(self):
        self.emulator = Emulator(self.binary, self.log("emulator"))
        self.agent, self.server, self.callee = (self.namespace(name) for name in ("agent", "server", "callee"))
        self.wlan = Link(self, self.agent, "wlan0", "10.1.0.1", 1)
        self.wwan = Link(self, self.agent, "wwan0", "10.2.0.1", 2)
        self.server_link = Link(self, self.server, "eth0", "10.9.0.1", 3)
        self.callee_link = Link(self, self.callee, "eth0", "10.8.0.1", 4)
        self.delay(self.rtt_ms)
        for link, address in ((self.server_link, self.SERVER), (self.callee_link, self.CALLEE), (self.wlan, self.WLAN)):
            link.carrier()
            link.namespace.ip(*link.lines_address(address))

    def namespace(self, name):
        made = Namespace(name)
        self.namespaces.append(made)
        return made

    def delay(self, rtt_ms):
        self.rtt_ms = rtt_ms
        for link in (self.wlan, self.wwan):
            self.emulator.command(f"link {link.port} delay {rtt_ms / 2}")

    def start(self, namespace, command, log, **kwargs):
        """Starts a process in a namespace; it ends with the world. Its output goes to LOG.log unless the caller takes it."""
        file = self.log(log)
        kwargs.setdefault("stdin", subprocess.DEVNULL)
        kwargs.setdefault("stdout", file)
        kwargs.setdefault("stderr", file)
        process = namespace.popen(command, **kwargs)
        process.lab_name = log
        self.processes.append(process)
        return process

    def note(self, text):
        with open(f"{self.directory}/scenario.log", "a", encoding="utf-8") as file:
            file.write(f"{time.time():.6f} {text}\n")

    def agent_ip(self, what, *lines):
        """Changes the agent's network and notes when. Returns (just before, just after): the change is in between."""
        before = time.time()
        self.agent.ip(*lines)
        after = time.time()
        self.note(f"{what} [{' ; '.join(lines)}] took {1000 * (after - before):.1f} ms")
        return before, after

    # ---- the changes of network; each returns the time at which the last new path was usable ----

    def break_before_make(self, gap=0.2, address=WWAN):
        self.agent_ip("wlan0 goes", *self.wlan.lines_down())
        time.sleep(gap)
        self.wwan.carrier()
        return self.agent_ip("wwan0 comes", *self.wwan.lines_address(address))[1]

    def make_before_break(self, overlap=3.0):
        """The default route moves; the old address stays for a while and still receives."""
        self.wwan.carrier()
        self.agent_ip("wwan0 gets an address", self.wwan.lines_address(self.WWAN)[0])
        time.sleep(0.2)
        moved = self.agent_ip("the default route moves", self.wwan.line_default())[1]
        time.sleep(overlap)
        self.agent_ip("wlan0 goes", *self.wlan.lines_down())
        return moved

    def each_address_on_its_own_link(self):
        """What a careful system does, and what careful networks ask for: a packet leaves by the link that its source address belongs to
        (ip rule), and the networks drop what does not (RFC 2827). Call it before the links are used."""
        self.wwan.carrier()
        for table, link in enumerate((self.wlan, self.wwan), 101):
            self.agent.ip(f"rule add from {link.subnet} lookup {table}",
                          f"route add default via {link.gateway} dev {link.interface} onlink table {table}")
            self.emulator.command(f"source {link.subnet} {link.port}")

    def renumber(self, address="10.1.0.3"):
        return self.agent_ip("wlan0 gets another address", f"addr flush dev {self.wlan.interface}", *self.wlan.lines_address(address))[1]

    def to_wwan(self, address=WWAN):
        return self._move("wlan0 goes, wwan0 comes", self.wlan, self.wwan, address)

    def back_to_wlan(self, address=WLAN):
        return self._move("wwan0 goes, wlan0 comes", self.wwan, self.wlan, address)

    def _move(self, what, old, new, address):
        new.carrier()
        return self.agent_ip(what, *old.lines_down(), *new.lines_address(address))[1]

    def close(self):
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
        end = time.monotonic() + 3
        for process in self.processes:
            try:
                process.wait(max(0.05, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
        if hasattr(self, "emulator"):
            self.emulator.close()
        for namespace in self.namespaces:
            namespace.close()
        for file in self.files:
            file.close()
        self.processes, self.namespaces, self.files = [], [], []
