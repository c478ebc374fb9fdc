"""The address of the agent changes in every other state of a call than "confirmed and quiet": ringing, in the middle of an offer, between 200 and ACK, on hold, away.

What each must end in stands in docs/handover.md, "State by change"."""
import threading
import time

from lab import SETTLE, Scenario
from sipp import Sipp
from world import Failure, wait_for


def deaf(lab, outward=True):
    """From now on nothing leaves by wlan0 (or: nothing comes in): what is sent is lost, and nobody is told."""
    hook, match = ("output", "oifname") if outward else ("input", "iifname")
    lab.world.agent.run(["nft", f"add table ip lab; add chain ip lab c {{ type filter hook {hook} priority 0; }}; add rule ip lab c {match} wlan0 drop"])
    lab.world.note(f"wlan0 {hook} is dropped")


def whole(lab, address, since, settle=SETTLE):
    """One call at each end, sound both ways, the registrar knows the new Contact; then the callee's good-bye arrives."""
    lab.sleep_until(since + settle - 1.2)
    one_call(lab.caller)
    if lab.callee.is_closed():
        ongoing(lab.callee)
    lab.two_way(address)
    lab.only_contact(address)
    lab.hang_up(lab.callee, lab.caller, address)


def one_call(agent):
    """The user of this agent saw one call, and it is not over."""
    with agent.changed:
        ids = {e["call"] for e in agent.events if e.get("call")}
    if len(ids) != 1:
        raise Failure(f"{agent.user} saw {len(ids)} calls, wanted one")
    if agent.is_closed():
        raise Failure(f"the call ended at {agent.user}")


def rings(party):
    """How often it rang at a user: calls that were told and not ended before they could be answered count too."""
    if hasattr(party, "changed"):
        with party.changed:
            return sum(1 for e in party.events if e.get("event") == "call_incoming")
    with party.lock:
        return sum(1 for e in party.events if e.get("type") == "CALL_INCOMING")


def ongoing(party):
    """A callee that was called again has an old call that ended; one must be established and not closed."""
    if hasattr(party, "changed"):
        with party.changed:
            up = {e["call"] for e in party.events if e.get("event") == "call_state" and e.get("state") == "confirmed"}
            down = {e["call"] for e in party.events if e.get("event") == "call_state" and e.get("state") == "ended"}
    else:
        with party.lock:
            up = {e.get("id") for e in party.events if e.get("type") == "CALL_ESTABLISHED"}
            down = {e.get("id") for e in party.events if e.get("type") == "CALL_CLOSED"}
    if not up - down:
        raise Failure(f"no call goes on at {party.user}")


def ring(lab, caller, callee):
    mark = callee.mark()
    caller.dial(f"sip:{callee.user}@{lab.server.address}")
    wait_for(f"it rings at {callee.user}", lambda: rings(callee), 5)
    return mark


def ringing_out(lab, server, callee, after):
    """It rings there when our network goes. The callee answers so many seconds later."""
    lab.cast(server, callee, auto_answer=False)
    ring(lab, lab.caller, lab.callee)
    time.sleep(0.5)
    gone = time.time()
    moved = []
    mover = threading.Thread(target=lambda: moved.append(lab.world.break_before_make()))
    mover.start()
    lab.sleep_until(gone + after)
    answered_first = rings(lab.callee) == 1
    lab.world.note("the callee answers")
    lab.callee.answer()
    mover.join()
    time.sleep(1.5)
    if not lab.caller_confirmed():
        if callee == "roam" and answered_first:
            raise Failure("the callee answered the call that rang, and the caller does not talk")
        lab.callee.answer()  # called again: it rings there anew
    lab.caller.established(0, 5)
    if callee == "roam" and after < 0.2 and rings(lab.callee) != 1:
        raise Failure(f"the callee had answered and it rang {rings(lab.callee)} times there")
    whole(lab, lab.world.WWAN, time.time() + 1)


def ringing_out_sipp(lab):
    """The same with a callee that knows neither UPDATE nor Replaces and answers after 2 s: called again, one call for the user."""
    lab.cast("kamailio", None)
    lab.sipp = Sipp(lab.world, lab.world.callee, lab.world.CALLEE, lab.server, "callee", pause_ms=2000)
    lab.caller.dial(f"sip:bob@{lab.server.address}")
    lab.caller.state("early", 5)
    moved = lab.world.break_before_make()
    lab.caller.established(0, 8)
    one_call(lab.caller)
    lab.sleep_until(moved + SETTLE)
    echoed(lab, lab.world.WWAN)
    lab.caller.hangup()
    lab.caller.closed(0, 3)


