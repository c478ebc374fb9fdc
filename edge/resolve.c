/* Names to addresses, on threads that nobody waits for. */
#include "edge/resolve.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/span.h"
#include "edge/address.h"

enum {
    NAME_MAX_LENGTH = 253, /* RFC 1035 2.3.4, in text */
    ADDRESSES_MAX = 16,
    THREADS_MAX = 16,   /* at work for the present networks; others wait in line */
    THREADS_LIMIT = 128 /* with those still asking on networks that are gone */
};

typedef enum lookup_state { LOOKUP_WAITING, LOOKUP_ASKING, LOOKUP_ANSWERED } lookup_state;

typedef struct roam_query {
    roam_list node; /* of its lookup */
    uint32_t id;
} roam_query;

/* One name being looked up; several queries may wait for it. */
typedef struct roam_lookup {
    roam_list node;    /* in the resolver's list, while there is a resolver */
    roam_list queries; /* the loop's thread only */
    struct roam_mailbox *mailbox;
    unsigned generation;
    lookup_state state; /* the loop's thread only */
    char name[NAME_MAX_LENGTH + 1];
    roam_ip ips[ADDRESSES_MAX]; /* the asking thread's until it is in `finished` */
    size_t nips;
    struct roam_lookup *finished_next;
} roam_lookup;

/* What the loop's thread and the asking ones share. It outlives the resolver while somebody asks. */
typedef struct roam_mailbox {
    pthread_mutex_t mutex;
    unsigned refs;
    uv_async_t *wake; /* NULL: the resolver is gone */
    roam_lookup *finished;
} roam_mailbox;

struct roam_resolver {
    uv_async_t wake;
    roam_resolver_fn *answer;
    void *user;
    roam_mailbox *mailbox;
    roam_list lookups;
    unsigned generation;
    unsigned asking; /* threads of this generation */
    unsigned asking_all;
};

static void start_waiting(roam_resolver *r);
static bool start(roam_resolver *r, roam_lookup *lookup);
static void *lookup_thread(void *arg);
static void look_up(roam_lookup *lookup);
static void on_wake(uv_async_t *wake);
static void deliver(roam_resolver *r, roam_lookup *lookup);
static void on_closed(uv_handle_t *handle);
static void mailbox_unref_unlock(roam_mailbox *mailbox);

roam_resolver *resolver_new(uv_loop_t *loop, roam_resolver_fn *answer, void *user)
{
    roam_resolver *r = calloc(1, sizeof *r);
    roam_mailbox *mailbox = calloc(1, sizeof *mailbox);
    if (!r || !mailbox || pthread_mutex_init(&mailbox->mutex, NULL) != 0) {
        free(r);
        free(mailbox);
        return NULL;
    }
    if (uv_async_init(loop, &r->wake, on_wake) != 0) {
        pthread_mutex_destroy(&mailbox->mutex);
        free(r);
        free(mailbox);
        return NULL;
    }
    mailbox->refs = 1;
    mailbox->wake = &r->wake;
    r->mailbox = mailbox;
    r->answer = answer;
    r->user = user;
    list_init(&r->lookups);
    return r;
}

void resolver_ask(roam_resolver *r, uint32_t id, roam_span name)
{
    roam_ip ip;
    if (roam_ip_parse(name, &ip) == 0) {
        r->answer(r->user, id, &ip, 1);
        return;
    }
    if (!name.len || name.len > NAME_MAX_LENGTH || memchr(name.ptr, '\0', name.len)) {
        r->answer(r->user, id, NULL, 0);
        return;
    }
    roam_query *query = calloc(1, sizeof *query);
    roam_lookup *lookup = NULL;
    list_each (l, &r->lookups, roam_lookup, node)
        if (l->generation == r->generation && l->state != LOOKUP_ANSWERED && span_ieq(span_of(l->name), name))
            lookup = l;
    if (query && !lookup) {
        lookup = calloc(1, sizeof *lookup);
        if (lookup) {
            list_init(&lookup->queries);
            lookup->mailbox = r->mailbox;
            lookup->generation = r->generation;
            memcpy(lookup->name, name.ptr, name.len);
            list_push(&r->lookups, &lookup->node);
        }
    }
    if (!query || !lookup) {
        free(query);
        r->answer(r->user, id, NULL, 0);
        return;
    }
    query->id = id;
    list_push(&lookup->queries, &query->node);
    start_waiting(r);
}

void resolver_network_changed(roam_resolver *r)
{
    r->generation++;
    r->asking = 0;
    list_each (lookup, &r->lookups, roam_lookup, node)
        if (lookup->state == LOOKUP_WAITING)
            lookup->generation = r->generation; /* not asked yet, so it will be asked on the new network */
    start_waiting(r);
}

