"""When did the network change? Listens to the kernel in a namespace and notes the moment of each default route."""
import socket
import struct
import threading
import time

NEWROUTE, DELROUTE, NEWADDR, DELADDR = 24, 25, 20, 21
NAMES = {NEWROUTE: "route", DELROUTE: "route gone", NEWADDR: "address", DELADDR: "address gone"}
GROUPS = 0x10 | 0x40 | 0x100 | 0x400  # RTMGRP_IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE


class Watch:
    def __init__(self, namespace):
        self.events = []  # (time, name)
        self.socket = namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, GROUPS))
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            now = time.time()
            while len(data) >= 16:
                length, kind = struct.unpack("IH", data[:6])
                body = data[16:length]
                # struct rtmsg: the second byte is the length of the destination's prefix, 0 for a default route
                if kind in (NEWADDR, DELADDR) or kind in (NEWROUTE, DELROUTE) and len(body) > 1 and body[1] == 0:
                    self.events.append((now, NAMES[kind]))
                data = data[(length + 3) & ~3:]

    def last(self, name, since=0.0):
        """The time of the last event of this name after `since`; None: there was none."""
        return next((t for t, what in reversed(self.events) if what == name and t >= since), None)