def ringing_in(lab, server, callee):
    """It rings here when our network goes. Answered on the new one."""
    lab.cast(server, callee, auto_answer=False)
    ring(lab, lab.callee, lab.caller)
    time.sleep(0.5)
    moved = lab.world.break_before_make()
    lab.sleep_until(moved + 1)
    if rings(lab.caller) != 1:
        raise Failure(f"it rang {rings(lab.caller)} times here")
    lab.caller.answer()
    lab.caller.established(0, 5)
    lab.callee.established(0, 5)
    whole(lab, lab.world.WWAN, time.time())


def gave_up_while_away(lab, server, callee):
    """It rings here, our network goes, the caller gives up meanwhile: the ringing ends soon after the return. A caller that knows no UPDATE and says 200 to every OPTIONS, in a dialog
    or not (baresip 1.0), cannot be asked: the call ends when it is answered."""
    lab.cast(server, callee, auto_answer=False)
    ring(lab, lab.callee, lab.caller)
    time.sleep(0.5)
    lab.world.agent_ip("wlan0 goes", *lab.world.wlan.lines_down())
    lab.callee.hangup()
    time.sleep(1)
    lab.world.wwan.carrier()
    lab.world.agent_ip("wwan0 comes", *lab.world.wwan.lines_address(lab.world.WWAN))
    if callee == "baresip":
        time.sleep(2)
        lab.caller.answer()
        lab.caller.state("connecting", 2)
    lab.caller.closed(0, 5)


def ours_pending(lab, server, callee):
    """Our re-INVITE (hold) is out and lost when the network goes: held on the new one, then resumed."""
    in_call(lab, server, callee)
    deaf(lab)
    lab.caller.hold()
    time.sleep(0.3)
    moved = lab.world.break_before_make()
    lab.sleep_until(moved + 2.5)
    lab.silent(lab.inward(lab.world.WWAN), moved + 1, time.time(), "held while the offer was pending, inward")
    lab.caller.resume()
    whole(lab, lab.world.WWAN, time.time())


def ours_answered(lab, server, callee):
    """Our re-INVITE arrives and its 200 is lost: the peer waits for an ACK that we cannot know of."""
    in_call(lab, server, callee)
    deaf(lab, outward=False)
    lab.caller.hold()
    time.sleep(0.3)
    moved = lab.world.break_before_make()
    lab.sleep_until(moved + 2.5)
    lab.silent(lab.inward(lab.world.WWAN), moved + 1, time.time(), "held while the answer was lost, inward")
    lab.caller.resume()
    whole(lab, lab.world.WWAN, time.time())


def theirs_pending(lab, server, callee):
    """The peer's re-INVITE (hold) has come and our answer is lost when the network goes."""
    in_call(lab, server, callee)
    deaf(lab)
    lab.callee.hold()
    time.sleep(0.3)
    moved = lab.world.break_before_make()
    lab.sleep_until(moved + 6)  # a peer that had its offer unanswered may need to ask again
    one_call(lab.caller)
    lab.callee.resume()
    whole(lab, lab.world.WWAN, time.time() + 2)


def our_ack_lost(lab, server, callee):
    """They sent 200, our ACK is lost with the network: ACK and refresh on the new one."""
    lab.cast(server, callee, auto_answer=False)
    ring(lab, lab.caller, lab.callee)
    time.sleep(0.3)
    deaf(lab)
    lab.callee.answer()
    lab.caller.established(0, 5)
    whole(lab, lab.world.WWAN, lab.world.break_before_make() + 1)


def their_ack_lost(lab, server, callee):
    """We sent 200, their ACK is lost with the network."""
    lab.cast(server, callee, auto_answer=False)
    ring(lab, lab.callee, lab.caller)
    time.sleep(0.3)
    deaf(lab, outward=False)
    lab.caller.answer()
    lab.callee.established(0, 5)
    whole(lab, lab.world.WWAN, lab.world.break_before_make() + 1)


