#include "cli/lines.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void out_push(line_out *out);
static bool out_enqueue(line_out *out, const char *bytes, size_t len);
static void on_writable(uv_poll_t *poll, int status, int events);
static void on_readable(uv_poll_t *poll, int status, int events);
static void on_idle(uv_idle_t *idle);
static bool in_read(line_in *in);

/* ---- out ---- */

void line_out_open(line_out *out, uv_loop_t *loop, int fd, size_t max)
{
    *out = (line_out){.fd = fd, .max = max};
    struct pollfd probe = {.fd = fd, .events = POLLOUT};
    out->broken = poll(&probe, 1, 0) < 0 || (probe.revents & POLLNVAL);
    if (!out->broken && uv_poll_init(loop, &out->poll, fd) == 0) { /* refused for files, which never wait */
        out->pollable = true;
        out->poll.data = out;
    }
}

void line_out_write(line_out *out, const char *bytes, size_t len)
{
    if (out->broken)
        return;
    if (!out_enqueue(out, bytes, len)) {
        out->dropped++;
        return;
    }
    out_push(out);
}

void line_out_close(line_out *out, int timeout_ms)
{
    const uint64_t end = uv_hrtime() + (uint64_t)timeout_ms * 1000000u;
    while (out->len != 0 && !out->broken && uv_hrtime() < end) {
        struct pollfd ready = {.fd = out->fd, .events = POLLOUT};
        if (poll(&ready, 1, 50) > 0)
            out_push(out);
    }
    if (out->pollable)
        uv_close((uv_handle_t *)&out->poll, NULL);
    free(out->queue);
    out->queue = NULL;
    out->len = out->cap = 0;
    out->broken = true;
}

static bool out_enqueue(line_out *out, const char *bytes, size_t len)
{
    if (len > out->max - out->len)
        return false;
    if (out->cap - out->len < len) {
        size_t cap = out->cap ? out->cap : 4096;
        while (cap - out->len < len)
            cap *= 2;
        char *queue = realloc(out->queue, cap);
        if (!queue)
            return false;
        out->queue = queue;
        out->cap = cap;
    }
    memcpy(out->queue + out->len, bytes, len);
    out->len += len;
    return true;
}

/* A pipe that poll() calls writable takes PIPE_BUF bytes without blocking (pipe(7)); so each write is at most that long. */
static void out_push(line_out *out)
{
    size_t done = 0;
    while (done < out->len) {
        struct pollfd ready = {.fd = out->fd, .events = POLLOUT};
        if (out->pollable && (poll(&ready, 1, 0) <= 0 || !(ready.revents & (POLLOUT | POLLERR | POLLHUP))))
            break;
        size_t piece = out->len - done < PIPE_BUF ? out->len - done : PIPE_BUF;
        ssize_t n = write(out->fd, out->queue + done, piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            out->broken = true;
            done = out->len;
            break;
        }
        done += (size_t)n;
    }
    memmove(out->queue, out->queue + done, out->len - done);
    out->len -= done;
    if (out->pollable && out->polling != (out->len != 0)) {
        out->polling = out->len != 0;
        if (out->polling)
            uv_poll_start(&out->poll, UV_WRITABLE, on_writable);
        else
            uv_poll_stop(&out->poll);
    }
}

static void on_writable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    out_push(poll->data);
}

/* ---- in ---- */

void line_in_open(line_in *in, uv_loop_t *loop, int fd, void (*line)(void *user, char *line), void *user)
{
    in->fd = fd;
    in->len = 0;
    in->overlong = in->polling = in->idling = false;
    in->line = line;
    in->user = user;
    if (fd < 0)
        return;
    if (uv_poll_init(loop, &in->poll, fd) == 0) {
        in->poll.data = in;
        in->polling = true;
        uv_poll_start(&in->poll, UV_READABLE | UV_DISCONNECT, on_readable);
    } else {
        uv_idle_init(loop, &in->idle);
        in->idle.data = in;
        in->idling = true;
        uv_idle_start(&in->idle, on_idle);
    }
}

void line_in_close(line_in *in)
{
    if (in->polling)
        uv_close((uv_handle_t *)&in->poll, NULL);
    if (in->idling)
        uv_close((uv_handle_t *)&in->idle, NULL);
    in->polling = in->idling = false;
}

void line_in_feed(line_in *in, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n') {
            in->bytes[in->overlong ? 0 : in->len] = '\0';
            if (in->len != 0 && !in->overlong && in->bytes[in->len - 1] == '\r')
                in->bytes[in->len - 1] = '\0';
            in->len = 0;
            in->overlong = false;
            in->line(in->user, in->bytes);
        } else if (in->len == sizeof in->bytes - 1) {
            in->overlong = true;
        } else {
            in->bytes[in->len++] = bytes[i];
        }
    }
}

/* False at the end. */
static bool in_read(line_in *in)
{
    char bytes[4096];
    ssize_t n = read(in->fd, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n > 0) {
        line_in_feed(in, bytes, (size_t)n);
        return true;
    }
    if (in->len != 0 || in->overlong)
        line_in_feed(in, "\n", 1); /* a last line without its end */
    line_in_close(in);
    in->line(in->user, NULL);
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    in_read(poll->data);
}

static void on_idle(uv_idle_t *idle)
{
    in_read(idle->data);
}
