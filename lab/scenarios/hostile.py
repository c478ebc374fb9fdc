"""A stranger sends what it likes to the ports of an agent in a call: the call goes on, memory stays flat."""
import random
import re
import socket
import time

from lab import Scenario
from world import Failure

GROWTH_MAX = 4 << 20  # resident bytes after the flood, above those after its first second


def invite(number, address, via="SIP/2.0/UDP 10.9.0.10:5999;branch=z9hG4bKflood{n};rport"):
    via = via.replace("{n}", str(number))
    return (f"INVITE sip:alice@{address} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: <sip:mallory@10.9.0.10>;tag=m{number}\r\n"
            f"To: <sip:alice@{address}>\r\nCall-ID: flood-{number}\r\nCSeq: {number % 1000} INVITE\r\nContact: <sip:mallory@10.9.0.10:5999>\r\n"
            "Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n").encode()


def in_dialog(number, address, method, call_id):
    """A request of the real call, by somebody who knows its Call-ID but not its tags."""
    return (f"{method} sip:alice@{address} SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.10:5999;branch=z9hG4bKguess{number};rport\r\nMax-Forwards: 70\r\n"
            f"From: <sip:bob@10.9.0.10>;tag=g{number}\r\nTo: <sip:alice@10.9.0.10>;tag=h{number}\r\nCall-ID: {call_id}\r\nCSeq: {number + 1} {method}\r\n"
            "Content-Length: 0\r\n\r\n").encode()


def mutated(rng, message):
    """Cut, overwritten, doubled, or with a Content-Length that is a lie."""
    data = bytearray(message)
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(data[:rng.randrange(len(data))])
    if kind == 1:
        for _ in range(rng.randrange(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        return bytes(data)
    if kind == 2:
        a, b = sorted(rng.randrange(len(data)) for _ in range(2))
        return bytes(data[:b] + data[a:])
    if kind == 3:
        return bytes(data).replace(b"Content-Length: 0", b"Content-Length: " + str(rng.choice([-1, 1, 70000, 2 ** 32, 2 ** 64])).encode())
    a, b = sorted(rng.randrange(len(data)) for _ in range(2))
    return bytes(data[:a] + data[b:])


def vias(address, line):
    """10,000 Via headers; only short ones fit a datagram."""
    return (f"OPTIONS sip:alice@{address} SIP/2.0\r\n".encode() + line * 10000)[:65000] + b"\r\n"


def flood(lab, server, callee):
    lab.cast(server, callee)
    lab.call()
    world = lab.world
    contact = lab.server.contacts("alice")[0]
    port = int(re.search(r"@?[\d.]+:(\d+)", contact).group(1)) if re.search(r"[\d.]+:(\d+)", contact) else 5060
    lab.two_way(world.WLAN)
    media = {(p.target, p.dport) for p in lab.inward()}
    call_id = next(m.header("Call-ID") for m in lab.sip("wlan0") if m.method == "INVITE")
    rng, number, sent, before = random.Random(7), 0, 0, None
    with world.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((world.SERVER, 5999))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        s.setblocking(False)
        start = time.time()
        while time.time() < start + 5:
            if before is None and time.time() > start + 1:
                before = lab.caller.memory()
            for _ in range(20):
                number += 1
                what = rng.randrange(100)
                if what < 60:
                    data = mutated(rng, invite(number, world.WLAN))
                elif what < 70:
                    data = in_dialog(number, world.WLAN, rng.choice(["BYE", "CANCEL", "ACK", "INVITE", "UPDATE"]), call_id)
                elif what < 80:
                    data = rng.randbytes(rng.randrange(1, 1400))
                elif what < 81:
                    data = rng.randbytes(65000)
                elif what < 82:
                    data = vias(world.WLAN, rng.choice([b"v:x\r\n", b"v:\r\n", b"Via:,,\r\n"]))
                elif what < 90:
                    data = mutated(rng, b"SIP/2.0 200 OK\r\n" + invite(number, world.WLAN).split(b"\r\n", 1)[1])
                else:
                    data = None
                try:
                    if data is None:  # RTP of a stranger, and worse
                        for target in media:
                            s.sendto(bytes([128, rng.randrange(256)]) + rng.randbytes(rng.randrange(0, 400)), target)
                    else:
                        s.sendto(data, (world.WLAN, port))
                    sent += 1
                except BlockingIOError:
                    pass
            time.sleep(0.01)
        end = time.time()
    world.note(f"{sent} hostile datagrams in {end - start:.1f} s")
    if sent < 1000:
        raise Failure(f"only {sent} datagrams went out: that is no flood")
    time.sleep(0.5)
    if lab.caller.is_closed() or lab.callee.is_closed():
        raise Failure("the call ended in the flood")
    for way, packets in (("outward", lab.outward(world.WLAN)), ("inward", lab.inward(world.WLAN))):
        n = sum(1 for p in packets if start <= p.time < end)
        if n < 0.95 * (end - start) / 0.020:
            raise Failure(f"RTP {way} suffered: {n} packets in {end - start:.1f} s")
    grown = lab.caller.memory() - before
    world.note(f"memory grew by {grown} bytes")
    if grown > GROWTH_MAX:
        raise Failure(f"memory grew by {grown} bytes")
    lab.two_way(world.WLAN)
    lab.only_contact(world.WLAN)
    lab.hang_up(lab.callee, lab.caller, world.WLAN)


def scenarios():
    yield Scenario("flood-serve-roam", lambda lab: flood(lab, "serve", "roam"))
    yield Scenario("flood-kamailio-baresip", lambda lab: flood(lab, "kamailio", "baresip"))
