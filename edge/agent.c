/* The agent: the core on a libuv loop. Inputs come from callbacks; outputs are drained after each of them, and again
 * just before the loop blocks, so that what a command of the application caused leaves in the same turn. */
#include "roam/roam.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/list.h"
#include "base/trace.h"
#include "edge/monitor.h"
#include "edge/resolve.h"
#include "edge/udp.h"

typedef struct roam_posted {
    struct roam_posted *next;
    void (*fn)(void *user, roam_agent *agent);
    void *user;
} roam_posted;

struct roam_agent {
    roam_agent_config config;
    roam_ua *ua;
    uv_loop_t *loop, own_loop;
    bool owns_loop;
    bool ready;         /* roam_agent_new() is through: events may go out */
    bool draining;      /* in drain(): what arises goes out with the rest */
    bool running;       /* in roam_agent_run() */
    unsigned callbacks; /* of the application that are running now */

    uv_prepare_t before_block;
    uv_check_t after_block;
    uv_timer_t timer;
    uv_async_t wake;
    unsigned open_handles; /* of these four */
    roam_time armed;       /* what `timer` stands for */

    uv_mutex_t mutex; /* of the two below, which other threads touch */
    roam_posted *posted;
    roam_posted **posted_end;

    roam_time now; /* of the input at hand, for the trace */
    roam_tracer trace;
    roam_udp *udp;
    roam_resolver *resolver;
    roam_monitor *monitor;
};

static bool has_seed(const uint8_t seed[32]);
static bool open_handles(roam_agent *a);
static void close_handles(roam_agent *a);
static void on_handle_closed(uv_handle_t *handle);
static int start_monitor(roam_agent *a);
static roam_time time_now(roam_agent *a);
static void turn(roam_agent *a);
static void drain(roam_agent *a);
static void arm(roam_agent *a);
static void carry_out(roam_agent *a, const roam_output *output);
static void open_socket(roam_agent *a, const roam_output *output);
static void watch_route(roam_agent *a, const roam_ip *destination);
static void tell(roam_agent *a, const roam_event *event);
static void on_before_block(uv_prepare_t *handle);
static void on_after_block(uv_check_t *handle);
static void on_timer(uv_timer_t *handle);
static void on_wake(uv_async_t *handle);
static void on_datagram(void *user, uint32_t socket, const roam_addr *from, roam_span bytes);
static void on_socket_error(void *user, uint32_t socket, const roam_addr *remote);
static void on_batch_end(void *user);
static void on_resolved(void *user, uint32_t query, const roam_ip *ips, size_t n);
static void on_network(void *user, const roam_network *network);

void roam_agent_config_default(roam_agent_config *config)
{
    memset(config, 0, sizeof *config);
    roam_ua_config_default(&config->ua);
    config->monitor = true;
    /* getrandom() and its like elsewhere. Refused: the seed stays zero, which roam_agent_new() does not take. */
    if (uv_random(NULL, NULL, config->ua.seed, sizeof config->ua.seed, 0, NULL) != 0)
        memset(config->ua.seed, 0, sizeof config->ua.seed);
}

roam_agent *roam_agent_new(const roam_agent_config *config)
{
    if (!has_seed(config->ua.seed))
        return NULL;
    roam_agent *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->config = *config;
    a->armed = ROAM_NEVER;
    a->posted_end = &a->posted;
    a->trace = (roam_tracer){config->ua.trace, config->ua.trace_user, &a->now};
    a->owns_loop = !config->uv_loop;
    a->loop = a->owns_loop ? &a->own_loop : config->uv_loop;
    time_now(a);
    if (uv_mutex_init(&a->mutex) != 0) {
        free(a);
        return NULL;
    }
    if (!open_handles(a)) {
        uv_mutex_destroy(&a->mutex);
        free(a);
        return NULL;
    }
    const roam_udp_events events = {on_datagram, on_socket_error, on_batch_end, a};
    a->udp = udp_new(a->loop, &events, &a->trace);
    a->resolver = resolver_new(a->loop, on_resolved, a);
    int err = a->udp && a->resolver ? 0 : ROAM_ENOMEM;
    if (!err && config->monitor) {
        err = monitor_new(a->loop, on_network, a, &a->trace, &a->monitor);
        if (err == ROAM_EUNSUPPORTED) {
            trace_note(&a->trace, "agent", 0, "no network monitor on this platform: the application feeds");
            err = 0;
        }
    }
    if (!err) {
        a->config.ua.route_answers = a->monitor != NULL;
        a->ua = roam_ua_new(&a->config.ua);
        err = a->ua ? start_monitor(a) : ROAM_ENOMEM;
    }
    if (err) {
        trace_note(&a->trace, "agent", 0, roam_strerror(err));
        roam_agent_free(a);
        return NULL;
    }
    a->ready = true;
    return a;
}

