"""Register, call both ways, hold and resume, hang up from each side; no change of network."""
import time

from lab import Scenario
from world import Failure, ping


def basics(lab, server, callee, caller="roam"):
    rtt = min(ping(lab.world.agent, lab.world.SERVER) for _ in range(3))
    if not lab.world.rtt_ms <= rtt < lab.world.rtt_ms + 20:
        raise Failure(f"the round trip is {rtt:.1f} ms instead of {lab.world.rtt_ms}")
    lab.cast(server, callee, caller)
    lab.only_contact(lab.world.WLAN)
    lab.call()
    lab.two_way(lab.world.WLAN)
    hold(lab)
    lab.hang_up(lab.caller, lab.callee)
    lab.call()
    lab.hang_up(lab.callee, lab.caller, lab.world.WLAN)
    lab.call(lab.callee, lab.caller)
    lab.two_way(lab.world.WLAN)
    lab.hang_up(lab.callee, lab.caller, lab.world.WLAN)
    lab.call(lab.callee, lab.caller)
    lab.hang_up(lab.caller, lab.callee)


def hold(lab):
    """Held by the agent, then by the peer: the other side sends nothing any more. Resumed: both ways again."""
    for who, held, way in ((lab.caller, lab.inward, "inward"), (lab.callee, lab.outward, "outward")):
        who.hold()
        time.sleep(0.8)
        start = time.time()
        time.sleep(1)
        lab.silent(held(), start, time.time(), f"held by {who.user}, {way}")
        who.resume()
        time.sleep(0.8)
        lab.two_way(lab.world.WLAN)


def scenarios():
    # The world itself, without roam: where this fails nothing else means anything.
    yield Scenario("world-kamailio-baresip", lambda lab: basics(lab, "kamailio", "baresip", "baresip"), roam=False)
    for server in ("serve", "kamailio"):
        for callee in ("roam", "baresip"):
            yield Scenario(f"basics-{server}-{callee}", lambda lab, s=server, c=callee: basics(lab, s, c))
