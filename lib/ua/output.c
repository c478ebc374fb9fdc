#include "ua/output.h"

#include "base/limits.h"

/* Packets are many and small, events few and large: a node is as long as what it holds. */
#define SPARE_BYTES 1600u
#define SPARE_MAX 64u
#define SPARE_EVENTS 16u /* of them for events alone: a datagram without memory is one that was lost, an event that is lost is never told */

typedef struct output_head {
    roam_output_type type;
    uint32_t socket, link, query;
    roam_socket_purpose purpose;
    roam_addr local, remote;
    size_t len;
} output_head;

struct roam_output_node {
    roam_list node;
    size_t cap;
    output_head head;
    char bytes[]; /* the datagram, the name, or one roam_event */
};

void outputs_init(roam_outputs *o, roam_mem *mem)
{
    *o = (roam_outputs){.mem = mem};
    list_init(&o->queue);
    list_init(&o->spare);
}

static void free_all(roam_outputs *o, roam_list *list)
{
    roam_list *node;
    while ((node = list_pop(list)))
        mem_free(o->mem, container_of(node, roam_output_node, node));
}

void outputs_free(roam_outputs *o)
{
    free_all(o, &o->queue);
    free_all(o, &o->spare);
    mem_free(o->mem, o->polled);
    o->polled = NULL;
    o->count = o->nspare = 0;
}

static void release(roam_outputs *o, roam_output_node *n)
{
    if (!n)
        return;
    if (n->cap == SPARE_BYTES && o->nspare < SPARE_MAX) {
        list_push(&o->spare, &n->node);
        o->nspare++;
    } else {
        mem_free(o->mem, n);
    }
}

static roam_output_node *take(roam_outputs *o, size_t len, size_t keep)
{
    if (o->count >= ROAM_MAX_OUTPUTS)
        return NULL;
    roam_list *spare = len <= SPARE_BYTES && o->nspare > keep ? list_pop(&o->spare) : NULL;
    if (spare) {
        o->nspare--;
        return container_of(spare, roam_output_node, node);
    }
    size_t cap = len <= SPARE_BYTES ? SPARE_BYTES : len;
    roam_output_node *n = mem_alloc(o->mem, sizeof *n + cap);
    if (n) {
        list_init(&n->node);
        n->cap = cap;
    }
    return n;
}

static bool push(roam_outputs *o, const output_head *head, const void *bytes)
{
    roam_output_node *n = take(o, head->len, SPARE_EVENTS);
    if (!n) {
        o->dropped++;
        return false;
    }
    n->head = *head;
    if (head->len)
        memcpy(n->bytes, bytes, head->len);
    list_push(&o->queue, &n->node);
    o->count++;
    return true;
}

bool outputs_push(roam_outputs *o, const roam_output *out)
{
    output_head head = {out->type, out->socket, out->link, out->query, out->purpose, out->local, out->remote, out->bytes.len};
    if (push(o, &head, out->bytes.ptr))
        return true;
    if (out->type != ROAM_OUTPUT_SOCKET_CLOSE || o->nowed == OUTPUTS_OWED)
        return false;
    o->owed[o->nowed++] = out->socket;
    return true;
}

/* What the event's spans show is copied behind it, and found there again when it is polled. */
bool outputs_push_event(roam_outputs *o, const roam_event *event)
{
    size_t len = sizeof *event + event->uri.len + event->content_type.len + event->body.len;
    roam_output_node *n = take(o, len, 0);
    if (!n) {
        o->dropped++;
        return false;
    }
    n->head = (output_head){.type = ROAM_OUTPUT_EVENT, .len = len};
    memcpy(n->bytes, event, sizeof *event);
    char *at = n->bytes + sizeof *event;
    const roam_span parts[] = {event->uri, event->content_type, event->body};
    for (size_t i = 0; i < 3; i++)
        if (parts[i].len) {
            memcpy(at, parts[i].ptr, parts[i].len);
            at += parts[i].len;
        }
    list_push(&o->queue, &n->node);
    o->count++;
    return true;
}

bool outputs_push_send(roam_outputs *o, uint32_t socket, const roam_addr *remote, roam_span bytes)
{
    output_head head = {.type = ROAM_OUTPUT_SEND, .socket = socket, .remote = *remote, .len = bytes.len};
    return push(o, &head, bytes.ptr);
}

bool outputs_poll(roam_outputs *o, roam_output *out)
{
    release(o, o->polled);
    o->polled = NULL;
    roam_list *first = list_pop(&o->queue);
    if (!first && o->nowed) {
        *out = (roam_output){.type = ROAM_OUTPUT_SOCKET_CLOSE, .socket = o->owed[--o->nowed]};
        return true;
    }
    if (!first)
        return false;
    o->count--;
    roam_output_node *n = o->polled = container_of(first, roam_output_node, node);
    out->type = n->head.type;
    out->socket = n->head.socket;
    out->link = n->head.link;
    out->query = n->head.query;
    out->purpose = n->head.purpose;
    out->local = n->head.local;
    out->remote = n->head.remote;
    out->bytes = span_make(n->bytes, n->head.len);
    if (n->head.type == ROAM_OUTPUT_EVENT) {
        memcpy(&out->event, n->bytes, sizeof out->event);
        const char *at = n->bytes + sizeof out->event;
        roam_span *parts[] = {&out->event.uri, &out->event.content_type, &out->event.body};
        for (size_t i = 0; i < 3; i++) {
            parts[i]->ptr = parts[i]->len ? at : NULL;
            at += parts[i]->len;
        }
        out->bytes = span_make(NULL, 0);
    }
    return true;
}
