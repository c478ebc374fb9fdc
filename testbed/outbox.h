/* What leaves a node late, or twice: the slow and the nervous ones. Without either it passes everything on at once. */
#ifndef ROAM_TESTBED_OUTBOX_H
#define ROAM_TESTBED_OUTBOX_H

#include "base/env.h"

#define OUTBOX_MAX 1024u /* datagrams kept; more leave at once, and once */

typedef void roam_outbox_send_fn(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes);

typedef struct roam_outbox {
    roam_env *env;
    roam_time delay;        /* everything leaves so much later */
    roam_time repeat_after; /* and again after that; 0: once */
    roam_outbox_send_fn *send;
    void *user;
    roam_list kept;
    size_t nkept;
    uint64_t hurried; /* left at once because of the limit, or for want of memory */
} roam_outbox;

void outbox_init(roam_outbox *outbox, roam_env *env, roam_time delay, roam_time repeat_after,
                 roam_outbox_send_fn *send, void *user);
void outbox_free(roam_outbox *outbox); /* what is kept is lost */
void outbox_send(roam_outbox *outbox, uint32_t socket, const roam_addr *remote, roam_span bytes);

#endif