void roam_agent_free(roam_agent *a)
{
    if (!a)
        return;
    assert(!a->draining && !a->callbacks); /* not from inside a callback of the agent */
    monitor_free(a->monitor);
    resolver_free(a->resolver);
    udp_free(a->udp);
    roam_ua_free(a->ua);
    while (a->posted) {
        roam_posted *posted = a->posted;
        a->posted = posted->next;
        free(posted);
    }
    uv_mutex_destroy(&a->mutex);
    const bool owns_loop = a->owns_loop;
    close_handles(a); /* on the application's loop `a` dies in the last close callback */
    if (!owns_loop)
        return;
    uv_run(&a->own_loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&a->own_loop);
    assert(left == 0);
    (void)left;
    free(a);
}

roam_ua *roam_agent_ua(roam_agent *a)
{
    roam_ua_advance(a->ua, time_now(a));
    return a->ua;
}

int roam_agent_run(roam_agent *a)
{
    if (a->running || a->callbacks || a->draining)
        return ROAM_ESTATE;
    a->running = true;
    uv_run(a->loop, UV_RUN_DEFAULT);
    a->running = false;
    return ROAM_OK;
}

void roam_agent_stop(roam_agent *a)
{
    uv_stop(a->loop);
}

void roam_agent_shutdown(roam_agent *a)
{
    roam_ua_shutdown(roam_agent_ua(a));
}

void roam_agent_flush(roam_agent *a)
{
    turn(a);
}

int roam_agent_network_update(roam_agent *a, const roam_network *network)
{
    if (a->monitor)
        return ROAM_ESTATE;
    resolver_network_changed(a->resolver);
    return roam_network_update(a->ua, time_now(a), network);
}

int roam_post(roam_agent *a, void (*fn)(void *user, roam_agent *agent), void *user)
{
    /* Not from the configured allocator: that one is for the agent's thread. */
    roam_posted *posted = malloc(sizeof *posted);
    if (!posted)
        return ROAM_ENOMEM;
    *posted = (roam_posted){NULL, fn, user};
    uv_mutex_lock(&a->mutex);
    *a->posted_end = posted;
    a->posted_end = &posted->next;
    uv_mutex_unlock(&a->mutex);
    uv_async_send(&a->wake);
    return ROAM_OK;
}

/* ---- birth and death ---- */

static bool has_seed(const uint8_t seed[32])
{
    uint8_t any = 0;
    for (size_t i = 0; i < 32; i++)
        any |= seed[i];
    return any != 0;
}

static bool open_handles(roam_agent *a)
{
    if (a->owns_loop && uv_loop_init(&a->own_loop) != 0)
        return false;
    if (uv_async_init(a->loop, &a->wake, on_wake) != 0) {
        if (a->owns_loop)
            uv_loop_close(&a->own_loop);
        return false;
    }
    uv_timer_init(a->loop, &a->timer);
    uv_prepare_init(a->loop, &a->before_block);
    uv_check_init(a->loop, &a->after_block);
    a->open_handles = 4;
    a->wake.data = a->timer.data = a->before_block.data = a->after_block.data = a;
    uv_prepare_start(&a->before_block, on_before_block);
    uv_check_start(&a->after_block, on_after_block);
    return true;
}

