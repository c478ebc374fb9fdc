/* A core that does nothing but queue the outputs a test gives it and write down the inputs that the edge hands in. It
 * takes the place of lib/ua, so that the edge is tested alone. */
#ifndef ROAM_TESTS_FAKE_CORE_H
#define ROAM_TESTS_FAKE_CORE_H

#include "roam/core.h"

typedef enum fake_input_type {
    FAKE_ADVANCE,
    FAKE_RECEIVE,
    FAKE_OPENED,
    FAKE_ERROR,
    FAKE_ROUTE,
    FAKE_RESOLVED,
    FAKE_NETWORK,
    FAKE_SHUTDOWN
} fake_input_type;

typedef struct fake_input {
    fake_input_type type;
    roam_time now;
    uint32_t socket; /* or query */
    int err;
    roam_addr addr; /* where it came from, or bound to, or the first address of a name */
    roam_net_route route;
    size_t n; /* addresses of a name, or of a picture */
    size_t len;
    char bytes[128]; /* the beginning of the datagram */
} fake_input;

struct roam_ua {
    roam_ua_config config;
    roam_time now, deadline;
    fake_input *inputs;
    size_t ninputs, inputs_cap;
    struct fake_output *outputs, **outputs_end;
    /* Called at the end of each input; may queue outputs. */
    void (*on_input)(void *user, roam_ua *ua, const fake_input *input);
    void *user;
};

/* Queues an output; its bytes are copied. */
void fake_output(roam_ua *ua, roam_output output);
void fake_send(roam_ua *ua, uint32_t socket, const roam_addr *to, const char *text);
void fake_open(roam_ua *ua, uint32_t socket, const roam_addr *local);
void fake_event(roam_ua *ua, roam_event_type type);
/* The nth input of this type, from 0; NULL: not so many came. */
const fake_input *fake_input_of(const roam_ua *ua, fake_input_type type, size_t nth);
size_t fake_count(const roam_ua *ua, fake_input_type type);

#endif
