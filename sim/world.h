/* A world of real cores under virtual time: agents, a registrar and proxy, peers, and the network between them. The same seed gives the same run.
 *
 * The network is one plain: an agent reaches every address after `delay`, servers and peers reach each other at once, unless something in between says otherwise (an address that its node does not
 * have, a blocked pair). Agents see it as a device would: through pictures of their addresses and through route answers. */
#ifndef ROAM_SIM_WORLD_H
#define ROAM_SIM_WORLD_H

#include "base/env.h"
#include "roam/core.h"

#define WORLD_MAX_ADDRS 8u
#define WORLD_MAX_WATCHES 64u
#define WORLD_MAX_QUERIES 16u

typedef struct sim_world sim_world;
typedef struct sim_node sim_node;

typedef enum sim_node_type { SIM_AGENT, SIM_SERVER, SIM_PEER } sim_node_type;

struct roam_testserver;
struct roam_peer;
struct roam_nat;
struct roam_link;
struct roam_link_config;
typedef struct sim_packet sim_packet;

/* What an agent's application heard, in order. */
typedef struct sim_heard {
    roam_event *events;
    char **texts; /* what the spans of each show; NULL: nothing */
    size_t n, cap;
} sim_heard;

struct sim_node {
    roam_list node;
    sim_world *world;
    sim_node_type type;
    char name[16];
    roam_addr local; /* server, peer: where SIP is received */
    bool hole;       /* whatever it sends or is sent vanishes, and nobody is told */
    /* agent */
    roam_ua *ua;
    roam_net_addr addrs[WORLD_MAX_ADDRS];
    size_t naddrs;
    roam_ip watches[WORLD_MAX_WATCHES];
    size_t nwatches;
    sim_heard heard;
    uint32_t queries[WORLD_MAX_QUERIES]; /* names asked for and not answered yet, see world_name */
    char query_names[WORLD_MAX_QUERIES][64];
    size_t nqueries;
    unsigned names_asked;
    bool keep_queries;    /* names are not answered until world_answer_names */
    unsigned refuse;      /* so many sockets are refused from now on, with refuse_err */
    int refuse_err;
    struct roam_nat *nat; /* between this agent and the rest; owned by the test. NULL: none */
    bool asleep;          /* the device sleeps: no packet, no timer, no news; see world_wake */
    bool flushing;        /* its outputs are being carried out */
    bool news;            /* the addresses changed while it slept */
    roam_time name_delay; /* names are answered so late */
    roam_timer name_timer;
    struct roam_link *up, *down; /* emulated links of this node, see world_links. NULL: `delay` alone */
    unsigned spins;       /* times in a row that it was due without time going on */
    /* others; of testbed/server.h and testbed/peer.h */
    struct roam_testserver *server;
    struct roam_peer *peer;
};

/* A datagram on its way, seen by a tap. */
struct sim_packet {
    roam_timer timer;
    sim_world *world;
    roam_addr from, to;
    sim_node *sender;
    size_t len;
    char bytes[];
};

/* Who watches a world. All may be NULL. They may change the world (addresses, faults), not the packet they are shown unless it says so. */
typedef struct sim_watcher {
    /* As it leaves its node, before any NAT or loss; its bytes may be changed. `own`: its node has the address it is sent from. */
    void (*sent)(void *user, sim_packet *packet, bool own);
    /* Before an agent is given a datagram (else NULL) or the time. */
    void (*step)(void *user, sim_node *agent, const sim_packet *packet);
    /* A datagram that really reaches the agent, before it is given. */
    void (*arrives)(void *user, sim_node *agent, const sim_packet *packet);
    /* It has been given, and what it caused was carried out. */
    void (*stepped)(void *user, sim_node *agent, const sim_packet *packet);
    /* An agent tells its application. */
    void (*event)(void *user, sim_node *agent, const roam_event *event);
    void *user;
} sim_watcher;

