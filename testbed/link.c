#include "testbed/link.h"

#include <assert.h>

struct roam_link_packet {
    roam_list node;
    roam_time due;
    size_t len;
    char bytes[];
};

static int config_check(const roam_link_config *config);
static bool chance(roam_link *link, uint32_t ppm);
static bool packet_lost(roam_link *link);
static bool bandwidth_take(roam_link *link, roam_time now, size_t bytes, roam_time *departure);
static int packet_insert(roam_link *link, roam_time due, roam_span bytes);
static void packets_drop(roam_link *link);

int link_init(roam_link *link, roam_mem *mem, const uint8_t seed[32], const roam_link_config *config)
{
    *link = (roam_link){.mem = mem, .up = true};
    list_init(&link->packets);
    random_init(&link->random, seed);
    return link_configure(link, config);
}

void link_free(roam_link *link)
{
    packets_drop(link);
    mem_free(link->mem, link->popped);
    link->popped = NULL;
}

int link_configure(roam_link *link, const roam_link_config *config)
{
    int err = config_check(config);
    if (err)
        return err;
    link->config = *config;
    if (!link->config.queue_bytes)
        link->config.queue_bytes = 65536;
    if (!config->burst_ppm)
        link->burst = false;
    return ROAM_OK;
}

void link_set_up(roam_link *link, bool up, bool drop_under_way)
{
    link->up = up;
    if (!up && drop_under_way) {
        link->counters.down += link->count;
        packets_drop(link);
        link->busy_until = 0;
        link->busy_rest = 0;
    }
}

int link_push(roam_link *link, roam_time now, roam_span bytes)
{
    const roam_link_config *config = &link->config;
    link->counters.pushed++;
    bool lost = packet_lost(link);
    roam_time jitter = (roam_time)(((uint64_t)(uint32_t)random_u64(&link->random) * (config->jitter + 1)) >> 32);
    bool reorder = chance(link, config->reorder_ppm);
    bool duplicate = chance(link, config->duplicate_ppm);
    if (!link->up) {
        link->counters.down++;
        return ROAM_OK;
    }
    if (lost)
        return ROAM_OK;
    roam_time due;
    if (!bandwidth_take(link, now, bytes.len + config->overhead, &due)) {
        link->counters.overflowed++;
        return ROAM_OK;
    }
    due += config->delay + jitter;
    if (due < link->last_due)
        due = link->last_due;
    if (reorder) {
        link->counters.reordered++;
        due += config->reorder_delay;
    } else {
        link->last_due = due;
    }
    int err = packet_insert(link, due, bytes);
    if (!err && duplicate && (err = packet_insert(link, due, bytes)) == ROAM_OK)
        link->counters.duplicated++;
    return err;
}

bool link_pop(roam_link *link, roam_time now, roam_span *bytes, roam_time *due)
{
    mem_free(link->mem, link->popped);
    link->popped = NULL;
    if (list_empty(&link->packets))
        return false;
    roam_link_packet *packet = container_of(link->packets.next, roam_link_packet, node);
    if (packet->due > now)
        return false;
    list_remove(&packet->node);
    link->count--;
    link->popped = packet;
    link->counters.delivered++;
    link->counters.bytes += packet->len;
    *bytes = span_make(packet->bytes, packet->len);
    if (due)
        *due = packet->due;
    return true;
}

roam_time link_deadline(const roam_link *link)
{
    return list_empty(&link->packets) ? ROAM_NEVER : container_of(link->packets.next, roam_link_packet, node)->due;
}

static int config_check(const roam_link_config *config)
{
    const uint32_t ppm[] = {config->loss_ppm,       config->burst_ppm,   config->burst_end_ppm,
                            config->burst_loss_ppm, config->reorder_ppm, config->duplicate_ppm};
    for (size_t i = 0; i < sizeof ppm / sizeof *ppm; i++)
        if (ppm[i] > LINK_PPM)
            return ROAM_EINVAL;
    if (config->burst_ppm && !config->burst_end_ppm)
        return ROAM_EINVAL;
    const roam_time longest = ROAM_SECONDS(3600);
    if (config->delay > longest || config->jitter > longest || config->reorder_delay > longest)
        return ROAM_EINVAL;
    return ROAM_OK;
}

static bool chance(roam_link *link, uint32_t ppm)
{
    return (uint32_t)(((uint64_t)(uint32_t)random_u64(&link->random) * LINK_PPM) >> 32) < ppm;
}

/* Gilbert-Elliott: a good and a bad state, each with a loss rate of its own. */
static bool packet_lost(roam_link *link)
{
    bool begins = chance(link, link->config.burst_ppm);
    bool ends = chance(link, link->config.burst_end_ppm);
    bool lost_bad = chance(link, link->config.burst_loss_ppm);
    bool lost_good = chance(link, link->config.loss_ppm);
    if (!link->up)
        return true;
    if (!link->burst && begins)
        link->burst = true;
    bool in_burst = link->burst;
    if (link->burst && ends)
        link->burst = false; /* from the next packet on */
    if (in_burst ? lost_bad : lost_good) {
        if (in_burst)
            link->counters.lost_in_burst++;
        link->counters.lost++;
        return true;
    }
    return false;
}

/* When the last bit has left. False: the queue is full. */
static bool bandwidth_take(roam_link *link, roam_time now, size_t bytes, roam_time *departure)
{
    uint64_t bandwidth = link->config.bandwidth;
    *departure = now;
    if (!bandwidth)
        return true;
    if (link->busy_until < now) {
        link->busy_until = now;
        link->busy_rest = 0;
    }
    /* Bits not yet sent; double has room for any bandwidth and queue, and only bounds the queue. */
    double waiting = (double)(link->busy_until - now) * (double)bandwidth / 8e6;
    if (waiting + (double)bytes > (double)link->config.queue_bytes)
        return false;
    uint64_t work = (uint64_t)bytes * 8u * 1000000u + link->busy_rest;
    link->busy_until += work / bandwidth;
    link->busy_rest = work % bandwidth;
    *departure = link->busy_until;
    return true;
}

static int packet_insert(roam_link *link, roam_time due, roam_span bytes)
{
    if (link->count >= LINK_MAX_PACKETS) {
        link->counters.refused++;
        return ROAM_ELIMIT;
    }
    roam_link_packet *packet = mem_alloc(link->mem, sizeof *packet + bytes.len);
    if (!packet) {
        link->counters.refused++;
        return ROAM_ENOMEM;
    }
    packet->due = due;
    packet->len = bytes.len;
    if (bytes.len)
        memcpy(packet->bytes, bytes.ptr, bytes.len);
    /* From the end: only what was held back has to be passed. */
    roam_list *after = link->packets.prev;
    while (after != &link->packets && container_of(after, roam_link_packet, node)->due > due)
        after = after->prev;
    list_push(after->next, &packet->node);
    link->count++;
    return ROAM_OK;
}

static void packets_drop(roam_link *link)
{
    roam_list *node;
    while ((node = list_pop(&link->packets)) != NULL)
        mem_free(link->mem, container_of(node, roam_link_packet, node));
    link->count = 0;
}
