/* SDP from a hostile peer. Every span must point into the text; what is written must be read again as the same; memory
 * that is refused on the way must be survived. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/sdp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            abort();                                                                                                   \
    } while (0)

static roam_span text;

static void check_span(roam_span s)
{
    CHECK(s.len == 0 || (s.ptr >= text.ptr && s.len <= text.len && s.ptr + s.len <= text.ptr + text.len));
    CHECK(s.len == 0 || (!memchr(s.ptr, '\n', s.len) && !memchr(s.ptr, '\0', s.len)));
}

static void check_section(const roam_sdp_connection *c, const roam_sdp_line *lines, size_t nlines,
                          const roam_sdp_attribute *attributes, size_t nattributes)
{
    check_span(c->text);
    for (size_t i = 0; i < nlines; i++)
        check_span(lines[i].value);
    for (size_t i = 0; i < nattributes; i++) {
        check_span(attributes[i].name);
        check_span(attributes[i].value);
        CHECK(attributes[i].name.len);
    }
}

static void check_media(const roam_sdp *sdp, const roam_sdp_media *m)
{
    roam_span rest = m->formats;
    uint8_t type;
    uint16_t port;
    check_span(m->type);
    check_span(m->protocol);
    check_span(m->formats);
    check_section(&m->connection, m->lines, m->nlines, m->attributes, m->nattributes);
    while (sdp_next_format(&rest, &type)) {
        roam_rtpmap map;
        CHECK(type <= 127);
        check_span(sdp_fmtp(m, type));
        if (sdp_rtpmap(m, type, &map))
            CHECK(map.encoding.len && map.clock && map.channels);
    }
    if (sdp_rtcp_port(m, &port))
        CHECK(port);
    CHECK(sdp_direction(sdp, m) <= DIRECTION_SENDRECV);
    CHECK(sdp_media_connection(sdp, m));
}

/* Parses, and writes what was read into a new block; NULL when it was refused. */
static char *rewrite(roam_arena *arena, roam_sdp *sdp, size_t *len)
{
    roam_writer w;
    if (sdp_parse(sdp, arena, text))
        return NULL;
    size_t cap = 2 * text.len + 64; /* each LF may become CRLF */
    char *out = malloc(cap);
    CHECK(out);
    writer_init(&w, out, cap);
    write_sdp(&w, sdp);
    CHECK(!w.overflow);
    *len = w.len;
    return out;
}

typedef struct countdown {
    unsigned left;
} countdown;

static void *refusing_realloc(void *user, void *ptr, size_t size)
{
    countdown *c = user;
    if (!size) {
        free(ptr);
        return NULL;
    }
    if (!c->left)
        return NULL;
    c->left--;
    return realloc(ptr, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static roam_sdp sdp;
    roam_mem mem;
    roam_arena arena;
    size_t len = 0, again_len = 0;

    text = span_make((const char *)data, size);
    for (unsigned n = 0; n < 3; n++) {
        countdown c = {n};
        mem_init(&mem, &(roam_allocator){refusing_realloc, &c});
        arena_init(&arena, &mem);
        sdp_parse(&sdp, &arena, text);
        arena_free(&arena);
        CHECK(mem.live == 0);
    }

    mem_init(&mem, NULL);
    arena_init(&arena, &mem);
    char *first = rewrite(&arena, &sdp, &len);
    if (first) {
        check_span(sdp.origin.username);
        check_span(sdp.origin.session_id);
        check_span(sdp.origin.version);
        check_span(sdp.origin.address);
        check_span(sdp.name);
        check_section(&sdp.connection, sdp.lines, sdp.nlines, sdp.attributes, sdp.nattributes);
        for (size_t i = 0; i < sdp.nmedia; i++)
            check_media(&sdp, &sdp.media[i]);
        text = span_make(first, len);
        char *second = rewrite(&arena, &sdp, &again_len);
        CHECK(second && again_len == len && memcmp(first, second, len) == 0);
        free(second);
    }
    free(first);
    arena_free(&arena);
    CHECK(mem.live == 0);
    return 0;
}
