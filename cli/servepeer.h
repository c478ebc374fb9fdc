/* Somebody to call at `roam serve`: the far end of testbed/peer.h on sockets. */
#ifndef ROAM_CLI_SERVEPEER_H
#define ROAM_CLI_SERVEPEER_H

#include <uv.h>

#include "testbed/peer.h"

typedef struct serve_peer serve_peer;
typedef void serve_peer_fn(void *user, const char *name, const roam_peer_event *event);

/* Registers with `server` at once and answers every call. `password` NULL: it has none. 0 or a roam_err. */
int servepeer_new(uv_loop_t *loop, const char *name, const char *domain, const char *password, const roam_addr *server, roam_audio_play play,
                  serve_peer_fn *event, void *user, roam_trace_fn *trace, serve_peer **out);
/* Its handles die when the loop runs on; nobody is called any more. NULL is fine. */
void servepeer_free(serve_peer *peer);

#endif