struct sim_world {
    roam_mem mem;
    roam_random random;
    roam_time now;
    roam_time delay;         /* one way */
    uint32_t loss_ppm;
    roam_timers packets;
    roam_timers acts;        /* whatever else happens at a time: owned by who armed it */
    struct {
        char name[64];
        roam_ip ip;
    } names[8];
    size_t nnames;
    roam_list nodes;
    roam_list sockets;
    uint32_t next_socket;
    uint16_t next_port;
    uint64_t hash;           /* of all that was sent: two runs of a seed agree in it */
    uint64_t sent, lost, unreachable;
    uint64_t from_dead;      /* violation: sent from an address that its node does not have */
    /* Sees each packet as it is sent; returns false to lose it. May be NULL. */
    bool (*tap)(void *user, const sim_packet *packet);
    void *user;
    sim_watcher watcher;
    bool halt;               /* a watcher wants the run to end now: world_run_until returns */
    sim_node *stuck;         /* violation: this node was due again and again, and time stood still. The run ends */
};

int world_init(sim_world *world, uint64_t seed, roam_time delay);
void world_free(sim_world *world);

/* "10.0.0.1" and "10.0.0.1:5060" for tests that read well; abort on nonsense. */
roam_ip sim_ip(const char *text);
roam_addr sim_addr(const char *text);
/* The index of the link that an address stands on: one for each IPv4 /24 and each IPv6 /64. */
uint32_t sim_link(const roam_ip *ip);

/* `config` may be NULL. Addresses come with world_set_addrs. */
sim_node *world_agent(sim_world *world, const char *name, const roam_ua_config *config);
/* The device's addresses, the first one carries the default route; NULL ends the list. Tells the agent, as a monitor would. */
void world_set_addrs(sim_node *agent, const char *const *addrs);
/* The device wakes: it hears the time, and what changed meanwhile. */
void world_wake(sim_node *agent);
/* Between this node and the rest from now on, in both directions: the configuration's delay replaces the world's. NULL: as before. */
void world_links(sim_node *node, const struct roam_link_config *config);
/* The same with every detail: flags, links, networks. */
void world_set_network(sim_node *agent, const roam_net_addr *addrs, size_t n);
/* `users`: "alice:secret", NULL at the end. */
struct roam_testserver_config;
sim_node *world_server(sim_world *world, const char *addr, const struct roam_testserver_config *config, const char *const *users);
struct roam_peer_config;
sim_node *world_peer(sim_world *world, const char *addr, const struct roam_peer_config *config);
/* The host of a peer has this address in place of the one before, and the peer knows. What is on its way to the old one is lost. */
void world_move_peer(sim_node *peer, const char *addr);

/* What a name means from now on; `ip` NULL: nothing. Names that nobody gave a meaning have no address. */
void world_name(sim_world *world, const char *name, const char *ip);
/* Answers what the agent asked meanwhile. */
void world_answer_names(sim_node *agent);

/* A datagram that nobody of this world sent, on its way like any other. */
void world_inject(sim_world *world, const roam_addr *from, const roam_addr *to, roam_span bytes);

/* The agent's handle of the socket with this address; 0: none. For datagrams given to roam_ua_receive() directly. */
uint32_t world_socket_id(const sim_node *agent, const roam_addr *local);

/* `timer->fire` is called at that time. Cancel it before its memory goes. */
void world_at(sim_world *world, roam_timer *timer, roam_time when);

/* Runs until `until` (absolute), or for a while. */
void world_run_until(sim_world *world, roam_time until);
void world_run(sim_world *world, roam_time duration);
/* Carries out what a command of the test caused. Call it after commands given to an agent between runs. */
void world_flush(sim_node *agent);

/* The last event of that type, NULL: none. */
const roam_event *world_last(const sim_node *agent, roam_event_type type);
size_t world_count(const sim_node *agent, roam_event_type type);
/* The last progress event with this op for that call (0: an account). */
const roam_event *world_progress(const sim_node *agent, roam_ip_change_op op, roam_call_id call);
void world_forget(sim_node *agent); /* what was heard so far */

#endif
