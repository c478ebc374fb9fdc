"""Reads the captures that the emulator writes: RTP and SIP as they passed an attachment point."""
import re
import struct
from collections import namedtuple

Datagram = namedtuple("Datagram", "time source sport target dport data")
Rtp = namedtuple("Rtp", "time source sport target dport payload_type sequence timestamp ssrc marker")


def _ip(raw):
    if len(raw) == 4:
        return ".".join(str(b) for b in raw)
    import ipaddress
    return str(ipaddress.IPv6Address(raw))


def datagrams(path):
    """Yields the UDP datagrams of a capture; of fragmented ones the first fragment. What is half written at the end is left."""
    with open(path, "rb") as file:
        if len(file.read(24)) < 24:
            return
        while True:
            head = file.read(16)
            if len(head) < 16:
                return
            seconds, nanos, length, _ = struct.unpack("<IIII", head)
            raw = file.read(length)
            if len(raw) < length:
                return
            if raw[0] >> 4 == 4:
                start, protocol, source, target = (raw[0] & 15) * 4, raw[9], raw[12:16], raw[16:20]
                if struct.unpack("!H", raw[6:8])[0] & 0x1fff:
                    continue
            else:
                start, protocol, source, target = 40, raw[6], raw[8:24], raw[24:40]
            if protocol == 17 and length >= start + 8:
                sport, dport = struct.unpack("!HH", raw[start:start + 4])
                yield Datagram(seconds + nanos / 1e9, _ip(source), sport, _ip(target), dport, raw[start + 8:])


def rtp(path):
    """The RTP packets: version 2, an even port above 1024, not RTCP (RFC 5761 section 4)."""
    found = []
    for d in datagrams(path):
        if len(d.data) >= 12 and d.data[0] >> 6 == 2 and not 192 <= d.data[1] <= 223 and d.sport > 1024 and 5060 not in (d.sport, d.dport):
            _, second, sequence, timestamp, ssrc = struct.unpack("!BBHII", d.data[:12])
            found.append(Rtp(d.time, d.source, d.sport, d.target, d.dport, second & 127, sequence, timestamp, ssrc, second >> 7))
    return found


class Sip:
    """One message as it passed. `status` is None for a request."""

    def __init__(self, datagram, text):
        self.time, self.source, self.target, self.text = datagram.time, datagram.source, datagram.target, text
        first = text.split("\r\n", 1)[0]
        self.status = int(first.split()[1]) if first.startswith("SIP/2.0 ") else None
        self.cseq = self.header("CSeq")
        self.method = self.cseq.split()[-1] if self.cseq else first.split()[0]
        self.first = first

    def header(self, name):
        found = re.search(rf"^{name}\s*:\s*(.*)\r$", self.text, re.MULTILINE | re.IGNORECASE)
        return found.group(1).strip() if found else ""

    def __repr__(self):
        return f"<{self.time:.3f} {self.source}>{self.target} {self.first}>"


def sip(path):
    found = []
    for d in datagrams(path):
        if 5060 in (d.sport, d.dport) or b"SIP/2.0" in d.data[:400]:
            text = d.data.decode("utf-8", "replace")
            if re.match(r"(SIP/2\.0 \d\d\d |[A-Z]+ \S+ SIP/2\.0\r\n)", text):
                found.append(Sip(d, text))
    return found


def count(packets, since, until, source=None, target=None):
    return sum(1 for p in packets if since <= p.time < until and (source is None or p.source == source) and (target is None or p.target == target))


def missing(packets):
    """Of one stream, by SSRC: the sequence numbers between first and last that never passed."""
    seen = set()
    high = None
    for p in packets:
        if high is None:
            high = p.sequence
        number = high + ((p.sequence - high + 0x8000) & 0xffff) - 0x8000
        seen.add(number)
        high = max(high, number)
    return (max(seen) - min(seen) + 1 - len(seen)) if seen else 0


def longest_gap(packets, since, until):
    """The longest time without a packet between two moments, in seconds."""
    times = [since] + sorted(p.time for p in packets if since <= p.time <= until) + [until]
    return max(b - a for a, b in zip(times, times[1:]))