void resolver_free(roam_resolver *r)
{
    if (!r)
        return;
    list_each (lookup, &r->lookups, roam_lookup, node) {
        list_remove(&lookup->node);
        for (roam_list *node; (node = list_pop(&lookup->queries));)
            free(container_of(node, roam_query, node));
        if (lookup->state == LOOKUP_WAITING)
            free(lookup); /* the others are their thread's */
    }
    pthread_mutex_lock(&r->mailbox->mutex);
    r->mailbox->wake = NULL;
    while (r->mailbox->finished) {
        roam_lookup *lookup = r->mailbox->finished;
        r->mailbox->finished = lookup->finished_next;
        free(lookup);
    }
    mailbox_unref_unlock(r->mailbox);
    uv_close((uv_handle_t *)&r->wake, on_closed);
}

/* ---- the loop's thread ---- */

static void start_waiting(roam_resolver *r)
{
    roam_lookup *refused = NULL;
    list_each (lookup, &r->lookups, roam_lookup, node) {
        if (lookup->state != LOOKUP_WAITING)
            continue;
        if (r->asking >= THREADS_MAX || r->asking_all >= THREADS_LIMIT)
            return;
        if (start(r, lookup))
            continue;
        if (r->asking_all) /* one that ends makes room */
            return;
        refused = lookup;
        break;
    }
    if (!refused)
        return;
    refused->state = LOOKUP_ANSWERED;
    deliver(r, refused); /* may ask again, and so change the list */
    free(refused);
    start_waiting(r);
}

static bool start(roam_resolver *r, roam_lookup *lookup)
{
    sigset_t all, before;
    pthread_t thread;
    pthread_mutex_lock(&r->mailbox->mutex);
    r->mailbox->refs++;
    pthread_mutex_unlock(&r->mailbox->mutex);
    /* The application's signals are for its own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    lookup->state = LOOKUP_ASKING;
    bool ok = pthread_create(&thread, NULL, lookup_thread, lookup) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!ok) {
        lookup->state = LOOKUP_WAITING;
        pthread_mutex_lock(&r->mailbox->mutex);
        mailbox_unref_unlock(r->mailbox);
        return false;
    }
    pthread_detach(thread);
    lookup->generation = r->generation;
    r->asking++;
    r->asking_all++;
    return true;
}

static void on_wake(uv_async_t *wake)
{
    roam_resolver *r = container_of(wake, roam_resolver, wake);
    pthread_mutex_lock(&r->mailbox->mutex);
    roam_lookup *finished = r->mailbox->finished;
    r->mailbox->finished = NULL;
    pthread_mutex_unlock(&r->mailbox->mutex);
    while (finished) {
        roam_lookup *lookup = finished;
        finished = lookup->finished_next;
        lookup->state = LOOKUP_ANSWERED;
        r->asking_all--;
        if (lookup->generation == r->generation)
            r->asking--;
        deliver(r, lookup);
        free(lookup);
    }
    start_waiting(r);
}

/* Tells all that wait for this name; takes the lookup out of the list. */
static void deliver(roam_resolver *r, roam_lookup *lookup)
{
    list_remove(&lookup->node);
    for (roam_list *node; (node = list_pop(&lookup->queries));) {
        roam_query *query = container_of(node, roam_query, node);
        const uint32_t id = query->id;
        free(query);
        r->answer(r->user, id, lookup->ips, lookup->nips);
    }
}

static void on_closed(uv_handle_t *handle)
{
    free(container_of((uv_async_t *)(void *)handle, roam_resolver, wake));
}

/* ---- the asking threads ---- */

static void *lookup_thread(void *arg)
{
    roam_lookup *lookup = arg;
    roam_mailbox *mailbox = lookup->mailbox;
    look_up(lookup);
    pthread_mutex_lock(&mailbox->mutex);
    if (mailbox->wake) {
        lookup->finished_next = mailbox->finished;
        mailbox->finished = lookup;
        uv_async_send(mailbox->wake);
    } else {
        free(lookup);
    }
    mailbox_unref_unlock(mailbox);
    return NULL;
}

static void look_up(roam_lookup *lookup)
{
    /* No AI_ADDRCONFIG: the families that the device has now are not those it will have when the answer is used. */
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(lookup->name, NULL, &hints, &found) != 0)
        return;
    for (const struct addrinfo *info = found; info && lookup->nips < ADDRESSES_MAX; info = info->ai_next) {
        roam_addr addr;
        if (!address_from_sockaddr(info->ai_addr, &addr))
            continue;
        bool known = false;
        for (size_t i = 0; i < lookup->nips; i++)
            known = known || roam_ip_equal(&lookup->ips[i], &addr.ip);
        if (!known)
            lookup->ips[lookup->nips++] = addr.ip;
    }
    freeaddrinfo(found);
}

static void mailbox_unref_unlock(roam_mailbox *mailbox)
{
    const bool last = --mailbox->refs == 0;
    pthread_mutex_unlock(&mailbox->mutex);
    if (last) {
        pthread_mutex_destroy(&mailbox->mutex);
        free(mailbox);
    }
}
