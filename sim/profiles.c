#include "sim/profiles.h"

/* ---- peers ---- */

static void plain(roam_peer_config *c)
{
    c->answer = PEER_ANSWERS;
    c->answer_after = ROAM_MS(500);
}

static void no_update(roam_peer_config *c)
{
    plain(c);
    c->no_update = true;
}

static void no_replaces(roam_peer_config *c)
{
    plain(c);
    c->no_replaces = true;
}

static void overlap_500(roam_peer_config *c)
{
    plain(c);
    c->overlap = PEER_OVERLAP_500;
    c->reinvite_after = ROAM_MS(300);
}

static void overlap_491(roam_peer_config *c)
{
    plain(c);
    c->overlap = PEER_OVERLAP_491;
    c->reinvite_after = ROAM_MS(300);
}

static void refuses_media(roam_peer_config *c)
{
    plain(c);
    c->refuses_new_media = true;
}

static void reliable(roam_peer_config *c)
{
    plain(c);
    c->rel = PEER_REL_USED;
    c->answer_after = ROAM_SECONDS(2);
}

static void reliable_early_media(roam_peer_config *c)
{
    reliable(c);
    c->early_media = true;
}

static void requires_100rel(roam_peer_config *c)
{
    reliable(c);
    c->rel = PEER_REL_REQUIRED;
}

static void early_media(roam_peer_config *c)
{
    plain(c);
    c->early_media = true;
    c->answer_after = ROAM_SECONDS(2);
}

static void delayed_offer(roam_peer_config *c)
{
    plain(c);
    c->delayed_offer = true;
}

static void never_latches(roam_peer_config *c)
{
    plain(c);
    c->audio.policy = AUDIO_STRICT;
}

static void latches_once(roam_peer_config *c)
{
    plain(c);
    c->audio.policy = AUDIO_LATCH;
}

static void follows(roam_peer_config *c)
{
    plain(c);
    c->audio.policy = AUDIO_FOLLOW;
}

static void follows_late(roam_peer_config *c)
{
    plain(c);
    c->audio.policy = AUDIO_LATE;
}

static void learns_anew(roam_peer_config *c)
{
    plain(c);
    c->audio.policy = AUDIO_LEARN;
}

static void repeats(roam_peer_config *c)
{
    plain(c);
    c->repeat_after = ROAM_MS(15);
}

static void no_refer(roam_peer_config *c)
{
    plain(c);
    c->no_refer = true;
}

static void timer_theirs(roam_peer_config *c)
{
    plain(c);
    c->session_expires = 90;
    c->refresher = PEER_REFRESHER_THEM;
}

static void timer_mine(roam_peer_config *c)
{
    plain(c);
    c->session_expires = 90;
    c->refresher = PEER_REFRESHER_ME;
    c->refresh_by_update = true;
}

static void human(roam_peer_config *c)
{
    plain(c);
    c->human = (roam_human_config){
        .takes_its_time = true, .acts_min = ROAM_SECONDS(2), .acts_max = ROAM_SECONDS(20), .hangs_up = 20};
}

static void human_stays(roam_peer_config *c)
{
    human(c);
    c->patient = true;
    c->human.hangs_up = 0;
}

static void holds_when_silent(roam_peer_config *c)
{
    plain(c);
    c->patient = true;
    c->human.on_silence = SILENCE_HOLDS;
}

static void hangs_up_when_silent(roam_peer_config *c)
{
    plain(c);
    c->human.on_silence = SILENCE_HANGS_UP;
}

static void moves(roam_peer_config *c)
{
    plain(c);
    c->patient = true;
}

static void moves_by_update(roam_peer_config *c)
{
    moves(c);
    c->moves_by_update = true;
    c->move_leaves = true;
}

