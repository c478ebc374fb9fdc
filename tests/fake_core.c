/* A core that does nothing but queue the outputs a test gives it and write down the inputs that the edge hands in. */
#include "fake_core.h"

#include <stdlib.h>
#include <string.h>

struct fake_output {
    struct fake_output *next;
    roam_output output;
    char bytes[];
};

static struct fake_output *last_polled; /* its bytes stay valid until the next poll, as core.h promises */

static void *must(void *p)
{
    if (!p)
        abort();
    return p;
}

static void note(roam_ua *ua, fake_input input)
{
    if (input.now > ua->now)
        ua->now = input.now;
    if (ua->ninputs == ua->inputs_cap) {
        ua->inputs_cap = ua->inputs_cap ? 2 * ua->inputs_cap : 64;
        ua->inputs = must(realloc(ua->inputs, ua->inputs_cap * sizeof *ua->inputs));
    }
    ua->inputs[ua->ninputs++] = input;
    if (ua->on_input)
        ua->on_input(ua->user, ua, &input);
}

void roam_ua_config_default(roam_ua_config *config)
{
    memset(config, 0, sizeof *config);
}

roam_ua *roam_ua_new(const roam_ua_config *config)
{
    roam_ua *ua = must(calloc(1, sizeof *ua));
    ua->config = *config;
    ua->deadline = ROAM_NEVER;
    ua->outputs_end = &ua->outputs;
    return ua;
}

void roam_ua_free(roam_ua *ua)
{
    if (!ua)
        return;
    while (ua->outputs) {
        struct fake_output *o = ua->outputs;
        ua->outputs = o->next;
        free(o);
    }
    free(last_polled);
    last_polled = NULL;
    free(ua->inputs);
    free(ua);
}

void roam_ua_shutdown(roam_ua *ua)
{
    note(ua, (fake_input){.type = FAKE_SHUTDOWN});
    fake_event(ua, ROAM_EVENT_SHUTDOWN_DONE);
}

void roam_ua_advance(roam_ua *ua, roam_time now)
{
    if (now >= ua->deadline)
        ua->deadline = ROAM_NEVER;
    note(ua, (fake_input){.type = FAKE_ADVANCE, .now = now});
}

void roam_ua_receive(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *from, roam_span datagram)
{
    fake_input input = {.type = FAKE_RECEIVE, .now = now, .socket = socket, .addr = *from, .len = datagram.len};
    const size_t kept = datagram.len < sizeof input.bytes - 1 ? datagram.len : sizeof input.bytes - 1;
    if (kept)
        memcpy(input.bytes, datagram.ptr, kept);
    note(ua, input);
}

void roam_ua_socket_opened(roam_ua *ua, roam_time now, uint32_t socket, int err, const roam_addr *local)
{
    note(ua, (fake_input){.type = FAKE_OPENED, .now = now, .socket = socket, .err = err, .addr = *local});
}

void roam_ua_socket_error(roam_ua *ua, roam_time now, uint32_t socket, const roam_addr *remote)
{
    fake_input input = {.type = FAKE_ERROR, .now = now, .socket = socket};
    if (remote)
        input.addr = *remote;
    note(ua, input);
}

void roam_ua_route(roam_ua *ua, roam_time now, const roam_net_route *route)
{
    note(ua, (fake_input){.type = FAKE_ROUTE, .now = now, .route = *route});
}

void roam_ua_resolved(roam_ua *ua, roam_time now, uint32_t query, const roam_ip *ips, size_t n)
{
    note(ua, (fake_input){
                 .type = FAKE_RESOLVED, .now = now, .socket = query, .n = n, .addr.ip = n ? ips[0] : (roam_ip){0}});
}

int roam_network_update(roam_ua *ua, roam_time now, const roam_network *network)
{
    note(ua, (fake_input){.type = FAKE_NETWORK, .now = now, .n = network->naddrs});
    return 0;
}

roam_time roam_ua_deadline(const roam_ua *ua)
{
    return ua->deadline;
}

bool roam_ua_poll(roam_ua *ua, roam_output *output)
{
    struct fake_output *o = ua->outputs;
    if (!o)
        return false;
    ua->outputs = o->next;
    if (!ua->outputs)
        ua->outputs_end = &ua->outputs;
    free(last_polled);
    last_polled = o;
    *output = o->output;
    return true;
}

void fake_output(roam_ua *ua, roam_output output)
{
    struct fake_output *o = must(malloc(sizeof *o + output.bytes.len));
    if (output.bytes.len)
        memcpy(o->bytes, output.bytes.ptr, output.bytes.len);
    output.bytes.ptr = o->bytes;
    o->output = output;
    o->next = NULL;
    *ua->outputs_end = o;
    ua->outputs_end = &o->next;
}

void fake_send(roam_ua *ua, uint32_t socket, const roam_addr *to, const char *text)
{
    fake_output(
        ua, (roam_output){.type = ROAM_OUTPUT_SEND, .socket = socket, .remote = *to, .bytes = {text, strlen(text)}});
}

void fake_open(roam_ua *ua, uint32_t socket, const roam_addr *local)
{
    fake_output(ua, (roam_output){.type = ROAM_OUTPUT_SOCKET_OPEN, .socket = socket, .local = *local, .link = 1});
}

void fake_event(roam_ua *ua, roam_event_type type)
{
    fake_output(ua, (roam_output){.type = ROAM_OUTPUT_EVENT, .event = {.type = type}});
}

const fake_input *fake_input_of(const roam_ua *ua, fake_input_type type, size_t nth)
{
    for (size_t i = 0; i < ua->ninputs; i++)
        if (ua->inputs[i].type == type && nth-- == 0)
            return &ua->inputs[i];
    return NULL;
}

size_t fake_count(const roam_ua *ua, fake_input_type type)
{
    size_t n = 0;
    for (size_t i = 0; i < ua->ninputs; i++)
        n += ua->inputs[i].type == type;
    return n;
}
