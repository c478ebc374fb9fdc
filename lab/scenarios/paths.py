"""The path of the agent changes, and its address does not: a black hole, a black hole while another network is up, another network behind the same address. Noticed without any event but silence, or the
MAC address of a gateway; five seconds after there is a way again the call is whole."""
import time

from lab import SETTLE, Scenario
from moves import in_call
from world import Failure


def hear(lab, op, since, seconds):
    return lab.caller.wait(f"{op}", lambda e: e.get("event") == "ip_change_progress" and e.get("op") == op and e.get("call"), seconds, since)


def whole(lab, address, since):
    lab.sleep_until(since + SETTLE - 1.2)
    if lab.caller.is_closed() or lab.callee.is_closed():
        raise Failure("the call ended")
    lab.two_way(address)
    lab.only_contact(address)
    lab.hang_up(lab.callee, lab.caller, address)


def hole(lab, server, callee):
    """Nothing passes for six seconds. The application hears of it within two and a half, and of the recovery after a refresh that was answered."""
    in_call(lab, server, callee)
    mark = lab.caller.mark()
    lab.world.note("black hole")
    lab.world.emulator.command("down wlan0")
    began = time.time()
    hear(lab, "offline", mark, 2.5)
    lab.sleep_until(began + 6)
    mark = lab.caller.mark()
    lab.world.note("the hole ends")
    lab.world.emulator.command("up wlan0")
    ended = time.time()
    hear(lab, "recovered", mark, SETTLE)
    refreshes = [m for m in lab.sip("wlan0") if m.status is None and m.method == "INVITE" and m.source == lab.world.WLAN and m.time >= ended]
    if not refreshes:
        raise Failure("recovered is told, and nothing was refreshed")
    whole(lab, lab.world.WLAN, ended)


def hole_beside(lab, server, callee):
    """The same while the other network is up, which the system does not prefer: the call goes on there, and comes back when the better path lives again."""
    in_call(lab, server, callee)
    lab.world.wwan.carrier()
    lab.world.agent_ip("wwan0 is up as well", lab.world.wwan.lines_address(lab.world.WWAN)[0],
                       f"route add default via {lab.world.wwan.gateway} dev wwan0 metric 500")
    lab.world.agent.ip(f"rule add from {lab.world.wwan.subnet} lookup 102",
                       f"route add default via {lab.world.wwan.gateway} dev wwan0 onlink table 102")
    time.sleep(0.5)
    lab.world.note("black hole")
    lab.world.emulator.command("down wlan0")
    whole(lab, lab.world.WWAN, time.time())


def another_network(lab, server, callee):
    """Address, link and routes stay; the gateway is another box. It announces itself, and the call and the registration are refreshed at once."""
    in_call(lab, server, callee)
    time.sleep(1.2)  # the kernel does not believe two MAC addresses within a second
    mark = lab.caller.mark()
    lab.world.note("another router")
    lab.world.emulator.command("router wlan0 02:00:00:00:00:fd")
    changed = time.time()
    hear(lab, "detected", mark, 1)
    hear(lab, "recovered", mark, SETTLE)
    whole(lab, lab.world.WLAN, changed)


def scenarios():
    paths = {"hole": hole, "hole-beside": hole_beside, "another-network": another_network}
    for name, path in paths.items():
        for server in ("serve", "kamailio"):
            for callee in ("roam", "baresip"):
                yield Scenario(f"{name}-{server}-{callee}", lambda lab, p=path, s=server, c=callee: p(lab, s, c))
