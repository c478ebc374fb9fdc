/* The one ordered queue of outputs that the host drains. */
#ifndef ROAM_UA_OUTPUT_H
#define ROAM_UA_OUTPUT_H

#include "base/env.h"
#include "roam/core.h"

typedef struct roam_output_node roam_output_node;

#define OUTPUTS_OWED 64u

typedef struct roam_outputs {
    roam_mem *mem;
    roam_list queue;
    roam_list spare;           /* nodes for packets, kept for reuse */
    size_t count, nspare;
    roam_output_node *polled;  /* what the host holds at the moment */
    uint64_t dropped;          /* an output that found no memory or no room */
    uint32_t owed[OUTPUTS_OWED]; /* sockets to be closed for which there was no memory: a socket must not be lost */
    size_t nowed;
} roam_outputs;

void outputs_init(roam_outputs *o, roam_mem *mem);
void outputs_free(roam_outputs *o);
bool outputs_poll(roam_outputs *o, roam_output *out);
/* Queues a copy of `output` and of its bytes. False: no memory or over ROAM_MAX_OUTPUTS; counted. */
bool outputs_push(roam_outputs *o, const roam_output *output);
/* An event, by reference: only its own type is large. What its spans show is copied too. */
bool outputs_push_event(roam_outputs *o, const roam_event *event);
bool outputs_push_send(roam_outputs *o, uint32_t socket, const roam_addr *remote, roam_span bytes);

#endif