const sim_profile sim_peer_profiles[] = {
    {.name = "plain", .words = "a peer that does what RFC 3261 asks, and UPDATE", .peer = plain},
    {.name = "no-update", .words = "does not know UPDATE", .peer = no_update},
    {.name = "no-replaces", .words = "does not know Replaces", .peer = no_replaces, .excuses = EXCUSE_REFUSES}, /* 420 to an attended transfer */
    {.name = "no-refer", .words = "does not know REFER", .peer = no_refer},
    {.name = "timer-theirs",
     .words = "wants a session timer of 90 s, refreshed by the other side",
     .peer = timer_theirs,
     .excuses = EXCUSE_ENDS},
    {.name = "timer-mine", .words = "wants a session timer of 90 s and refreshes, by UPDATE", .peer = timer_mine},
    {.name = "overlap-500",
     .words = "takes its time for a re-INVITE, and answers one that comes before the end of the last with 500 and "
              "Retry-After",
     .peer = overlap_500},
    {.name = "overlap-491", .words = "the same with 491", .peer = overlap_491},
    {.name = "refuses-media",
     .words = "answers 488 to an offer that changes the address of the media",
     .peer = refuses_media,
     .excuses = EXCUSE_NO_MEDIA},
    {.name = "reliable", .words = "rings reliably (100rel) for two seconds", .peer = reliable},
    {.name = "reliable-early-media",
     .words = "plays early media in a reliable 183 for two seconds",
     .peer = reliable_early_media},
    {.name = "requires-100rel",
     .words = "requires 100rel in both roles: 421 to who has it not",
     .peer = requires_100rel,
     .excuses = EXCUSE_REFUSES},
    {.name = "early-media", .words = "plays early media in a plain 183 for two seconds", .peer = early_media},
    {.name = "delayed-offer",
     .words = "calls without an offer: it comes in the 2xx, the answer in the ACK",
     .peer = delayed_offer,
     .deeds = DEED_CALLS},
    {.name = "never-latches", .words = "hears only the address that was signalled", .peer = never_latches},
    {.name = "latches-once", .words = "hears the first source after each signalling", .peer = latches_once},
    {.name = "follows", .words = "hears every source, and sends to the last one", .peer = follows},
    {.name = "follows-late", .words = "follows a new source from its tenth packet on", .peer = follows_late},
    {.name = "learns-anew",
     .words = "learns a source after each change of SDP, then drops every other",
     .peer = learns_anew},
    {.name = "human",
     .words = "answers after 0.1, 1 or 4 s, holds, resumes and hangs up as it likes",
     .peer = human,
     .excuses = EXCUSE_ENDS | EXCUSE_HOLDS},
    {.name = "human-stays",
     .words = "the same without hanging up",
     .peer = human_stays,
     .excuses = EXCUSE_HOLDS},
    {.name = "holds-when-silent",
     .words = "holds when it has heard nothing for three seconds",
     .peer = holds_when_silent,
     .excuses = EXCUSE_HOLDS},
    {.name = "hangs-up-when-silent",
     .words = "hangs up when it has heard nothing for three seconds",
     .peer = hangs_up_when_silent,
     .excuses = EXCUSE_ENDS},
    {.name = "moves",
     .words = "moves too: registers, and tells the calls by re-INVITE",
     .peer = moves,
     .deeds = DEED_MOVES},
    {.name = "moves-by-update",
     .words = "moves too: tells the calls by UPDATE, and leaves its old Contact to expire",
     .peer = moves_by_update,
     .deeds = DEED_MOVES},
    {.name = "repeats", .words = "sends each of its messages twice", .peer = repeats},
};
const size_t sim_npeer_profiles = sizeof sim_peer_profiles / sizeof *sim_peer_profiles;

/* ---- servers ---- */

static void no_switch(roam_testserver_config *c)
{
    (void)c;
}

static void one_time_nonce(roam_testserver_config *c)
{
    c->auth.one_time = true;
}

static void next_nonce(roam_testserver_config *c)
{
    c->auth.one_time = true;
    c->auth.next_nonce = true;
}

static void bound_nonce(roam_testserver_config *c)
{
    c->auth.bind_source = true;
}

static void strict_count(roam_testserver_config *c)
{
    c->auth.strict_count = true;
}

