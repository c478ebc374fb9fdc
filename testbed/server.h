/* The test server: a registrar and a proxy behind one or more UDP sockets of the host. No I/O: datagrams and time come
 * in, datagrams go out through a callback. The simulator and `roam serve` run the same code.
 *
 * An input, its time: testserver_receive. When testserver_deadline says so: testserver_advance. */
#ifndef ROAM_TESTBED_SERVER_H
#define ROAM_TESTBED_SERVER_H

#include "testbed/outbox.h"
#include "testbed/notifier.h"
#include "testbed/proxy.h"

typedef struct roam_testserver_host {
    /* The bytes are valid during the call. Called in the middle of an input: it queues, it does not call back into the
     * server. */
    void (*send)(void *user, uint32_t socket, const roam_addr *remote, roam_span bytes);
    roam_notice_fn *notice; /* may be NULL */
    roam_trace_fn *trace;   /* may be NULL */
    void *user;             /* of all three */
} roam_testserver_host;

typedef struct roam_testserver_config {
    const roam_allocator *allocator; /* NULL: the C library's */
    uint8_t seed[32];
    roam_sip_timers timers; /* zeros: the usual ones */
    roam_auth_config auth;
    roam_registrar_config registrar;
    roam_proxy_config proxy;
    roam_time delay;          /* everything leaves so much later */
    roam_time repeat_after;   /* everything leaves twice; 0: once */
    uint32_t overload_ppm;    /* of the requests without To tag: answered 503 ... */
    uint32_t overload_retry;  /* ... with this Retry-After, in seconds */
} roam_testserver_config;

typedef struct roam_testserver {
    roam_env env;
    roam_sip sip;
    roam_site site;
    roam_auth auth;
    roam_registrar registrar;
    roam_proxy proxy;
    roam_notifier notifier;
    roam_testserver_host host;
    roam_outbox outbox;
    uint32_t overload_ppm, overload_retry;
    uint64_t overloaded;     /* requests answered so */
    uint64_t unknown_socket; /* datagrams that named a socket we do not have */
} roam_testserver;

/* Users, domains and paths are added afterwards. Without any user the server asks nobody for a password and lets
 * everybody register. */
int testserver_init(roam_testserver *server, const roam_testserver_config *config, const roam_testserver_host *host);
void testserver_free(roam_testserver *server); /* sends nothing */

int testserver_add_domain(roam_testserver *server, const char *domain);
/* `local` is written into Via and Record-Route: an address at which clients reach the socket, even when the socket is
 * bound to any. */
int testserver_add_path(roam_testserver *server, uint32_t socket, const roam_addr *local);
/* `password` NULL: trusted, never challenged. */
int testserver_add_user(roam_testserver *server, const char *name, const char *password);

/* As if the process had been stopped and started: bindings, nonces and transactions are gone; users, domains and paths
 * stay. */
int testserver_restart(roam_testserver *server, roam_time now);

void testserver_receive(roam_testserver *server, roam_time now, uint32_t socket, const roam_addr *from,
                        roam_span bytes);
void testserver_advance(roam_testserver *server, roam_time now);
roam_time testserver_deadline(const roam_testserver *server);

#endif
