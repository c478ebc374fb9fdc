/* What a packet costs: two streams in one process send to each other, G.711 and 20 ms, tone in, jitter buffer, frame out. A packet pair is one packet sent by
 * one stream (source read, encoded, header, host called) and the same packet received by the other (checked, counted, buffered, decoded, played).
 *
 *   rtp [--rounds N]     in virtual time, without sockets: N seconds of both directions, 100 pairs each, and their number; without --rounds: CPU ms per 1,000 pairs
 *   rtp --sockets        the same over UDP on the loopback interface, and bare sendto and recvfrom of the same bytes beside it
 *   rtp --report X       the line with X instructions a pair (bench/instructions finds X) */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/bench.h"
#include "media/stream.h"

enum { PAIRS_A_ROUND = 100, QUEUE = 64, REPEATS = 9 };

/* CPU ms for 1,000 packets sent and received over loopback sockets, measured on the machine of docs and design figures. */
static const double pjsip_ms = 8.0, bare_ms = 3.6, goal_ms = 4.5;

typedef struct bench_end {
    roam_stream *stream;
    struct bench_end *peer;
    roam_addr addr;
    int fd; /* -1: no sockets */
    struct sockaddr_in to;
    roam_audio_source *tone;
    roam_audio_sink sink;
    long played;
    size_t queued;
    struct {
        size_t len;
        char bytes[256];
    } queue[QUEUE];
} bench_end;

typedef struct bench_world {
    roam_env env;
    bench_end ends[2];
    roam_time start;
    uint64_t ticks;
} bench_world;

static void world_open(bench_world *w, bool sockets);
static void world_close(bench_world *w);
static void world_run(bench_world *w, long rounds);
static void end_deliver(bench_end *e);
static void bare_run(bench_world *w, long pairs);
static double cpu_ms(void);

