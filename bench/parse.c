/* What it costs to read a message, the same work for each stack that was measured: copy into a receive buffer, parse and
 * check, then ask for the start line, every Via, From, To, their tags, Call-ID, CSeq, every Contact with its expires, every
 * Route and Record-Route, the Content-Type, and the SDP with its media and attributes; release.
 *
 * message_check, which refuses what a server would answer with 400, is not part of that work; --check adds it.
 *
 *   parse [--check] [--rounds N] [DIRECTORY]   N rounds over the messages, and their number; without --rounds: ns per message
 *   parse --report X                 the table with X instructions per message (bench/instructions finds X) */
#include <dirent.h>

#include "bench/bench.h"
#include "wire/message.h"
#include "wire/sdp.h"

#define MAX_FILES 64

static const bench_peer peers[] = {
    {"PJSIP 2.17", 29380, 1674}, {"sofia 1.13.17", 40074, 2882}, {"osip2 5.3", 97756, 6596}, {"libre 4.10", 156938, 11638},
    {"floor", 1800, 76},
};

typedef struct corpus {
    char *bytes[MAX_FILES];
    size_t len[MAX_FILES];
    char *names[MAX_FILES];
    size_t count, total;
} corpus;

static void corpus_load(corpus *c, const char *directory);
static size_t read_message(roam_mem *mem, const char *bytes, size_t len, bool check);

int main(int argc, char **argv)
{
    const char *directory = NULL;
    long rounds = 0;
    bool check = false;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--rounds") && i + 1 < argc) {
            rounds = strtol(argv[++i], NULL, 10);
        } else if (!strcmp(argv[i], "--check")) {
            check = true;
        } else if (!strcmp(argv[i], "--report") && i + 1 < argc) {
            bench_print("parse a message", "instructions", strtod(argv[++i], NULL), peers, 5, 9000);
            return 0;
        } else {
            directory = argv[i];
        }
    }
    corpus c = {0};
    corpus_load(&c, directory ? directory : "../shared/bench/corpus"); /* the one the peers were measured with, where it is */
    if (!c.count && !directory) {
        directory = ROAM_BENCH_CORPUS;
        corpus_load(&c, directory);
    }
    if (!c.count) {
        fprintf(stderr, "parse: no *.sip in %s\n", directory);
        return 1;
    }
    roam_mem mem;
    mem_init(&mem, NULL);
    bool timed = rounds == 0;
    double best = 0;
    size_t seen = 0;
    for (int repeat = 0; repeat < (timed ? 9 : 1); repeat++) {
        long n = timed ? 4000 : rounds;
        double start = bench_now_ns();
        for (long r = 0; r < n; r++)
            for (size_t i = 0; i < c.count; i++)
                seen += read_message(&mem, c.bytes[i], c.len[i], check);
        double ns = (bench_now_ns() - start) / ((double)n * (double)c.count);
        if (best <= 0 || ns < best)
            best = ns;
    }
    if (!seen || mem.live) {
        fprintf(stderr, "parse: nothing was read, or something leaked\n");
        return 1;
    }
    if (timed) {
        printf("%zu messages, %zu bytes on average, from %s\n", c.count, c.total / c.count, directory ? directory : "../shared/bench/corpus");
        bench_print("parse a message", "ns", best, peers, 5, 500);
    } else {
        printf("operations %ld\n", rounds * (long)c.count);
    }
    for (size_t i = 0; i < c.count; i++) {
        free(c.bytes[i]);
        free(c.names[i]);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void corpus_load(corpus *c, const char *directory)
{
    DIR *d = opendir(directory);
    struct dirent *entry;
    while (d && (entry = readdir(d)) && c->count < MAX_FILES) {
        size_t len = strlen(entry->d_name), size = strlen(directory) + len + 2;
        if (len < 5 || strcmp(entry->d_name + len - 4, ".sip") != 0)
            continue;
        char *path = malloc(size);
        if (!path)
            exit(1);
        snprintf(path, size, "%s/%s", directory, entry->d_name);
        c->names[c->count++] = path;
    }
    if (d)
        closedir(d);
    qsort(c->names, c->count, sizeof c->names[0], by_name);
    for (size_t i = 0; i < c->count; i++) {
        FILE *f = fopen(c->names[i], "rb");
        c->bytes[i] = malloc(ROAM_MAX_MESSAGE);
        if (!f || !c->bytes[i])
            exit(1);
        c->len[i] = fread(c->bytes[i], 1, ROAM_MAX_MESSAGE, f);
        c->total += c->len[i];
        fclose(f);
    }
}

/* Returns a sum over what was found, so that no part can be optimised away. */
static size_t read_addresses(const roam_message *m, roam_header_id id)
{
    roam_value_cursor cursor = {0};
    roam_span value, parameter;
    roam_name_addr address;
    size_t sum = 0;
    while (message_values(m, id, &cursor, &value)) {
        if (name_addr_parse(value, &address) != ROAM_OK)
            exit(1);
        sum += address.uri.host.len + address.uri.port + address.uri.user.len;
        if (id == HEADER_CONTACT && param_find(address.params, SPAN("expires"), &parameter))
            sum += parameter.len;
    }
    return sum;
}

static size_t read_party(const roam_message *m, roam_header_id id)
{
    roam_name_addr address;
    if (name_addr_parse(message_value(m, id), &address) != ROAM_OK)
        exit(1);
    return address.uri.host.len + address.uri.port + address.uri.user.len + name_addr_tag(&address).len;
}

static size_t read_message(roam_mem *mem, const char *bytes, size_t len, bool check)
{
    static char buffer[ROAM_MAX_MESSAGE];
    static roam_header_space space;
    roam_message m;
    roam_uri uri;
    roam_cseq cseq;
    roam_via via;
    roam_value_cursor cursor = {0};
    roam_span value;
    size_t sum = 0;
    memcpy(buffer, bytes, len);
    if (message_parse(&m, &space, span_make(buffer, len)) != ROAM_OK || (check && message_check(&m) != 0)) {
        fprintf(stderr, "parse: refused: %s\n%.*s\n", m.fault, (int)len, bytes);
        exit(1);
    }
    if (m.is_request && uri_parse(m.request_uri, &uri) == ROAM_OK)
        sum += uri.host.len + uri.port;
    sum += m.status + m.reason.len;
    while (message_values(&m, HEADER_VIA, &cursor, &value))
        if (via_parse(value, &via) == ROAM_OK)
            sum += via.host.len + via.branch.len + via.rport + via.received.family;
    sum += read_party(&m, HEADER_FROM) + read_party(&m, HEADER_TO) + read_addresses(&m, HEADER_CONTACT) +
           read_addresses(&m, HEADER_ROUTE) + read_addresses(&m, HEADER_RECORD_ROUTE);
    sum += message_value(&m, HEADER_CALL_ID).len;
    if (cseq_parse(message_value(&m, HEADER_CSEQ), &cseq) == ROAM_OK)
        sum += cseq.number;
    if (message_has_body_type(&m, SPAN("application/sdp"))) {
        roam_arena arena;
        roam_sdp sdp;
        arena_init(&arena, mem);
        if (sdp_parse(&sdp, &arena, m.body) != ROAM_OK)
            exit(1);
        for (size_t i = 0; i < sdp.nmedia; i++) {
            sum += sdp.media[i].port;
            for (size_t j = 0; j < sdp.media[i].nattributes; j++)
                sum += sdp.media[i].attributes[j].name.len + sdp.media[i].attributes[j].value.len;
        }
        arena_free(&arena);
    }
    return sum;
}
