#include "sim/state.h"

#include <assert.h>
#include <stdio.h>

#include "testbed/link.h"
#include "testbed/server.h"

/* The networks that alice's device can be on, and bob's. The first address of a list carries the default route. */
static const char *const networks[] = {"10.1.0.5", "10.2.0.7", "10.3.0.9"};
static const char *const peer_networks[] = {"198.51.100.9", "198.51.101.7"};
enum { NETWORKS = 3, PEER_NETWORKS = 2 };

static void act(sim_run_state *run, const sim_atom *atom);

static sim_node *alice(sim_run_state *run)
{
    return run->actors[ALICE].node;
}

/* Can no packet pass now? For how long was it so? */
static void note_away(sim_run_state *run)
{
    bool away = run->nets[0] < 0 || alice(run)->hole || alice(run)->asleep;
    if (away && run->away_since == ROAM_NEVER) {
        run->away_since = run->world.now;
    } else if (!away && run->away_since != ROAM_NEVER) {
        roam_time lasted = run->world.now - run->away_since;
        run->longest_away = lasted > run->longest_away ? lasted : run->longest_away;
        run->away_since = ROAM_NEVER;
    }
}

static void set_nets(sim_run_state *run, int first, int second)
{
    const char *addrs[3] = {NULL};
    size_t n = 0;
    if (first >= 0)
        addrs[n++] = networks[first];
    if (second >= 0)
        addrs[n++] = networks[second];
    run->nets[0] = first;
    run->nets[1] = second;
    run->check.epoch++;
    world_set_addrs(alice(run), addrs);
}

static void due(roam_timer *timer)
{
    sim_atom *atom = container_of(timer, sim_atom, timer);
    atom->run->pending--;
    act(atom->run, atom);
}

static void later(sim_run_state *run, uint32_t after_ms, sim_atom what)
{
    if (after_ms == 0) {
        act(run, &what);
        return;
    }
    if (run->natoms == RUN_ATOMS)
        return;
    sim_atom *atom = &run->atoms[run->natoms++];
    *atom = what;
    atom->run = run;
    timer_init(&atom->timer, due, "fault");
    run->pending++;
    world_at(&run->world, &atom->timer, run->world.now + ROAM_MS(after_ms));
}

static void set_link(sim_run_state *run, uint32_t more)
{
    roam_link_config config = {.delay = run->world.delay};
    if (more == UINT32_MAX && !alice(run)->up)
        return;
    if (more != UINT32_MAX)
        fault_link(more, run->world.delay, &config);
    world_links(alice(run), &config);
}

/* -1: none. */
static void set_peer_net(sim_run_state *run, int net)
{
    sim_node *bob = run->actors[BOB].node;
    const char *addrs[] = {net < 0 ? NULL : peer_networks[net], NULL};
    char addr[32];
    if (run->actors[BOB].roam) {
        world_set_addrs(bob, addrs);
    } else if (net != run->peer_net || net < 0) {
        bob->hole = true; /* what was on its way is lost, as its answers are */
        if (net >= 0) {
            snprintf(addr, sizeof addr, "%s:5060", peer_networks[net]);
            bob->hole = false;
            world_move_peer(bob, addr);
        }
    } else {
        bob->hole = false;
    }
    run->peer_net = net < 0 ? run->peer_net : net;
}

static void act(sim_run_state *run, const sim_atom *atom)
{
    sim_node *node = alice(run);
    int err;
    switch (atom->kind) {
    case ATOM_NETS:
        run_note(run, "alice's networks: %s%s%s", atom->nets[0] < 0 ? "none" : networks[atom->nets[0]], atom->nets[1] < 0 ? "" : ", ",
                 atom->nets[1] < 0 ? "" : networks[atom->nets[1]]);
        set_nets(run, atom->nets[0], atom->nets[1]);
        run->moved = true;
        break;
    case ATOM_HOLE:
        run_note(run, atom->value ? "a black hole: nothing passes" : "the black hole ends");
        node->hole = atom->value != 0;
        break;
    case ATOM_SLEEP:
        run_note(run, atom->value ? "alice's device sleeps" : "alice's device wakes");
        if (atom->value)
            node->asleep = true;
        else if (node->asleep)
            world_wake(node);
        break;
    case ATOM_NAMES:
        run_note(run, "names are answered %u ms late", atom->value);
        node->name_delay = ROAM_MS(atom->value);
        break;
    case ATOM_REFUSE:
        run_note(run, "the next %u sockets are refused", atom->value);
        node->refuse = atom->value;
        node->refuse_err = ROAM_EBUSY;
        break;
    case ATOM_MEMORY:
        run_note(run, "the allocation after the next %u is refused", atom->value);
        run->heaps[ALICE].fail_at = run->heaps[ALICE].count + atom->value + 1;
        break;
    case ATOM_STARVE:
        run_note(run, atom->value ? "one allocation in %u is refused" : "memory for everybody", atom->value);
        run->heaps[ALICE].one_in = atom->value;
        break;
    case ATOM_LINK:
        run_note(run, atom->value == UINT32_MAX ? "the link is good again" : "a bad link (%u)", atom->value);
        set_link(run, atom->value);
        break;
    case ATOM_REBIND:
        if (!node->nat)
            break;
        run_note(run, "the NAT forgets its ports");
        nat_rebind(node->nat, NULL);
        run->moved = true;
        run->check.epoch++;
        break;
    case ATOM_PEER_NET:
        if (!run->bob_moves)
            break;
        run_note(run, "bob's network: %s", atom->nets[0] < 0 ? "none" : peer_networks[atom->nets[0]]);
        run->peer_moved = true;
        run->check.epoch++;
        set_peer_net(run, atom->nets[0]);
        break;
    case ATOM_RESTART:
        run_note(run, "the server starts anew");
        run->restarted_at = run->world.now;
        for (size_t i = 0; i < run->wish.npairs; i++)
            run->wish.pairs[i].forgotten |= !run->wish.pairs[i].up;
        run->check.epoch++; /* what was under way is not answered */
        err = testserver_restart(run->server->server, run->world.now);
        assert(err == 0);
        (void)err;
        break;
    }
    note_away(run);
    run->last_fault = run->world.now;
}

