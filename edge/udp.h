/* The UDP sockets of one agent: one for each path and purpose, bound to the exact local address. */
#ifndef ROAM_EDGE_UDP_H
#define ROAM_EDGE_UDP_H

#include <uv.h>

#include "base/trace.h"
#include "roam/core.h"

typedef struct roam_udp roam_udp;

typedef struct roam_udp_events {
    /* A datagram; `bytes` are valid during the call. May close any socket and open others. */
    void (*receive)(void *user, uint32_t socket, const roam_addr *from, roam_span bytes);
    /* Sending failed, or the socket reported an error; `remote` may be NULL. */
    void (*error)(void *user, uint32_t socket, const roam_addr *remote);
    /* A batch was handed over: time to send what it caused. */
    void (*batch_end)(void *user);
    void *user;
} roam_udp_events;

typedef struct roam_udp_counters {
    uint64_t sent, received;
    uint64_t send_full;   /* dropped: the socket's buffer was full */
    uint64_t send_errors; /* dropped: the OS refused */
    uint64_t send_stray;  /* dropped: no such socket */
    uint64_t truncated;   /* received, longer than any UDP datagram should be: dropped */
} roam_udp_counters;

roam_udp *udp_new(uv_loop_t *loop, const roam_udp_events *events, const roam_tracer *trace); /* NULL: no memory */
/* Closes every socket at once. Their handles die in a later turn of the loop and touch nothing of `udp` any more. */
void udp_free(roam_udp *udp);

/* ROAM_OUTPUT_SOCKET_OPEN. 0 and the bound address, ROAM_EBUSY where the port is taken, ROAM_EIO where the OS refuses
 * otherwise, ROAM_EINVAL for an address that is none or an id in use, ROAM_ENOMEM. */
int udp_open(roam_udp *udp, uint32_t socket, const roam_addr *local, uint32_t link, roam_socket_purpose purpose,
             roam_addr *bound);
/* Sends or drops; never waits. Errors that say something about the path are told through events->error. */
void udp_send(roam_udp *udp, uint32_t socket, const roam_addr *remote, roam_span bytes);
void udp_close(roam_udp *udp, uint32_t socket); /* an unknown id is ignored */
const roam_udp_counters *udp_counters(const roam_udp *udp);

#endif
