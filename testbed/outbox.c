#include "testbed/outbox.h"

typedef struct letter {
    roam_list node;
    roam_timer timer;
    roam_outbox *outbox;
    roam_addr remote;
    uint32_t socket;
    bool again; /* this is the second time */
    size_t len;
    char bytes[];
} letter;

static bool keep(roam_outbox *outbox, uint32_t socket, const roam_addr *remote, roam_span bytes, roam_time delay,
                 bool again);
static void letter_due(roam_timer *timer);
static void letter_free(letter *l);

void outbox_init(roam_outbox *outbox, roam_env *env, roam_time delay, roam_time repeat_after,
                 roam_outbox_send_fn *send, void *user)
{
    *outbox = (roam_outbox){.env = env, .delay = delay, .repeat_after = repeat_after, .send = send, .user = user};
    list_init(&outbox->kept);
}

void outbox_free(roam_outbox *outbox)
{
    if (!outbox->env)
        return;
    list_each (l, &outbox->kept, letter, node)
        letter_free(l);
}

void outbox_send(roam_outbox *outbox, uint32_t socket, const roam_addr *remote, roam_span bytes)
{
    if (outbox->delay && keep(outbox, socket, remote, bytes, outbox->delay, false))
        return;
    outbox->send(outbox->user, socket, remote, bytes);
    if (outbox->repeat_after)
        (void)keep(outbox, socket, remote, bytes, outbox->repeat_after, true);
}

static bool keep(roam_outbox *outbox, uint32_t socket, const roam_addr *remote, roam_span bytes, roam_time delay,
                 bool again)
{
    roam_mem *mem = &outbox->env->mem;
    letter *l = outbox->nkept < OUTBOX_MAX ? mem_alloc(mem, sizeof *l + bytes.len) : NULL;
    if (l) {
        timer_init(&l->timer, letter_due, "a datagram leaves late");
        if (env_arm(outbox->env, &l->timer, delay) != ROAM_OK) {
            mem_free(mem, l);
            l = NULL;
        }
    }
    if (!l) {
        outbox->hurried++;
        return false;
    }
    l->outbox = outbox;
    l->remote = *remote;
    l->socket = socket;
    l->again = again;
    l->len = bytes.len;
    if (bytes.len)
        memcpy(l->bytes, bytes.ptr, bytes.len);
    list_push(&outbox->kept, &l->node);
    outbox->nkept++;
    return true;
}

static void letter_due(roam_timer *timer)
{
    letter *l = container_of(timer, letter, timer);
    roam_outbox *outbox = l->outbox;
    roam_span bytes = span_make(l->bytes, l->len);
    outbox->send(outbox->user, l->socket, &l->remote, bytes);
    if (outbox->repeat_after && !l->again)
        (void)keep(outbox, l->socket, &l->remote, bytes, outbox->repeat_after, true);
    letter_free(l);
}

static void letter_free(letter *l)
{
    env_cancel(l->outbox->env, &l->timer);
    list_remove(&l->node);
    l->outbox->nkept--;
    mem_free(&l->outbox->env->mem, l);
}
