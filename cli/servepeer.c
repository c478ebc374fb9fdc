#include "cli/servepeer.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "edge/address.h"

/* A socket outlives its peer by one turn of the loop, so it has memory of its own. */
typedef struct peer_socket {
    uv_udp_t udp;
    serve_peer *peer; /* NULL: closing */
    uint32_t id;
    struct peer_socket *next;
} peer_socket;

struct serve_peer {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_prepare_t before_block;
    unsigned open_handles; /* of these two */
    roam_peer peer;
    bool peer_open;
    peer_socket *sockets;
    uint32_t next_socket;
    roam_ip ip;
    char name[64];
    serve_peer_fn *event;
    roam_trace_fn *trace;
    void *user;
};

static int open_socket(serve_peer *p, uint32_t *id, roam_addr *local);
static void close_socket(void *user, uint32_t id);
static int open_rtp(void *user, uint32_t *id, roam_addr *local);
static void on_send(void *user, uint32_t id, const roam_addr *remote, roam_span bytes);
static void on_event(void *user, const roam_peer_event *event);
static void on_trace(void *user, const roam_trace_record *record);
static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf);
static void on_datagram(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags);
static void on_before_block(uv_prepare_t *prepare);
static void on_timer(uv_timer_t *timer);
static void on_socket_closed(uv_handle_t *handle);
static void on_handle_closed(uv_handle_t *handle);

int servepeer_new(uv_loop_t *loop, const char *name, const char *domain, const char *password, const roam_addr *server, roam_audio_play play,
                  serve_peer_fn *event, void *user, roam_trace_fn *trace, serve_peer **out)
{
    serve_peer *p = calloc(1, sizeof *p);
    *out = p;
    if (!p)
        return ROAM_ENOMEM;
    p->loop = loop;
    p->ip = server->ip;
    p->event = event;
    p->trace = trace;
    p->user = user;
    memcpy(p->name, name, strnlen(name, sizeof p->name - 1));
    uv_timer_init(loop, &p->timer);
    uv_prepare_init(loop, &p->before_block);
    p->open_handles = 2;
    p->timer.data = p->before_block.data = p;
    roam_peer_config config = {.user = name, .domain = domain, .password = password, .proxy = *server, .answer = PEER_ANSWERS, .audio = {.play = play, .max_log = 1}};
    const roam_peer_host host = {.send = on_send, .open_rtp = open_rtp, .close_rtp = close_socket, .event = on_event, .trace = trace ? on_trace : NULL, .user = p};
    int err = open_socket(p, &config.socket, &config.local);
    if (!err && uv_random(NULL, NULL, config.seed, sizeof config.seed, 0, NULL) != 0)
        err = ROAM_EIO;
    if (!err)
        err = peer_init(&p->peer, &config, &host);
    p->peer_open = !err;
    if (!err)
        err = peer_register(&p->peer, cli_now());
    if (!err)
        uv_prepare_start(&p->before_block, on_before_block);
    return err;
}

void servepeer_free(serve_peer *p)
{
    if (!p)
        return;
    if (p->peer_open)
        peer_free(&p->peer);
    while (p->sockets)
        close_socket(p, p->sockets->id);
    uv_close((uv_handle_t *)&p->timer, on_handle_closed);
    uv_close((uv_handle_t *)&p->before_block, on_handle_closed);
}

static int open_rtp(void *user, uint32_t *id, roam_addr *local)
{
    return open_socket(user, id, local);
}

static int open_socket(serve_peer *p, uint32_t *id, roam_addr *local)
{
    struct sockaddr_storage at, bound;
    int length = sizeof bound;
    peer_socket *s = calloc(1, sizeof *s);
    if (!s)
        return ROAM_ENOMEM;
    const roam_addr wanted = {.ip = p->ip};
    address_to_sockaddr(&wanted, 0, &at);
    uv_udp_init(p->loop, &s->udp);
    s->udp.data = s;
    s->peer = p;
    s->id = *id = ++p->next_socket;
    s->next = p->sockets;
    p->sockets = s;
    if (uv_udp_bind(&s->udp, (struct sockaddr *)&at, 0) != 0 || uv_udp_getsockname(&s->udp, (struct sockaddr *)&bound, &length) != 0 ||
        uv_udp_recv_start(&s->udp, on_alloc, on_datagram) != 0 || !address_from_sockaddr((struct sockaddr *)&bound, local)) {
        close_socket(p, *id);
        return ROAM_EIO;
    }
    return ROAM_OK;
}

static void close_socket(void *user, uint32_t id)
{
    serve_peer *p = user;
    for (peer_socket **at = &p->sockets; *at; at = &(*at)->next) {
        peer_socket *s = *at;
        if (s->id != id)
            continue;
        *at = s->next;
        s->peer = NULL;
        uv_close((uv_handle_t *)&s->udp, on_socket_closed);
        return;
    }
}

static void on_send(void *user, uint32_t id, const roam_addr *remote, roam_span bytes)
{
    serve_peer *p = user;
    struct sockaddr_storage to;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.ptr, (unsigned)bytes.len);
    if (address_to_sockaddr(remote, 0, &to) == 0)
        return;
    for (peer_socket *s = p->sockets; s; s = s->next)
        if (s->id == id)
            (void)uv_udp_try_send(&s->udp, &buf, 1, (struct sockaddr *)&to); /* full or refused: lost, as UDP is */
}

static void on_event(void *user, const roam_peer_event *event)
{
    serve_peer *p = user;
    p->event(p->user, p->name, event);
}

static void on_trace(void *user, const roam_trace_record *record)
{
    serve_peer *p = user;
    p->trace(p->user, record);
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    static char space[65536];
    (void)handle, (void)wanted;
    *buf = uv_buf_init(space, sizeof space);
}

static void on_datagram(uv_udp_t *udp, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
    peer_socket *s = udp->data;
    roam_addr remote;
    if (!s->peer || n <= 0 || !from || (flags & UV_UDP_PARTIAL) || !address_from_sockaddr(from, &remote))
        return;
    peer_receive(&s->peer->peer, cli_now(), s->id, &remote, (roam_span){buf->base, (size_t)n});
}

static void on_before_block(uv_prepare_t *prepare)
{
    serve_peer *p = prepare->data;
    roam_time due = peer_deadline(&p->peer), now = cli_now();
    if (due == ROAM_NEVER)
        uv_timer_stop(&p->timer);
    else
        uv_timer_start(&p->timer, on_timer, due > now ? (due - now + 999) / 1000 : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    serve_peer *p = timer->data;
    peer_advance(&p->peer, cli_now());
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    serve_peer *p = handle->data;
    if (--p->open_handles == 0)
        free(p);
}