static void close_handles(roam_agent *a)
{
    uv_close((uv_handle_t *)&a->wake, on_handle_closed);
    uv_close((uv_handle_t *)&a->timer, on_handle_closed);
    uv_close((uv_handle_t *)&a->before_block, on_handle_closed);
    uv_close((uv_handle_t *)&a->after_block, on_handle_closed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    roam_agent *a = handle->data;
    if (--a->open_handles == 0 && !a->owns_loop)
        free(a);
}

static int start_monitor(roam_agent *a)
{
    return a->monitor ? monitor_start(a->monitor) : 0;
}

/* ---- outputs ---- */

static roam_time time_now(roam_agent *a)
{
    a->now = uv_hrtime() / 1000;
    return a->now;
}

static void turn(roam_agent *a)
{
    if (a->draining || !a->ready)
        return;
    drain(a);
    arm(a);
}

static void drain(roam_agent *a)
{
    roam_output output;
    a->draining = true;
    while (roam_ua_poll(a->ua, &output))
        carry_out(a, &output);
    a->draining = false;
}

/* libuv counts milliseconds of the same clock, rounded down. Rounded up, the timer never comes too early. */
static void arm(roam_agent *a)
{
    const roam_time deadline = roam_ua_deadline(a->ua);
    if (deadline == a->armed && (deadline == ROAM_NEVER || uv_is_active((uv_handle_t *)&a->timer)))
        return;
    a->armed = deadline;
    if (deadline == ROAM_NEVER) {
        uv_timer_stop(&a->timer);
        return;
    }
    uv_update_time(a->loop); /* the work of this turn took time: else the loop would oversleep by as much */
    const uint64_t due = deadline / 1000 + (deadline % 1000 != 0), now = uv_now(a->loop);
    uv_timer_start(&a->timer, on_timer, due > now ? due - now : 0, 0);
}

static void carry_out(roam_agent *a, const roam_output *output)
{
    switch (output->type) {
    case ROAM_OUTPUT_SEND: udp_send(a->udp, output->socket, &output->remote, output->bytes); break;
    case ROAM_OUTPUT_SOCKET_OPEN: open_socket(a, output); break;
    case ROAM_OUTPUT_SOCKET_CLOSE: udp_close(a->udp, output->socket); break;
    case ROAM_OUTPUT_ROUTE_WATCH: watch_route(a, &output->remote.ip); break;
    case ROAM_OUTPUT_ROUTE_UNWATCH:
        if (a->monitor)
            monitor_unwatch(a->monitor, &output->remote.ip);
        break;
    case ROAM_OUTPUT_RESOLVE: resolver_ask(a->resolver, output->query, output->bytes); break;
    case ROAM_OUTPUT_EVENT: tell(a, &output->event); break;
    }
}

static void open_socket(roam_agent *a, const roam_output *output)
{
    roam_addr bound = {0};
    const uint32_t socket = output->socket; /* the answer ends the output's life */
    int err = udp_open(a->udp, socket, &output->local, output->link, output->purpose, &bound);
    if (err)
        bound = output->local;
    roam_ua_socket_opened(a->ua, time_now(a), socket, err, &bound);
}

static void watch_route(roam_agent *a, const roam_ip *destination)
{
    roam_net_route route;
    if (!a->monitor)
        return;
    if (monitor_watch(a->monitor, destination, &route) != 0)
        trace_note(&a->trace, "agent", 0, "a route cannot be watched");
    roam_ua_route(a->ua, time_now(a), &route);
}

static void tell(roam_agent *a, const roam_event *event)
{
    a->callbacks++;
    if (event->type == ROAM_EVENT_IP_CHANGE_PROGRESS && a->config.on_ip_change_progress)
        a->config.on_ip_change_progress(a->config.user, event->op, event->status, event);
    if (a->config.on_event)
        a->config.on_event(a->config.user, a, event);
    a->callbacks--;
    if (event->type == ROAM_EVENT_SHUTDOWN_DONE && (a->owns_loop || a->running))
        roam_agent_stop(a);
}

/* ---- inputs ---- */

static void on_before_block(uv_prepare_t *handle)
{
    turn(handle->data);
}

static void on_after_block(uv_check_t *handle)
{
    turn(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
    roam_agent *a = handle->data;
    a->armed = ROAM_NEVER;
    roam_ua_advance(a->ua, time_now(a));
    turn(a);
}

static void on_wake(uv_async_t *handle)
{
    roam_agent *a = handle->data;
    uv_mutex_lock(&a->mutex);
    roam_posted *posted = a->posted;
    a->posted = NULL;
    a->posted_end = &a->posted;
    uv_mutex_unlock(&a->mutex);
    while (posted) {
        roam_posted *one = posted;
        posted = one->next;
        a->callbacks++;
        one->fn(one->user, a);
        a->callbacks--;
        free(one);
    }
    turn(a);
}

static void on_datagram(void *user, uint32_t socket, const roam_addr *from, roam_span bytes)
{
    roam_agent *a = user;
    roam_ua_receive(a->ua, time_now(a), socket, from, bytes);
}

static void on_socket_error(void *user, uint32_t socket, const roam_addr *remote)
{
    roam_agent *a = user;
    roam_ua_socket_error(a->ua, time_now(a), socket, remote);
}

static void on_batch_end(void *user)
{
    turn(user);
}

static void on_resolved(void *user, uint32_t query, const roam_ip *ips, size_t n)
{
    roam_agent *a = user;
    roam_ua_resolved(a->ua, time_now(a), query, ips, n);
    turn(a);
}

static void on_network(void *user, const roam_network *network)
{
    roam_agent *a = user;
    resolver_network_changed(a->resolver);
    int err = roam_network_update(a->ua, time_now(a), network);
    if (err)
        trace_note(&a->trace, "agent", 0, roam_strerror(err));
    turn(a);
}
