"""The address of the agent changes during a call, or while it is idle. Five seconds later everything must be as before, at the new address."""
import time

from lab import SETTLE, Scenario
from world import Failure


def settled(lab, address, since):
    """What must hold after each change during a call."""
    lab.sleep_until(since + SETTLE - 1.2)
    if lab.caller.is_closed() or lab.callee.is_closed():
        raise Failure("the call ended")
    lab.two_way(address)
    lab.only_contact(address)
    lab.hang_up(lab.callee, lab.caller, address)


def in_call(lab, server, callee):
    lab.cast(server, callee)
    lab.call()
    lab.two_way(lab.world.WLAN)


def break_before_make(lab, server, callee):
    in_call(lab, server, callee)
    settled(lab, lab.world.WWAN, lab.world.break_before_make())


def make_before_break(lab, server, callee):
    """Both networks are up for three seconds: no packet is lost, in either direction."""
    in_call(lab, server, callee)
    whole_overlap(lab, lab.world.make_before_break())


def make_before_break_strict(lab, server, callee):
    """The same where each network takes only its own addresses: what leaves from the old address must leave by the old link."""
    lab.world.each_address_on_its_own_link()
    in_call(lab, server, callee)
    whole_overlap(lab, lab.world.make_before_break())


def whole_overlap(lab, moved):
    settled(lab, lab.world.WWAN, moved + 1)
    for way, packets in (("outward", lab.outward()), ("inward", lab.inward())):
        lost = lab.lost([p for p in packets if p.time < moved + SETTLE])
        if lost:
            raise Failure(f"{lost} packets lost {way} although both networks were up")


def renumber(lab, server, callee):
    """Another address in the same subnet, in a call that the other side made."""
    lab.cast(server, callee)
    lab.call(lab.callee, lab.caller)
    lab.two_way(lab.world.WLAN)
    settled(lab, "10.1.0.3", lab.world.renumber("10.1.0.3"))


def twice(lab, server, callee):
    """A second change 300 ms after the first, long before the first is done."""
    in_call(lab, server, callee)
    lab.world.to_wwan()
    time.sleep(0.3)
    settled(lab, "10.1.0.4", lab.world.back_to_wlan("10.1.0.4"))


def flap(lab, server, callee):
    """A-B-A: back at the old address within a second."""
    in_call(lab, server, callee)
    lab.world.to_wwan()
    time.sleep(0.5)
    settled(lab, lab.world.WLAN, lab.world.back_to_wlan(lab.world.WLAN))


def idle(lab, server, callee):
    """Nobody talks while the address changes; afterwards calls work both ways."""
    lab.cast(server, callee)
    lab.only_contact(lab.world.WLAN)
    moved = lab.world.break_before_make()
    lab.sleep_until(moved + 2)
    lab.only_contact(lab.world.WWAN)
    lab.call(lab.callee, lab.caller)
    lab.two_way(lab.world.WWAN)
    lab.hang_up(lab.callee, lab.caller, lab.world.WWAN)
    lab.call()
    lab.two_way(lab.world.WWAN)
    lab.hang_up(lab.callee, lab.caller, lab.world.WWAN)


def held(lab, server, callee):
    """On hold while the address changes: still held afterwards, nobody was un-held, and it can be resumed."""
    in_call(lab, server, callee)
    lab.caller.hold()
    time.sleep(0.8)
    moved = lab.world.break_before_make()
    lab.sleep_until(moved + 3)
    lab.silent(lab.inward(lab.world.WWAN), moved, time.time(), "held during the move, inward")
    lab.only_contact(lab.world.WWAN)
    lab.caller.resume()
    time.sleep(0.8)
    settled(lab, lab.world.WWAN, moved)


def scenarios():
    moves = {"break": break_before_make, "make": make_before_break, "strict": make_before_break_strict, "renumber": renumber, "idle": idle, "twice": twice, "flap": flap, "held": held}
    for name, move in moves.items():
        for server in ("serve", "kamailio"):
            for callee in ("roam", "baresip"):
                yield Scenario(f"{name}-{server}-{callee}", lambda lab, m=move, s=server, c=callee: m(lab, s, c))
