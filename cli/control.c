#include "cli/control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/cli.h"

typedef struct control_write {
    uv_write_t request;
    char bytes[];
} control_write;

static bool stale(const char *path);
static void on_connection(uv_stream_t *listener, int status);
static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void on_line(void *user, char *line);
static void on_written(uv_write_t *request, int status);
static void client_close(control_client *client);
static void on_client_closed(uv_handle_t *handle);

bool control_open(control *c, uv_loop_t *loop, const char *path, void (*line)(void *, control_client *, char *), void *user)
{
    *c = (control){.line = line, .user = user};
    struct sockaddr_un longest;
    if (strlen(path) >= sizeof longest.sun_path) {
        cli_say("--control %s: the path is longer than %zu bytes", path, sizeof longest.sun_path - 1);
        return false;
    }
    if (stale(path))
        unlink(path);
    uv_pipe_init(loop, &c->listener, 0);
    c->listener.data = c;
    c->open = true;
    const mode_t before = umask(0177); /* never, not even for a moment, open to others */
    int err = uv_pipe_bind(&c->listener, path);
    umask(before);
    if (!err)
        err = uv_listen((uv_stream_t *)&c->listener, 8, on_connection);
    if (err)
        cli_say("--control %s: %s", path, uv_strerror(err));
    return !err;
}

void control_send(control_client *client, const char *bytes, size_t len)
{
    if (client->closing)
        return;
    if (uv_stream_get_write_queue_size((uv_stream_t *)&client->pipe) + len > CONTROL_MAX_QUEUE) {
        client_close(client);
        return;
    }
    control_write *w = malloc(sizeof *w + len);
    if (!w)
        return;
    memcpy(w->bytes, bytes, len);
    uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)len);
    if (uv_write(&w->request, (uv_stream_t *)&client->pipe, &buf, 1, on_written) != 0) {
        free(w);
        client_close(client);
    }
}

void control_send_all(control *c, const char *bytes, size_t len)
{
    for (control_client *client = c->clients, *next; client; client = next) {
        next = client->next;
        control_send(client, bytes, len);
    }
}

void control_close(control *c)
{
    while (c->clients)
        client_close(c->clients);
    if (c->open)
        uv_close((uv_handle_t *)&c->listener, NULL); /* libuv removes the socket's name */
    c->open = false;
}

/* A socket that nobody listens on any more was left by somebody who crashed. */
static bool stale(const char *path)
{
    struct stat is;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (lstat(path, &is) != 0 || !S_ISSOCK(is.st_mode))
        return false;
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool refused = fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) != 0;
    if (fd >= 0)
        close(fd);
    return refused;
}

static void on_connection(uv_stream_t *listener, int status)
{
    control *c = listener->data;
    control_client *client = status == 0 ? calloc(1, sizeof *client) : NULL;
    if (!client)
        return;
    client->control = c;
    client->in.fd = -1;
    client->in.line = on_line;
    client->in.user = client;
    uv_pipe_init(listener->loop, &client->pipe, 0);
    client->pipe.data = client;
    client->next = c->clients;
    c->clients = client;
    c->nclients++;
    if (uv_accept(listener, (uv_stream_t *)&client->pipe) != 0 || c->nclients > CONTROL_MAX_CLIENTS ||
        uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0)
        client_close(client);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    static char space[4096]; /* used up before the next callback */
    (void)handle, (void)wanted;
    *buf = uv_buf_init(space, sizeof space);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    control_client *client = stream->data;
    if (n > 0)
        line_in_feed(&client->in, buf->base, (size_t)n);
    else if (n < 0)
        client_close(client);
}

static void on_line(void *user, char *line)
{
    control_client *client = user;
    if (!client->closing)
        client->control->line(client->control->user, client, line);
}

static void on_written(uv_write_t *request, int status)
{
    (void)status;
    free(request); /* the first member of control_write */
}

static void client_close(control_client *client)
{
    if (client->closing)
        return;
    client->closing = true;
    for (control_client **at = &client->control->clients; *at; at = &(*at)->next) {
        if (*at == client) {
            *at = client->next;
            break;
        }
    }
    client->control->nclients--;
    uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_client_closed(uv_handle_t *handle)
{
    free(handle->data);
}