static int another(int net)
{
    return ((net < 0 ? 0 : net) + 1) % NETWORKS;
}

#define NETS(first_, second_) ((sim_atom){.kind = ATOM_NETS, .nets = {first_, second_}})
#define VALUE(kind_, value_) ((sim_atom){.kind = kind_, .value = value_})

static void begin(sim_run_state *run, const sim_fault *f)
{
    int now = run->nets[0] < 0 ? 0 : run->nets[0], next = another(now);
    uint32_t lasts = f->lasts_ms;
    switch (f->kind) {
    case FAULT_BREAK:
        if (lasts)
            later(run, 0, NETS(-1, -1));
        later(run, lasts, NETS(next, -1));
        break;
    case FAULT_MAKE:
        later(run, 0, NETS(next, now));
        later(run, lasts, NETS(next, -1));
        break;
    case FAULT_NONE:
        later(run, 0, NETS(-1, -1));
        later(run, lasts, NETS(f->more ? next : now, -1));
        break;
    case FAULT_FLAP:
        later(run, 0, NETS(next, -1));
        later(run, lasts, NETS(now, -1));
        break;
    case FAULT_DOUBLE:
        later(run, 0, NETS(next, -1));
        later(run, lasts, NETS(another(next), -1));
        break;
    case FAULT_HOLE:
        later(run, 0, VALUE(ATOM_HOLE, 1));
        later(run, lasts, VALUE(ATOM_HOLE, 0));
        break;
    case FAULT_SLEEP:
        later(run, 0, VALUE(ATOM_SLEEP, 1));
        if (f->more && lasts > 1)
            later(run, lasts / 2, NETS(next, -1));
        later(run, lasts, VALUE(ATOM_SLEEP, 0));
        break;
    case FAULT_NAMES: later(run, 0, VALUE(ATOM_NAMES, lasts)); break;
    case FAULT_REFUSE: later(run, 0, VALUE(ATOM_REFUSE, f->more)); break;
    case FAULT_MEMORY: later(run, 0, VALUE(ATOM_MEMORY, f->more)); break;
    case FAULT_STARVE:
        later(run, 0, VALUE(ATOM_STARVE, f->more + 1));
        later(run, lasts, VALUE(ATOM_STARVE, 0));
        break;
    case FAULT_LINK:
        later(run, 0, VALUE(ATOM_LINK, f->more));
        later(run, lasts, VALUE(ATOM_LINK, UINT32_MAX));
        break;
    case FAULT_REBIND: later(run, 0, VALUE(ATOM_REBIND, 0)); break;
    case FAULT_PEER:
        if (lasts)
            later(run, 0, (sim_atom){.kind = ATOM_PEER_NET, .nets = {-1, -1}});
        later(run, lasts, (sim_atom){.kind = ATOM_PEER_NET, .nets = {(run->peer_net + 1) % PEER_NETWORKS, -1}});
        break;
    case FAULT_RESTART: later(run, 0, VALUE(ATOM_RESTART, 0)); break;
    case SIM_FAULT_KINDS: break;
    }
}

static void fault_due(sim_run_state *run)
{
    roam_time ms = (run->world.now - run->start) / 1000;
    for (size_t i = 0; i < run->plan->nfaults; i++) {
        const sim_fault *f = &run->plan->faults[i];
        if ((run->faults_done >> i & 1u) || run->phase != RUN_SCRIPT || (f->by_step ? f->at > run->step : f->at > ms))
            continue;
        run->faults_done |= 1u << i;
        char text[FAULTS_TEXT_MAX];
        faults_print(f, 1, text);
        run_note(run, "fault %s", text);
        begin(run, f);
    }
}

void device_init(sim_run_state *run)
{
    run->nets[0] = 0;
    run->nets[1] = -1;
    run->away_since = ROAM_NEVER;
    set_nets(run, 0, -1);
}

void device_schedule(sim_run_state *run)
{
    fault_due(run);
}

void device_step(sim_run_state *run)
{
    fault_due(run);
}

bool device_busy(const sim_run_state *run)
{
    if (run->pending)
        return true;
    for (size_t i = 0; i < run->plan->nfaults; i++)
        if (!(run->faults_done >> i & 1u) && !run->plan->faults[i].by_step)
            return true;
    return false;
}

void device_heal(sim_run_state *run)
{
    sim_node *node = alice(run);
    for (size_t i = 0; i < run->natoms; i++)
        timer_cancel(&run->world.acts, &run->atoms[i].timer);
    run->pending = 0;
    run->heaps[ALICE].fail_at = 0;
    run->heaps[ALICE].one_in = 0;
    node->refuse = 0;
    node->name_delay = 0;
    node->hole = false;
    set_link(run, UINT32_MAX);
    if (node->asleep)
        world_wake(node);
    world_answer_names(node);
    set_nets(run, run->nets[0] < 0 ? 0 : run->nets[0], -1);
    if (run->bob_moves)
        set_peer_net(run, run->peer_net);
    note_away(run);
}

void device_free(sim_run_state *run)
{
    for (size_t i = 0; i < run->natoms; i++)
        timer_cancel(&run->world.acts, &run->atoms[i].timer);
}