int main(int argc, char **argv)
{
    long rounds = 0;
    bool sockets = false;
    for (int i = 1; i < argc; i++) {
        if ((!strcmp(argv[i], "--rounds") || !strcmp(argv[i], "--loops")) && i + 1 < argc) {
            rounds = strtol(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--sockets")) {
            sockets = true;
        } else if (!strcmp(argv[i], "--report") && i + 1 < argc) {
            printf("RTP packet pair (sent, received, played), G.711, instructions\n  %-16s %10.0f\n", "roam", strtod(argv[++i], NULL));
            return 0;
        } else {
            fprintf(stderr, "usage: rtp [--rounds N] [--sockets] [--report X]\n");
            return 2;
        }
    }
    bench_world *w = calloc(1, sizeof *w);
    if (!w)
        return 1;
    world_open(w, sockets);
    if (rounds) {
        world_run(w, rounds);
        printf("operations %ld\n", rounds * PAIRS_A_ROUND);
    } else {
        double best = 0, bare = 0;
        for (int i = 0; i < REPEATS; i++) {
            double from = cpu_ms();
            world_run(w, 100);
            double ms = (cpu_ms() - from) / (100 * PAIRS_A_ROUND / 1000);
            best = i == 0 || ms < best ? ms : best;
            if (sockets) {
                from = cpu_ms();
                bare_run(w, 10000);
                ms = (cpu_ms() - from) / 10;
                bare = i == 0 || ms < bare ? ms : bare;
            }
        }
        printf("G.711 stream, 1,000 packets sent and received, CPU ms%s\n", sockets ? " (loopback sockets)" : " (virtual time, no sockets)");
        printf("  %-16s %10.2f   (goal: below %.1f over sockets)\n", "roam", best, goal_ms);
        if (sockets) {
            printf("  %-16s %10.2f   %5.1f times ours, on the machine of the table\n", "PJSIP 2.17", pjsip_ms, pjsip_ms / best);
            printf("  %-16s %10.2f   here; %.1f on the machine of the table\n", "bare sockets", bare, bare_ms);
        }
    }
    if (w->ends[0].played < 1 || w->ends[1].played < 1) {
        fprintf(stderr, "rtp: nothing was played\n");
        return 1;
    }
    world_close(w);
    free(w);
    return 0;
}

static double cpu_ms(void)
{
    return (double)clock() * 1000 / CLOCKS_PER_SEC; /* user and system */
}

static void bench_send(void *user, uint32_t socket, const roam_addr *to, roam_span bytes)
{
    bench_end *e = user;
    (void)to;
    if (socket != 2) /* RTCP has no socket here */
        return;
    if (e->fd >= 0) {
        if (sendto(e->fd, bytes.ptr, bytes.len, 0, (struct sockaddr *)&e->to, sizeof e->to) < 0)
            perror("sendto");
        return;
    }
    bench_end *peer = e->peer;
    if (peer->queued < QUEUE && bytes.len <= sizeof peer->queue[0].bytes) {
        memcpy(peer->queue[peer->queued].bytes, bytes.ptr, bytes.len);
        peer->queue[peer->queued++].len = bytes.len;
    }
}

static void bench_write(roam_audio_sink *sink, const int16_t *samples, size_t n, unsigned rate, bool concealed)
{
    bench_end *e = container_of(sink, bench_end, sink);
    (void)rate;
    e->played += !concealed && n && samples[n / 3] != 0;
}

static void world_open(bench_world *w, bool sockets)
{
    const uint8_t seed[32] = {1};
    env_init(&w->env, NULL, seed, NULL, NULL);
    w->env.now = w->start = ROAM_SECONDS(1);
    for (uint8_t i = 0; i < 2; i++) {
        bench_end *e = &w->ends[i];
        e->peer = &w->ends[1 - i];
        e->fd = -1;
        e->addr = (roam_addr){.ip = {.family = 4, .bytes = {127, 0, 0, 1}}, .port = (uint16_t)(4000 + 2 * i)};
        if (sockets) {
            struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
            socklen_t len = sizeof local;
            e->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
            if (e->fd < 0 || bind(e->fd, (struct sockaddr *)&local, len) || getsockname(e->fd, (struct sockaddr *)&local, &len)) {
                perror("socket");
                exit(1);
            }
            e->addr.port = ntohs(local.sin_port);
            e->peer->to = local;
        }
    }
    for (int i = 0; i < 2; i++) {
        bench_end *e = &w->ends[i];
        const roam_stream_host host = {bench_send, NULL, e};
        const roam_stream_format format = {.codec = &roam_codec_pcmu, .has_dtmf = true, .send_dtmf_type = 101, .receive_dtmf_type = 101};
        e->stream = stream_new(&w->env, &host, &(roam_stream_config){.cname = "bench", .ptime_ms = 20});
        e->tone = roam_tone_source(440);
        e->sink.write = bench_write;
        if (!e->stream || !e->tone || stream_add_leg(e->stream, &(roam_leg){2, 3, true}) || stream_set_format(e->stream, &format))
            abort();
        stream_set_remote(e->stream, &e->peer->addr, NULL);
        stream_set_source(e->stream, e->tone);
        stream_set_sink(e->stream, &e->sink);
        if (stream_start(e->stream))
            abort();
    }
}

static void world_run(bench_world *w, long rounds)
{
    for (long i = 0; i < rounds * PAIRS_A_ROUND / 2; i++) {
        env_advance(&w->env, w->start + ROAM_MS(20) * w->ticks++);
        for (int k = 0; k < 2; k++)
            end_deliver(&w->ends[k]);
    }
}

static void end_deliver(bench_end *e)
{
    if (e->fd >= 0) {
        char bytes[2048];
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(e->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len);
        if (n < 0)
            return;
        roam_addr addr = {.ip = {.family = 4}, .port = ntohs(from.sin_port)};
        memcpy(addr.ip.bytes, &from.sin_addr, 4);
        stream_receive(e->stream, 2, &addr, span_make(bytes, (size_t)n));
        return;
    }
    for (size_t i = 0; i < e->queued; i++)
        stream_receive(e->stream, 2, &e->peer->addr, span_make(e->queue[i].bytes, e->queue[i].len));
    e->queued = 0;
}

/* The floor: the same system calls with the same bytes. */
static void bare_run(bench_world *w, long pairs)
{
    char bytes[2048] = {0};
    for (long i = 0; i < pairs; i++) {
        bench_end *e = &w->ends[i & 1];
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        if (sendto(e->fd, bytes, 172, 0, (struct sockaddr *)&e->to, sizeof e->to) != 172)
            perror("sendto");
        if (recvfrom(e->peer->fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &len) != 172)
            perror("recvfrom");
    }
}

static void world_close(bench_world *w)
{
    for (int i = 0; i < 2; i++) {
        stream_free(w->ends[i].stream, true);
        w->ends[i].tone->close(w->ends[i].tone);
        if (w->ends[i].fd >= 0)
            close(w->ends[i].fd);
    }
    env_free(&w->env);
}