def late_ack_sipp(lab):
    """A caller whose ACK comes only 1.5 s after our 200, to the address that we had then; it knows no UPDATE."""
    lab.cast("kamailio", None, auto_answer=True)
    lab.sipp = Sipp(lab.world, lab.world.callee, lab.world.CALLEE, lab.server, "late-ack", target="alice")
    lab.caller.state("connecting", 5)
    moved = lab.world.break_before_make()
    lab.caller.established(0, 6)
    lab.sleep_until(moved + SETTLE)
    one_call(lab.caller)
    echoed(lab, lab.world.WWAN)
    lab.caller.hangup()
    lab.caller.closed(0, 3)


def echoed(lab, address):
    """What we send to SIPp comes back to where we are now."""
    lab.flows({"outward": lambda: lab.outward(address), "inward": lambda: lab.inward(address)}, address, share=0.8)


def held_by_them(lab, server, callee):
    """On hold by the peer while the address changes: not un-held by it, and the peer can resume."""
    in_call(lab, server, callee)
    lab.callee.hold()
    time.sleep(0.8)
    moved = lab.world.break_before_make()
    lab.sleep_until(moved + 3)
    lab.silent(lab.outward(lab.world.WWAN), moved + 1, time.time(), "held by the peer, outward")
    lab.only_contact(lab.world.WWAN)
    lab.callee.resume()
    whole(lab, lab.world.WWAN, time.time())


def tunnel(lab, server, callee):
    """Ten seconds without any network."""
    in_call(lab, server, callee)
    whole(lab, lab.world.WWAN, lab.world.break_before_make(gap=10))


def bye_while_away(lab, server, callee):
    """The peer hangs up while we have no network: we learn of it on the return."""
    in_call(lab, server, callee)
    lab.world.agent_ip("wlan0 goes", *lab.world.wlan.lines_down())
    time.sleep(0.2)
    lab.callee.hangup()
    time.sleep(2)
    lab.world.wwan.carrier()
    lab.world.agent_ip("wwan0 comes", *lab.world.wwan.lines_address(lab.world.WWAN))
    event = lab.caller.closed(0, 5)
    if "away" not in event.get("reason", ""):
        raise Failure(f"the call ended, but as \"{event.get('reason')}\"")


def both_move(lab, apart):
    """Both ends are roam and get another address, so many seconds apart."""
    lab.cast("kamailio", "roam")
    lab.call()
    lab.tones()
    callee = lab.world.callee_link
    new = "10.8.0.21"

    def renumber():
        time.sleep(apart)
        callee.namespace.ip(f"addr flush dev {callee.interface}", *callee.lines_address(new))
        lab.world.note(f"the callee moved to {new}")

    other = threading.Thread(target=renumber)
    other.start()
    moved = lab.world.to_wwan()
    other.join()
    lab.sleep_until(moved + apart + SETTLE)
    one_call(lab.caller)
    one_call(lab.callee)
    lab.tones()
    lab.only_contact(lab.world.WWAN)
    lab.only_contact(new, "bob")
    lab.hang_up(lab.callee, lab.caller, lab.world.WWAN)


def in_call(lab, server, callee):
    lab.cast(server, callee)
    lab.call()
    lab.two_way(lab.world.WLAN)


def scenarios():
    states = {"ringing-in": ringing_in, "gave-up-while-away": gave_up_while_away, "ours-pending": ours_pending, "ours-answered": ours_answered, "theirs-pending": theirs_pending,
              "our-ack-lost": our_ack_lost, "their-ack-lost": their_ack_lost, "held-by-them": held_by_them, "tunnel": tunnel, "bye-while-away": bye_while_away}
    for callee in ("roam", "baresip"):
        for after in (0.1, 1, 4):
            yield Scenario(f"ringing-out-{after:g}-{callee}", lambda lab, c=callee, a=after: ringing_out(lab, "kamailio", c, a))
        for name, state in states.items():
            yield Scenario(f"{name}-{callee}", lambda lab, s=state, c=callee: s(lab, "kamailio", c))
    yield Scenario("ringing-out-sipp", ringing_out_sipp)
    yield Scenario("late-ack-sipp", late_ack_sipp)
    for apart in (0, 0.05, 0.3):
        yield Scenario(f"both-move-{apart:g}", lambda lab, a=apart: both_move(lab, a))
