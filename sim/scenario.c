#include "sim/scenario.h"

#define ACTS(...) .acts = {__VA_ARGS__}, .nacts = sizeof((sim_act[]){__VA_ARGS__}) / sizeof(sim_act)
#define CALLS(who_, whom_) {.who = who_, .when = WHEN_REGISTERED, .after_ms = 100, .deed = DO_CALL, .whom = whom_}
#define UP_TO(who_, after, deed_, whom_) {.who = who_, .when = WHEN_UP, .after_ms = after, .deed = deed_, .whom = whom_}
#define UP(who_, after, deed_) {.who = who_, .when = WHEN_UP, .after_ms = after, .deed = deed_}

const sim_scenario sim_scenarios[] = {
    {.name = "register", .row = "registered, idle; REGISTER pending; between 401 and the answer"},
    {.name = "out", .row = "outgoing, unanswered; they sent 200, our ACK; confirmed", ACTS(CALLS(ALICE, BOB)), .answer_ms = {0, 300, 300}},
    {.name = "in", .row = "incoming; we sent 200, no ACK yet; confirmed", ACTS(CALLS(BOB, ALICE)), .answer_ms = {300, 300, 300}},
    {.name = "out-slow", .row = "outgoing, ringing for a while", ACTS(CALLS(ALICE, BOB)), .answer_ms = {0, 3000, 300}},
    {.name = "in-slow", .row = "incoming, ringing for a while", ACTS(CALLS(BOB, ALICE)), .answer_ms = {3000, 0, 300}},
    {.name = "out-hold", .row = "on hold by us", ACTS(CALLS(ALICE, BOB), UP(ALICE, 400, DO_HOLD)), .answer_ms = {0, 100, 0}},
    {.name = "out-held", .row = "on hold by them", ACTS(CALLS(ALICE, BOB), UP(BOB, 400, DO_HOLD)), .answer_ms = {0, 100, 0}},
    {.name = "in-hold", .row = "on hold by us, their call", ACTS(CALLS(BOB, ALICE), UP(ALICE, 400, DO_HOLD)), .answer_ms = {100, 0, 0}},
    {.name = "both-hold", .row = "on hold by both", ACTS(CALLS(ALICE, BOB), UP(ALICE, 300, DO_HOLD), UP(BOB, 400, DO_HOLD)), .answer_ms = {0, 100, 0}},
    {.name = "hold-resume", .row = "our re-INVITE pending, twice", ACTS(CALLS(ALICE, BOB), UP(ALICE, 300, DO_HOLD), UP(ALICE, 350, DO_RESUME)), .answer_ms = {0, 100, 0}},
    {.name = "held-resumed", .row = "their re-INVITE pending, twice", ACTS(CALLS(ALICE, BOB), UP(BOB, 300, DO_HOLD), UP(BOB, 350, DO_RESUME)), .answer_ms = {0, 100, 0}},
    {.name = "glare", .row = "re-INVITEs of both cross", ACTS(CALLS(ALICE, BOB), UP(ALICE, 300, DO_HOLD), UP(BOB, 0, DO_HOLD)), .answer_ms = {0, 100, 0}},
    {.name = "reinvite-in", .row = "their re-INVITE pending with us", ACTS(CALLS(ALICE, BOB), UP(BOB, 300, DO_REINVITE)), .answer_ms = {0, 100, 0}},
    {.name = "update-in", .row = "their UPDATE pending with us", ACTS(CALLS(ALICE, BOB), UP(BOB, 300, DO_UPDATE)), .answer_ms = {0, 100, 0}},
    {.name = "update-out", .row = "our UPDATE pending", ACTS(CALLS(ALICE, BOB), UP(ALICE, 300, DO_HOLD), UP(ALICE, 350, DO_RESUME)), .answer_ms = {0, 100, 0}, .use_update = true},
    {.name = "bye-out", .row = "our BYE pending", ACTS(CALLS(ALICE, BOB), UP(ALICE, 400, DO_HANGUP)), .answer_ms = {0, 100, 0}},
    {.name = "bye-in", .row = "they hang up, perhaps while we are away", ACTS(CALLS(ALICE, BOB), UP(BOB, 400, DO_HANGUP)), .answer_ms = {0, 100, 0}},
    {.name = "cancel-out", .row = "our CANCEL pending", ACTS(CALLS(ALICE, BOB), {.who = ALICE, .when = WHEN_CALLING, .after_ms = 500, .deed = DO_HANGUP}), .answer_ms = {0, NEVER_MS, 0}},
    {.name = "cancel-in", .row = "they give up while it rings here", ACTS(CALLS(BOB, ALICE), {.who = BOB, .when = WHEN_CALLING, .after_ms = 700, .deed = DO_HANGUP}), .answer_ms = {NEVER_MS, 0, 0}},
    {.name = "reject-in", .row = "we refuse their call", ACTS(CALLS(BOB, ALICE), {.who = ALICE, .when = WHEN_INCOMING, .after_ms = 300, .deed = DO_REJECT}), .answer_ms = {NEVER_MS, 0, 0}},
    {.name = "reject-out", .row = "they refuse our call", ACTS(CALLS(ALICE, BOB), {.who = BOB, .when = WHEN_INCOMING, .after_ms = 300, .deed = DO_REJECT}), .answer_ms = {0, NEVER_MS, 0}},
    {.name = "cross", .row = "answered and given up at the same time", ACTS(CALLS(ALICE, BOB), {.who = ALICE, .when = WHEN_CALLING, .after_ms = 300, .deed = DO_HANGUP}), .answer_ms = {0, 250, 0}},
    {.name = "told", .row = "the application says that the network changed", ACTS(CALLS(ALICE, BOB), UP(ALICE, 300, DO_IP_CHANGE), UP(ALICE, 100, DO_IP_CHANGE)), .answer_ms = {0, 100, 0}},
    {.name = "roam-out", .row = "a call between two roams", ACTS(CALLS(ALICE, BOB)), .answer_ms = {0, 300, 0}, .bob_roams = true},
    {.name = "roam-in", .row = "a call between two roams, hold both ways", ACTS(CALLS(BOB, ALICE), UP(BOB, 300, DO_HOLD), UP(ALICE, 200, DO_HOLD)), .answer_ms = {300, 0, 0}, .bob_roams = true},
    {.name = "early", .row = "incoming, 183 with early media, reliable where they can", ACTS(CALLS(BOB, ALICE), {.who = ALICE, .when = WHEN_INCOMING, .after_ms = 200, .deed = DO_PROGRESS}),
     .answer_ms = {1500, 0, 0}},
    {.name = "transfer", .row = "we send them to somebody else (REFER, its NOTIFYs)", ACTS(CALLS(ALICE, BOB), UP_TO(ALICE, 400, DO_TRANSFER, CAROL)), .answer_ms = {0, 100, 200}, .carol = true},
    {.name = "attended", .row = "we send them to somebody we have called (REFER with Replaces)",
     ACTS(CALLS(ALICE, BOB), UP(ALICE, 200, DO_HOLD), UP_TO(ALICE, 300, DO_CALL, CAROL), UP(ALICE, 500, DO_ATTENDED)), .answer_ms = {0, 100, 200}, .carol = true},
    {.name = "referred", .row = "they send us to somebody else: their REFER, our NOTIFYs", ACTS(CALLS(ALICE, BOB), UP_TO(BOB, 400, DO_TRANSFER, CAROL)), .answer_ms = {0, 100, 300}, .carol = true},
    {.name = "referred-attended", .row = "they send us to somebody they have called",
     ACTS(CALLS(BOB, ALICE), UP(BOB, 200, DO_HOLD), UP_TO(BOB, 300, DO_CALL, CAROL), UP(BOB, 500, DO_ATTENDED)), .answer_ms = {100, 100, 200}, .carol = true},
    {.name = "two-calls", .row = "one call held, another one up", ACTS(CALLS(ALICE, BOB), UP(ALICE, 200, DO_HOLD), UP_TO(ALICE, 200, DO_CALL, CAROL)), .answer_ms = {0, 100, 400}, .carol = true},
    {.name = "forked", .row = "early dialogs of a fork, their reliable 18x, 199 of the one that is over", ACTS(CALLS(ALICE, BOB)), .answer_ms = {0, 2000, 0}, .peer = "reliable", .server = "forks"},
    {.name = "early-out", .row = "early media from them, PRACK pending", ACTS(CALLS(ALICE, BOB)), .answer_ms = {0, 2000, 0}, .peer = "reliable-early-media"},
    {.name = "early-plain", .row = "early media from them, in an unreliable 183", ACTS(CALLS(ALICE, BOB)), .answer_ms = {0, 2000, 0}, .peer = "early-media"},
    {.name = "digits", .row = "DTMF (RFC 4733) and INFO over a move", ACTS(CALLS(ALICE, BOB), UP(ALICE, 200, DO_DTMF), UP(ALICE, 60, DO_INFO), UP(ALICE, 300, DO_DTMF)), .answer_ms = {0, 100, 0}, .bob_roams = true},
    {.name = "no-register", .row = "a call from an account that does not register", ACTS(CALLS(ALICE, BOB), UP(BOB, 400, DO_REINVITE)), .answer_ms = {0, 300, 0}, .no_register = true},
    {.name = "lease", .row = "REGISTER before the lease is over, each one challenged", ACTS({.who = ALICE, .when = WHEN_NOW, .after_ms = 45000, .deed = DO_WAIT}), .server = "one-time-nonce",
     .span_ms = 45000, .lease_s = 20},
    {.name = "timer-ours", .row = "session timer of 90 s, refreshed by us", ACTS(CALLS(ALICE, BOB), UP(ALICE, 200, DO_HOLD), UP(ALICE, 70000, DO_WAIT)), .answer_ms = {0, 100, 0},
     .peer = "timer-theirs", .span_ms = 65000},
    {.name = "timer-theirs", .row = "session timer of 90 s, refreshed by them", ACTS(CALLS(ALICE, BOB), UP(ALICE, 200, DO_HOLD), UP(ALICE, 70000, DO_WAIT)), .answer_ms = {0, 100, 0},
     .peer = "timer-mine", .span_ms = 65000},
    {.name = "message-in", .row = "their MESSAGE", ACTS({.who = BOB, .when = WHEN_REGISTERED, .after_ms = 100, .deed = DO_MESSAGE, .whom = ALICE}), .bob_roams = true},
    {.name = "message-out", .row = "our MESSAGE pending", ACTS({.who = ALICE, .when = WHEN_REGISTERED, .after_ms = 100, .deed = DO_MESSAGE, .whom = BOB})},
    {.name = "subscribe", .row = "a subscription (message-summary)", ACTS({.who = ALICE, .when = WHEN_REGISTERED, .after_ms = 100, .deed = DO_SUBSCRIBE, .whom = ALICE})},
    {.name = "session-timer", .row = "session timer refresh", ACTS(CALLS(ALICE, BOB), UP(ALICE, 46500, DO_WAIT)), .answer_ms = {0, 100, 0}, .short_session = true},
};
const size_t sim_nscenarios = sizeof sim_scenarios / sizeof *sim_scenarios;

const sim_scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < sim_nscenarios; i++)
        if (strcmp(sim_scenarios[i].name, name) == 0)
            return &sim_scenarios[i];
    return NULL;
}