static void rewrites(roam_testserver_config *c)
{
    c->registrar.rewrite_contact = true;
}

static void rewrites_and_deletes(roam_testserver_config *c)
{
    c->registrar.rewrite_contact = true;
    c->registrar.removals_last = true;
}

static void edge(roam_testserver_config *c)
{
    c->proxy.edge_refuses = true;
}

static void forks(roam_testserver_config *c)
{
    c->proxy.sends_199 = true;
}

static void slow(roam_testserver_config *c)
{
    c->delay = ROAM_MS(800);
}

static void overloaded(roam_testserver_config *c)
{
    c->overload_ppm = 200000;
    c->overload_retry = 2;
}

static void server_repeats(roam_testserver_config *c)
{
    c->repeat_after = ROAM_MS(15);
}

static void no_record_route(roam_testserver_config *c)
{
    c->proxy.no_record_route = true;
}

static void restarts(roam_testserver_config *c)
{
    c->registrar.max_expires = 60; /* short leases, so that clients come back by themselves */
}

static void nat_help(roam_testserver_config *c)
{
    c->proxy.nat_help = true;
}

const sim_profile sim_server_profiles[] = {
    {.name = "server", .words = "a registrar and record-routing proxy with digest", .server = no_switch},
    {.name = "one-time-nonce", .words = "a nonce is good for one request", .server = one_time_nonce},
    {.name = "next-nonce",
     .words = "a nonce is good for one request; the 200 to a REGISTER has the next one",
     .server = next_nonce},
    {.name = "bound-nonce", .words = "a nonce is good for the source that got it", .server = bound_nonce},
    {.name = "strict-count", .words = "nonce counts must arrive in order", .server = strict_count},
    {.name = "rewrites", .words = "replaces the address in each Contact by the source", .server = rewrites},
    {.name = "rewrites-and-deletes",
     .words = "the same, and the removal of the old Contact deletes the new one",
     .server = rewrites_and_deletes},
    {.name = "edge", .words = "403 until a REGISTER came from that source", .server = edge},
    {.name = "forks",
     .words = "rings three phones: one talks, one is busy, one only rings; 199 for who refuses",
     .server = forks,
     .phones = 3},
    {.name = "slow", .words = "everything takes 800 ms more", .server = slow, .excuses = EXCUSE_SLOW},
    {.name = "overloaded",
     .words = "a fifth of what starts something is answered 503 with Retry-After: 2",
     .server = overloaded,
     .excuses = EXCUSE_REFUSES | EXCUSE_SLOW},
    {.name = "restarts",
     .words = "forgets bindings, nonces and transactions now and then",
     .server = restarts,
     .excuses = EXCUSE_SLOW,
     .deeds = DEED_RESTARTS},
    {.name = "server-repeats", .words = "sends each of its messages twice", .server = server_repeats},
    {.name = "no-record-route", .words = "stays out of dialogs: the ends talk directly", .server = no_record_route},
    {.name = "nat-help", .words = "sends to the source of the REGISTER, not to the Contact", .server = nat_help},
};
const size_t sim_nserver_profiles = sizeof sim_server_profiles / sizeof *sim_server_profiles;

/* ---- finding ---- */

const sim_profile *sim_profile_find(const char *name)
{
    for (size_t i = 0; i < sim_npeer_profiles; i++)
        if (strcmp(name, sim_peer_profiles[i].name) == 0)
            return &sim_peer_profiles[i];
    for (size_t i = 0; i < sim_nserver_profiles; i++)
        if (strcmp(name, sim_server_profiles[i].name) == 0)
            return &sim_server_profiles[i];
    return NULL;
}

void sim_profile_phone(const sim_profile *server, unsigned index, roam_peer_config *peer)
{
    if (index == 0 || index >= server->phones)
        return;
    peer->answer = index == 1 ? PEER_RINGS : PEER_REJECTS;
    peer->reject_status = 486;
    peer->reject_after = ROAM_MS(200);
}
