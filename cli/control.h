/* A Unix socket that takes the commands of `roam agent` and sends every line to everybody there. */
#ifndef ROAM_CLI_CONTROL_H
#define ROAM_CLI_CONTROL_H

#include <uv.h>

#include "cli/lines.h"

#define CONTROL_MAX_CLIENTS 16
#define CONTROL_MAX_QUEUE (1u << 20) /* bytes that wait for one client; who is slower than that is cut off */

typedef struct control_client {
    uv_pipe_t pipe;
    line_in in; /* only cuts lines */
    struct control *control;
    struct control_client *next;
    bool closing;
} control_client;

typedef struct control {
    uv_pipe_t listener;
    bool open;
    control_client *clients;
    size_t nclients;
    /* A line came from a client; what is answered goes to that client with control_send(). */
    void (*line)(void *user, control_client *client, char *line);
    void *user;
} control;

/* False: what is wrong was said. The socket is for this user only (mode 0600). */
bool control_open(control *c, uv_loop_t *loop, const char *path, void (*line)(void *, control_client *, char *), void *user);
void control_send(control_client *client, const char *bytes, size_t len);
void control_send_all(control *c, const char *bytes, size_t len);
void control_close(control *c);

#endif
