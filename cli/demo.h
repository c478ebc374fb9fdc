/* What the parts of `roam demo` share: the world, the packets that passed, the report. */
#ifndef ROAM_CLI_DEMO_H
#define ROAM_CLI_DEMO_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "roam/base.h"

struct cJSON;

#define DEMO_WLAN "10.1.0.2"
#define DEMO_WWAN "10.2.0.2"
#define DEMO_SERVER "10.9.0.10"
#define DEMO_CALLEE "10.8.0.20"

enum { DEMO_HZ_CALLER = 440, DEMO_HZ_CALLEE = 700, DEMO_PATH_MAX = 512 };

/* ---- world (demoworld.c): namespaces, the emulator between them, processes in them ---- */

typedef enum demo_place { DEMO_AT_CALLER, DEMO_AT_SERVER, DEMO_AT_CALLEE, DEMO_PLACES } demo_place;

typedef struct demo_process {
    pid_t pid;   /* 0: none */
    int in, out; /* its stdin and stdout */
    char line[65536];
    size_t len;
    bool ended;
} demo_process;

typedef struct demo_world {
    char directory[DEMO_PATH_MAX]; /* captures, traces, recordings */
    int namespaces[DEMO_PLACES];
    demo_process emulator;
    demo_process parties[DEMO_PLACES];
    /* A line of a party, an object; time is when we got it. It may keep the object by returning true. */
    bool (*line)(void *user, demo_place place, struct cJSON *object);
    void *user;
    char wrong[256]; /* why the last thing failed */
} demo_world;

/* Enters namespaces of its own and goes on there in a child whose end takes everything with it. Returns in that child only, true; in the
 * parent never (it exits with the child's status), or false: not permitted, `why` says it. */
bool demo_enter(char why[256]);
/* All return false with `wrong` set. */
bool demo_world_open(demo_world *world, const char *directory, const char *emulator, unsigned rtt_ms);
bool demo_world_start(demo_world *world, demo_place place, char *const argv[]);
bool demo_world_ip(demo_world *world, demo_place place, const char *batch);
bool demo_world_send(demo_world *world, demo_place place, const char *line);
bool demo_world_emulate(demo_world *world, const char *command);
/* Hands over what the parties say, for so long. False when one of them is gone. */
bool demo_world_pump(demo_world *world, int milliseconds);
void demo_world_close(demo_world *world);

/* ---- packets and sound (demopackets.c) ---- */

typedef struct demo_packet {
    double time; /* epoch seconds */
    uint32_t from, to; /* addresses, host order */
    uint32_t ssrc;
    uint16_t sequence;
} demo_packet;

typedef struct demo_packets {
    demo_packet *at;
    size_t n, cap;
} demo_packets;

/* The RTP in a capture that goes from and to these addresses; NULL: any. Added, and sorted by time. */
bool demo_packets_read(demo_packets *packets, const char *path, const char *from, const char *to);
void demo_packets_free(demo_packets *packets);
size_t demo_packets_count(const demo_packets *packets, double since, double until);
/* The longest time without a packet that begins after `since` and ends before `until`; `start` gets where it begins. */
double demo_packets_gap(const demo_packets *packets, double since, double until, double *start);
/* Sequence numbers that never came, between the first and the last packet of the window. */
unsigned demo_packets_missing(const demo_packets *packets, double since, double until);
/* How much of the energy of the last `seconds` of a WAV file (16 bit mono) is this tone, 0 to 1: Goertzel. -1: no such file. */
double demo_tone_share(const char *path, unsigned hertz, double seconds);

/* ---- the outcome, and its report (demoreport.c) ---- */

typedef struct demo_outcome {
    const char *scenario; /* "break" or "make" */
    unsigned rtt_ms;
    bool survived;
    char why[256];         /* it did not */
    double old_gone, t0;   /* epoch seconds: the old network went, the new one was usable */
    double talk_end;       /* the call was hung up then */
    struct cJSON *registration, *call; /* the agent's reports of the change; NULL: none came */
    struct cJSON *events;  /* of the caller, from the change on */
    demo_packets out, in;  /* seen at the callee's link; at the caller's links */
    double gap_out, gap_in, gap_out_start, gap_in_start; /* seconds */
    unsigned lost_out, lost_in;
    double first_out, first_in; /* seconds after t0; < 0: none */
    double tone_callee, tone_caller;
    char contacts[256];    /* what the registrar held afterwards */
    char trace[DEMO_PATH_MAX + 32];
} demo_outcome;

void demo_outcome_free(demo_outcome *outcome);
void demo_report_text(const demo_outcome *outcomes, size_t n);
void demo_report_json(const demo_outcome *outcomes, size_t n);
/* False: the file cannot be written; errno says why. */
bool demo_report_html(const demo_outcome *outcomes, size_t n, const char *path);
double demo_number(const struct cJSON *object, const char *key); /* -1: none */

#endif
