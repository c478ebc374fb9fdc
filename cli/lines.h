/* Lines of text in and out on file descriptors that belong to others (stdin, stdout): they are never set to non-blocking, since the
 * shell behind us shares them, and yet a slow reader does not stop the agent. */
#ifndef ROAM_CLI_LINES_H
#define ROAM_CLI_LINES_H

#include <uv.h>

#include "roam/base.h"

#define LINE_MAX_BYTES 4096u

typedef struct line_out {
    int fd;
    uv_poll_t poll;
    bool pollable, polling;
    bool broken;       /* nobody reads any more */
    char *queue;
    size_t len, cap, max;
    uint64_t dropped;  /* lines, because `max` bytes waited already */
} line_out;

/* `max`: bytes that may wait for a slow reader. */
void line_out_open(line_out *out, uv_loop_t *loop, int fd, size_t max);
/* Whole lines. What does not fit is dropped as a whole and counted. */
void line_out_write(line_out *out, const char *bytes, size_t len);
/* Waits at most so long for the reader to take the rest, then lets go. The loop must run once more. */
void line_out_close(line_out *out, int timeout_ms);

typedef struct line_in {
    int fd;
    uv_poll_t poll;
    uv_idle_t idle;
    bool polling, idling; /* a file cannot be polled: it is read a piece in each turn */
    char bytes[LINE_MAX_BYTES];
    size_t len;
    bool overlong; /* the rest of this line is skipped */
    void (*line)(void *user, char *line); /* NULL: the end */
    void *user;
} line_in;

void line_in_open(line_in *in, uv_loop_t *loop, int fd, void (*line)(void *user, char *line), void *user);
void line_in_close(line_in *in);
/* Cuts what came into lines; for whoever reads by other means. Overlong lines are dropped: `line` gets "" for them. */
void line_in_feed(line_in *in, const char *bytes, size_t len);

#endif
