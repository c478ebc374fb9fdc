/* SDP: what is read, what is written again byte for byte, and what a hostile peer may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "wire/sdp.h"

#define assert_span(span, text)                                                                                        \
    do {                                                                                                               \
        roam_span span_ = (span);                                                                                      \
        assert_int_equal(span_.len, strlen(text));                                                                     \
        if (span_.len)                                                                                                 \
            assert_memory_equal(span_.ptr, text, span_.len);                                                           \
    } while (0)

#define HEAD "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
#define HEAD_C HEAD "c=IN IP4 192.0.2.1\r\nt=0 0\r\n"

typedef struct fixture {
    roam_mem mem;
    roam_arena arena;
    roam_sdp sdp;
} fixture;

static int setup(void **state)
{
    fixture *f = malloc(sizeof *f);
    if (!f)
        return -1;
    memset(f, 0xa5, sizeof *f); /* nothing may rely on zeroes */
    mem_init(&f->mem, NULL);
    arena_init(&f->arena, &f->mem);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    arena_free(&f->arena);
    size_t live = f->mem.live;
    free(f);
    return live == 0 ? 0 : -1;
}

static int parse(fixture *f, roam_span text)
{
    arena_free(&f->arena);
    return sdp_parse(&f->sdp, &f->arena, text);
}

#define parse_lit(f, text) parse((f), SPAN(text))

static void assert_round_trip(fixture *f, roam_span text)
{
    char *out = malloc(text.len + 1);
    assert_non_null(out);
    roam_writer w;
    assert_int_equal(parse(f, text), ROAM_OK);
    writer_init(&w, out, text.len); /* not a byte more is needed */
    write_sdp(&w, &f->sdp);
    assert_false(w.overflow);
    assert_int_equal(w.len, text.len);
    assert_memory_equal(out, text.ptr, text.len);
    free(out);
}

/* SDP as it is met, lines in the order of RFC 8866. */
static const char *const SAMPLES[] = {
    /* a desk phone */
    "v=0\r\no=root 1821 1821 IN IP4 198.51.100.7\r\ns=call\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n"
    "m=audio 11782 RTP/AVP 9 0 8 3 18 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 "
    "PCMA/8000\r\na=rtpmap:3 GSM/8000\r\n"
    "a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 "
    "0-16\r\na=ptime:20\r\na=sendrecv\r\n",
    /* a conference with everything that the grammar has */
    "v=0\r\no=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=Call to John Smith\r\ni=SDP Offer #1\r\n"
    "u=http://www.example.com/info/jdoe.html\r\ne=Jane Doe <jane@jdoe.example.com>\r\np=+1 617 555-6011\r\nc=IN IP4 "
    "233.252.0.17/127/3\r\n"
    "b=CT:128\r\nb=X-YZ:4\r\nt=3724394400 3724398000\r\nr=7d 1h 0 25h\r\nr=604800 3600 0 90000\r\nt=3724484400 "
    "3724488000\r\n"
    "z=3730928400 -1h 3749680800 0\r\nk=prompt\r\na=recvonly\r\na=tool:a b:c:d\r\na=type:H332\r\n"
    "m=audio 49170 RTP/AVP 0\r\ni=audio\r\nc=IN IP4 233.252.0.1/127\r\nc=IN IP4 "
    "233.252.0.2/127\r\nb=AS:64\r\nk=clear:xyz\r\n"
    "m=video 49172/2 RTP/AVP 31 32\r\nc=IN IP6 ff15::101/3\r\na=orient:portrait\r\n"
    "m=application 32416/1 udp wb\r\na=orient:portrait\r\n",
    /* browser-like: bundles, candidates, unknown attributes, IPv6 */
    "v=0\r\no=- 4611731400430051336 2 IN IP6 2001:db8::5\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\na=msid-semantic: "
    "WMS\r\na=ice-options:trickle\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111 110\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    "a=candidate:1467250027 1 udp 2122260223 192.0.2.196 46243 typ host generation 0\r\na=ice-ufrag:8hhY\r\n"
    "a=fingerprint:sha-256 "
    "19:E2:1C:3B:4B:9F:81:E6\r\na=setup:actpass\r\na=mid:0\r\na=rtcp-mux\r\na=x-nobody-knows\r\na=x-empty:\r\n"
    "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:110 telephone-event/48000\r\n"
    "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=inactive\r\na=mid:1\r\n",
    /* fax after a refused voice stream; a network type that is not ours */
    ("v=0\r\no=gw 0 0 TN RFC2543 +1-201-406-4090\r\ns=x\r\nc=ATM NSAP 47.0091.8100.0000\r\nt=0 0\r\nm=audio 0 RTP/AVP "
     "0\r\n"
     "m=image 53800 udptl t38\r\nc=IN IP4 gateway.example.com\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n"),
    /* the least, without t= */
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns= \r\n",
};

/* Shows that each sample is written again exactly as it was read. */
static void samples_are_written_as_read(void **state)
{
    for (size_t i = 0; i < sizeof SAMPLES / sizeof SAMPLES[0]; i++)
        assert_round_trip(*state, span_of(SAMPLES[i]));
}

/* Shows that the parts of a session are found, with the lines of each section kept apart and in order. */
static void sections_are_kept_apart(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse(f, span_of(SAMPLES[1])), ROAM_OK);
    const roam_sdp *s = &f->sdp;
    assert_span(s->origin.username, "jdoe");
    assert_span(s->origin.session_id, "3724394400");
    assert_span(s->origin.version, "3724394405");
    assert_span(s->origin.address, "198.51.100.1");
    assert_int_equal(s->origin.family, 4);
    assert_span(s->name, "Call to John Smith");
    assert_span(s->connection.text, "233.252.0.17/127/3");
    assert_int_equal(s->connection.family, 4);
    assert_int_equal(s->connection.ip.family, 4);
    assert_int_equal(s->connection.ip.bytes[3], 17);
    static const char types[] = "iuepbbtrrtzk";
    assert_int_equal(s->nlines, sizeof types - 1);
    for (size_t i = 0; i < s->nlines; i++)
        assert_int_equal(s->lines[i].type, types[i]);
    assert_span(s->lines[7].value, "7d 1h 0 25h");
    assert_int_equal(s->nattributes, 3);
    assert_span(s->attributes[0].name, "recvonly");
    assert_false(s->attributes[0].has_value);
    assert_span(s->attributes[1].value, "a b:c:d");
    assert_int_equal(s->nmedia, 3);

    const roam_sdp_media *m = s->media;
    assert_span(m[0].type, "audio");
    assert_int_equal(m[0].port, 49170);
    assert_int_equal(m[0].nports, 1);
    assert_span(m[0].protocol, "RTP/AVP");
    assert_span(m[0].connection.text, "233.252.0.1/127");
    assert_int_equal(m[0].nlines, 4);
    assert_int_equal(m[0].lines[1].type, 'c');
    assert_span(m[0].lines[1].value, "IN IP4 233.252.0.2/127");
    assert_int_equal(m[0].nattributes, 0);
    assert_int_equal(m[1].nports, 2);
    assert_span(m[1].formats, "31 32");
    assert_int_equal(m[1].connection.ip.family, 6);
    assert_int_equal(m[1].nlines, 0);
    assert_int_equal(m[1].nattributes, 1);
    assert_int_equal(m[2].nports, 1);
    assert_span(m[2].protocol, "udp");
    assert_span(m[2].formats, "wb");
    assert_ptr_equal(sdp_media_connection(s, &m[2]), &s->connection);
    assert_ptr_equal(sdp_media_connection(s, &m[0]), &m[0].connection);
    assert_int_equal(sdp_direction(s, &m[0]), DIRECTION_RECVONLY); /* inherited */
}

/* Shows what a connection line gives for names, zones, unknown types, trailing blanks and a family that lies. */
static void connections_are_read(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *line, *text;
        int family, ip_family;
    } cases[] = {
        {"IN IP4 192.0.2.9", "192.0.2.9", 4, 4},
        {"IN IP6 2001:db8::9", "2001:db8::9", 6, 6},
        {"IN IP6 ff02::1/3", "ff02::1/3", 6, 6},
        {"IN IP4 phone.example.com", "phone.example.com", 4, 0},
        {"IN IP6 fe80::1%3", "fe80::1%3", 6, 0}, /* the peer does not choose our link */
        {"IN IP4 192.0.2.9 ", "192.0.2.9 ", 4, 4},
        {"IN IP4 2001:db8::9", "2001:db8::9", 4, 6},
        {"IN IP4 300.1.1.1", "300.1.1.1", 4, 0},
        {"IN IP4 /127", "/127", 4, 0},
        {"IN IP5 x", "IN IP5 x", 0, 0},
        {"in ip4 192.0.2.9", "in ip4 192.0.2.9", 0, 0},
        {"x", "x", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        int len = snprintf(text, sizeof text, HEAD "c=%s\r\n", cases[i].line);
        assert_round_trip(f, span_make(text, (size_t)len));
        assert_span(f->sdp.connection.text, cases[i].text);
        assert_int_equal(f->sdp.connection.family, cases[i].family);
        assert_int_equal(f->sdp.connection.ip.family, cases[i].ip_family);
    }
    assert_int_equal(parse_lit(f, HEAD), ROAM_OK);
    assert_int_equal(f->sdp.connection.text.len, 0);
}

/* Shows that LF alone, a last line without an end, and empty lines behind the last are read like the tidy text. */
static void loose_line_ends_are_read(void **state)
{
    fixture *f = *state;
    static const char *const texts[] = {
        "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 0\na=ptime:20\n",
        "v=0\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\r",
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\r\n\r\n\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char out[256];
        roam_writer w;
        assert_int_equal(parse(f, span_of(texts[i])), ROAM_OK);
        assert_int_equal(f->sdp.nmedia, 1);
        assert_span(f->sdp.media[0].formats, "0");
        assert_span(f->sdp.media[0].attributes[0].value, "20");
        writer_init(&w, out, sizeof out);
        write_sdp(&w, &f->sdp);
        assert_span(writer_span(&w),
                    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:20\r\n");
    }
}

/* Shows that lines out of order are still understood: peers put c= behind a=, and t= wherever they like. */
static void lines_out_of_order_are_understood(void **state)
{
    fixture *f = *state;
    assert_int_equal(parse_lit(f,
                               "v=0\r\ns=-\r\na=sendonly\r\nt=0 0\r\no=- 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.3\r\n"
                               "m=audio 4000 RTP/AVP 0\r\na=ptime:20\r\nc=IN IP4 192.0.2.4\r\nb=AS:64\r\n"),
                     ROAM_OK);
    assert_int_equal(f->sdp.connection.ip.bytes[3], 3);
    assert_int_equal(f->sdp.media[0].connection.ip.bytes[3], 4);
    assert_int_equal(sdp_direction(&f->sdp, &f->sdp.media[0]), DIRECTION_SENDONLY);
}

/* Shows that text which is not SDP is refused with ESYNTAX. */
static void bad_text_is_refused(void **state)
{
    fixture *f = *state;
    static const char *const bad[] = {
        "",
        "\r\n",
        "v",
        "v=",
        "v=0",
        "garbage",
        "v=1\r\no=- 1 1 IN IP4 h\r\ns=-\r\n",
        "v=00\r\no=- 1 1 IN IP4 h\r\ns=-\r\n",
        "o=- 1 1 IN IP4 h\r\ns=-\r\n",
        "s=-\r\nv=0\r\no=- 1 1 IN IP4 h\r\n",
        "\r\n" HEAD,
        "v=0\r\ns=-\r\n",
        "v=0\r\no=- 1 1 IN IP4 h\r\n",
        /* o= */
        "v=0\r\no=\r\ns=-\r\n",
        "v=0\r\no=- 1 1\r\ns=-\r\n",
        "v=0\r\no=- 1 1 IN IP4 \r\ns=-\r\n",
        "v=0\r\no=-  1 1 IN IP4 h\r\ns=-\r\n",
        /* twice, or in the wrong place */
        HEAD "v=0\r\n",
        HEAD "s=-\r\n",
        HEAD "o=- 1 1 IN IP4 h\r\n",
        HEAD_C "c=IN IP4 192.0.2.1\r\n",
        HEAD "m=audio 1 RTP/AVP 0\r\ns=-\r\n",
        "v=0\r\nm=audio 1 RTP/AVP 0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n",
        /* lines */
        HEAD "a\r\n",
        HEAD "ab\r\n",
        HEAD "a =x\r\n",
        HEAD " a=x\r\n",
        HEAD "=x\r\n",
        HEAD "A=x\r\n",
        HEAD "1=x\r\n",
        HEAD "\xc3=x\r\n",
        HEAD "a=\r\n",
        HEAD "a=:x\r\n",
        HEAD "a=x\ry\r\n",
        HEAD "i=x\r\r\n",
        HEAD "\r\na=x\r\n",
        HEAD "a=x\n\r\na=y\r\n",
        HEAD "c=\r\n",
        HEAD "c=IN IP4 \r\n",
        HEAD "c= \r\n",
        /* m= */
        HEAD "m=\r\n",
        HEAD "m=audio\r\n",
        HEAD "m=audio 4000\r\n",
        HEAD "m=audio 4000 RTP/AVP\r\n",
        HEAD "m=audio 4000 RTP/AVP \r\n",
        HEAD "m=audio 4000 RTP/AVP   \r\n",
        HEAD "m= 4000 RTP/AVP 0\r\n",
        HEAD "m=audio  4000 RTP/AVP 0\r\n",
        HEAD "m=audio x RTP/AVP 0\r\n",
        HEAD "m=audio 65536 RTP/AVP 0\r\n",
        HEAD "m=audio 99999999999999999999 RTP/AVP 0\r\n",
        HEAD "m=audio -1 RTP/AVP 0\r\n",
        HEAD "m=audio 4000/ RTP/AVP 0\r\n",
        HEAD "m=audio 4000/0 RTP/AVP 0\r\n",
        HEAD "m=audio 4000/x RTP/AVP 0\r\n",
        HEAD "m=audio 4000/4294967296 RTP/AVP 0\r\n",
        HEAD "m=audio /2 RTP/AVP 0\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(parse(f, span_of(bad[i])), ROAM_ESYNTAX);
    assert_int_equal(parse(f, (roam_span){NULL, 0}), ROAM_ESYNTAX);
    static const char nul[] = HEAD "a=x\0y\r\n", nul_end[] = HEAD "a=x\r\n\0";
    assert_int_equal(parse(f, span_make(nul, sizeof nul - 1)), ROAM_ESYNTAX);
    assert_int_equal(parse(f, span_make(nul_end, sizeof nul_end - 1)), ROAM_ESYNTAX);
}

/* Shows that every beginning of a good text is read or refused without a read behind its end: each in a block of its
 * own size, for ASan to watch. */
static void truncated_text_is_survived(void **state)
{
    fixture *f = *state;
    roam_span text = span_of(SAMPLES[2]);
    for (size_t len = 0; len < text.len; len++) {
        char *copy = malloc(len + 1);
        assert_non_null(copy);
        memcpy(copy + 1, text.ptr, len);
        int err = parse(f, span_make(copy + 1, len));
        assert_true(err == ROAM_OK || err == ROAM_ESYNTAX);
        free(copy);
    }
}

/* HEAD and then `n` times `line`. The caller frees it. */
static roam_span repeated(const char *head, const char *line, size_t n)
{
    size_t head_len = strlen(head), line_len = strlen(line);
    char *text = malloc(head_len + n * line_len);
    assert_non_null(text);
    memcpy(text, head, head_len);
    for (size_t i = 0; i < n; i++)
        memcpy(text + head_len + i * line_len, line, line_len);
    return span_make(text, head_len + n * line_len);
}

/* Shows that attributes, kept lines and media are counted against their limits: the limit itself passes (and is written
 * again whole), one more is ELIMIT, and so are ten thousand, with the arena no larger than the limit explains. */
static void limits_hold(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *line;
        size_t limit;
    } cases[] = {
        {"a=x\r\n", ROAM_MAX_SDP_ATTRIBUTES},
        {"a=a-rather-long-attribute-name:and its value\r\n", ROAM_MAX_SDP_ATTRIBUTES},
        {"b=AS:1\r\n", ROAM_MAX_SDP_LINES},
        {"m=audio 1 RTP/AVP 0\r\n", ROAM_MAX_SDP_MEDIA},
        {"m=audio 1 RTP/AVP 0\r\ni=y\r\nc=IN IP4 192.0.2.1\r\na=x\r\n", ROAM_MAX_SDP_MEDIA},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        roam_span text = repeated(HEAD, cases[i].line, cases[i].limit);
        assert_round_trip(f, text);
        free((void *)(uintptr_t)text.ptr);
        text = repeated(HEAD, cases[i].line, cases[i].limit + 1);
        assert_int_equal(parse(f, text), ROAM_ELIMIT);
        free((void *)(uintptr_t)text.ptr);
        text = repeated(HEAD, cases[i].line, 10000);
        assert_int_equal(parse(f, text), ROAM_ELIMIT);
        free((void *)(uintptr_t)text.ptr);
    }
    /* So many formats that looking each up would take long. */
    roam_span formats = repeated(HEAD "m=audio 1 RTP/AVP", " 0", ROAM_MAX_SDP_FORMATS / 2);
    assert_int_equal(parse(f, formats), ROAM_OK);
    free((void *)(uintptr_t)formats.ptr);
    formats = repeated(HEAD "m=audio 1 RTP/AVP", " 0", ROAM_MAX_SDP_FORMATS / 2 + 1);
    assert_int_equal(parse(f, formats), ROAM_ELIMIT);
    free((void *)(uintptr_t)formats.ptr);
    /* The second c= of a media is a kept line, and limited like one. */
    roam_span text = repeated(HEAD "m=audio 1 RTP/AVP 0\r\n", "c=IN IP4 192.0.2.1\r\n", ROAM_MAX_SDP_LINES + 2);
    assert_int_equal(parse(f, text), ROAM_ELIMIT);
    free((void *)(uintptr_t)text.ptr);
}

typedef struct countdown {
    size_t left;  /* allocations until the first refusal */
    size_t bytes; /* given out in all */
} countdown;

static void *counted_realloc(void *user, void *ptr, size_t size)
{
    countdown *c = user;
    if (!size) {
        free(ptr);
        return NULL;
    }
    if (!c->left)
        return NULL;
    c->left--;
    c->bytes += size;
    return realloc(ptr, size);
}

/* Shows that memory refused at each allocation in turn gives ENOMEM and no leak, and that what a text can make us
 * allocate is bounded: arrays that double, up to their limits. */
static void memory_may_be_refused(void **state)
{
    (void)state;
    roam_span many = repeated(HEAD, "a=x\r\nb=y\r\n", ROAM_MAX_SDP_LINES);
    int err = ROAM_ENOMEM;
    size_t n = 0;
    for (; err && n < 100; n++) {
        countdown c = {n, 0};
        roam_mem mem;
        roam_arena arena;
        static roam_sdp sdp;
        mem_init(&mem, &(roam_allocator){counted_realloc, &c});
        arena_init(&arena, &mem);
        err = sdp_parse(&sdp, &arena, many);
        assert_true(err == ROAM_OK || err == ROAM_ENOMEM);
        arena_free(&arena);
        assert_int_equal(mem.live, 0);
    }
    assert_int_equal(err, ROAM_OK);
    assert_true(n > 1);
    free((void *)(uintptr_t)many.ptr);

    roam_span flood = repeated(HEAD, "a=x\r\n", 10000);
    countdown c = {SIZE_MAX, 0};
    roam_mem mem;
    roam_arena arena;
    static roam_sdp sdp;
    mem_init(&mem, &(roam_allocator){counted_realloc, &c});
    arena_init(&arena, &mem);
    assert_int_equal(sdp_parse(&sdp, &arena, flood), ROAM_ELIMIT);
    assert_true(c.bytes < 4 * ROAM_MAX_SDP_ATTRIBUTES * sizeof(roam_sdp_attribute));
    arena_free(&arena);
    free((void *)(uintptr_t)flood.ptr);
}

/* Shows the direction for each place it may be said in, and the old hold by address (RFC 3264 8.4). */
static void direction_is_found(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *session, *media;
        roam_direction direction;
    } cases[] = {
        {"", "", DIRECTION_SENDRECV},
        {"a=sendonly\r\n", "", DIRECTION_SENDONLY},
        {"a=sendonly\r\n", "a=recvonly\r\n", DIRECTION_RECVONLY},
        {"a=inactive\r\n", "a=sendrecv\r\n", DIRECTION_SENDRECV},
        {"", "a=ptime:20\r\na=inactive\r\n", DIRECTION_INACTIVE},
        {"", "a=sendonly:1\r\na=sendonlx\r\na=SENDONLY\r\n", DIRECTION_SENDRECV}, /* not the attribute */
        {"c=IN IP4 0.0.0.0\r\n", "", DIRECTION_INACTIVE},
        {"c=IN IP4 0.0.0.0\r\n", "a=sendrecv\r\n", DIRECTION_INACTIVE},
        {"c=IN IP4 0.0.0.0\r\n", "a=sendonly\r\n", DIRECTION_SENDONLY},
        {"c=IN IP4 0.0.0.0\r\n", "c=IN IP4 192.0.2.1\r\n", DIRECTION_SENDRECV},
        {"c=IN IP4 192.0.2.1\r\n", "c=IN IP4 0.0.0.0\r\n", DIRECTION_INACTIVE},
        {"", "c=IN IP6 ::\r\n", DIRECTION_INACTIVE},
        {"", "c=IN IP6 ::1\r\n", DIRECTION_SENDRECV},
        {"", "c=IN IP4 nowhere.invalid\r\n", DIRECTION_SENDRECV},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        int len = snprintf(text, sizeof text, HEAD "%sm=audio 4000 RTP/AVP 0\r\n%s", cases[i].session, cases[i].media);
        assert_int_equal(parse(f, span_make(text, (size_t)len)), ROAM_OK);
        assert_int_equal(sdp_direction(&f->sdp, &f->sdp.media[0]), cases[i].direction);
    }
}

/* Shows the mirror of each direction and its name. */
static void direction_is_reversed(void **state)
{
    (void)state;
    assert_int_equal(direction_reverse(DIRECTION_SENDONLY), DIRECTION_RECVONLY);
    assert_int_equal(direction_reverse(DIRECTION_RECVONLY), DIRECTION_SENDONLY);
    assert_int_equal(direction_reverse(DIRECTION_SENDRECV), DIRECTION_SENDRECV);
    assert_int_equal(direction_reverse(DIRECTION_INACTIVE), DIRECTION_INACTIVE);
    assert_string_equal(direction_text(DIRECTION_SENDONLY), "sendonly");
    assert_string_equal(direction_text(DIRECTION_RECVONLY), "recvonly");
    assert_string_equal(direction_text(DIRECTION_SENDRECV), "sendrecv");
    assert_string_equal(direction_text(DIRECTION_INACTIVE), "inactive");
}

static void assert_rtpmap(const roam_sdp_media *m, uint8_t type, const char *encoding, uint32_t clock, uint8_t channels)
{
    roam_rtpmap map;
    assert_true(sdp_rtpmap(m, type, &map));
    assert_int_equal(map.payload_type, type);
    assert_span(map.encoding, encoding);
    assert_int_equal(map.clock, clock);
    assert_int_equal(map.channels, channels);
}

/* Shows payload types by a=rtpmap and from the static table, parameters by a=fmtp, and formats walked as numbers. */
static void payload_types_are_understood(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        parse_lit(
            f, HEAD
            "m=audio 4000 RTP/AVP 0 8 x 9 128 111 96  97 101 3 98 99 100\r\n"
            "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=fmtp:111 second\r\n"
            "a=rtpmap:96 L16/8000\r\na=rtpmap:97\r\na=rtpmap:97 speex/16000\r\na=rtpmap:101  telephone-event/8000 \r\n"
            "a=fmtp:101 0-15\r\na=fmtp:97\r\na=rtpmap:98 x/\r\na=rtpmap:98 /8000\r\na=rtpmap:98 x/0\r\n"
            "a=rtpmap:98 x/8000/0\r\na=rtpmap:98 x/8000/256\r\na=rtpmap:98 x/4294967296\r\na=rtpmap:98 x/8000/\r\n"
            "a=rtpmap:3 broken\r\na=rtpmap:8 swapped/8000\r\na=rtpmap:99 h/8000/2/3\r\na=rtpmap:0100 y/1\r\n"),
        ROAM_OK);
    const roam_sdp_media *m = &f->sdp.media[0];
    assert_rtpmap(m, 111, "opus", 48000, 2);
    assert_rtpmap(m, 96, "L16", 8000, 1);
    assert_rtpmap(m, 97, "speex", 16000, 1);
    assert_rtpmap(m, 101, "telephone-event", 8000, 1);
    assert_rtpmap(m, 0, "PCMU", 8000, 1);
    assert_rtpmap(m, 8, "swapped", 8000, 1);
    assert_rtpmap(m, 9, "G722", 8000, 1);
    assert_rtpmap(m, 3, "GSM", 8000, 1); /* its rtpmap cannot be read, but the type is static */
    assert_rtpmap(m, 10, "L16", 44100, 2);
    assert_rtpmap(m, 13, "CN", 8000, 1);
    assert_rtpmap(m, 18, "G729", 8000, 1);
    assert_rtpmap(m, 34, "H263", 90000, 1);
    assert_rtpmap(m, 100, "y", 1, 1);
    roam_rtpmap map;
    static const uint8_t unknown[] = {1, 2, 19, 35, 77, 95, 98, 99, 102, 127, 128, 200, 255};
    for (size_t i = 0; i < sizeof unknown; i++)
        assert_false(sdp_rtpmap(m, unknown[i], &map));
    assert_span(sdp_fmtp(m, 111), "useinbandfec=1");
    assert_span(sdp_fmtp(m, 101), "0-15");
    assert_span(sdp_fmtp(m, 97), "");
    assert_span(sdp_fmtp(m, 0), "");

    static const uint8_t formats[] = {0, 8, 9, 111, 96, 97, 101, 3, 98, 99, 100};
    roam_span rest = m->formats;
    uint8_t type;
    for (size_t i = 0; i < sizeof formats; i++) {
        assert_true(sdp_next_format(&rest, &type));
        assert_int_equal(type, formats[i]);
    }
    assert_false(sdp_next_format(&rest, &type));
    assert_false(sdp_next_format(&rest, &type));
}

/* Shows where RTCP goes: a=rtcp, with or without an address; else the next port; nowhere for port 0 and port 65535. */
static void rtcp_port_is_found(void **state)
{
    fixture *f = *state;
    static const struct {
        const char *text;
        int port; /* -1: none */
    } cases[] = {
        {HEAD "m=audio 4000 RTP/AVP 0\r\n", 4001},
        {HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:53020\r\n", 53020},
        {HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:53020 IN IP4 192.0.2.7\r\n", 53020},
        {HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:65536\r\n", 4001},
        {HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:x\r\na=rtcp-mux\r\n", 4001},
        {HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp:0\r\n", 4001},
        {HEAD "m=audio 4000 RTP/AVP 0\r\na=rtcp\r\n", 4001},
        {HEAD "m=audio 65535 RTP/AVP 0\r\n", -1},
        {HEAD "m=audio 0 RTP/AVP 0\r\n", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint16_t port;
        assert_int_equal(parse(f, span_of(cases[i].text)), ROAM_OK);
        bool found = sdp_rtcp_port(&f->sdp.media[0], &port);
        assert_int_equal(found ? port : -1, cases[i].port);
    }
}

/* Shows that attributes are found by their exact name, the first of equals, or not at all. */
static void attributes_are_found(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        parse_lit(f, HEAD "a=ptime:10\r\nm=audio 1 RTP/AVP 0\r\na=maxptime:40\r\na=ptime:20\r\na=ptime:30\r\na=x:\r\n"),
        ROAM_OK);
    const roam_sdp_media *m = &f->sdp.media[0];
    assert_span(sdp_attribute(m->attributes, m->nattributes, SPAN("ptime"))->value, "20");
    assert_true(sdp_attribute(m->attributes, m->nattributes, SPAN("x"))->has_value);
    assert_null(sdp_attribute(m->attributes, m->nattributes, SPAN("Ptime")));
    assert_null(sdp_attribute(NULL, 0, SPAN("ptime")));
}

/* Shows that an SDP built by hand is written as it should be: addresses from `ip`, "-" for no name, no c= where none is
 * set; and that a writer which is too small says so for every size. */
static void built_sdp_is_written(void **state)
{
    (void)state;
    static const char expected[] = "v=0\r\no=- 7 8 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n"
                                   "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
                                   "m=audio 0/2 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n";
    static roam_sdp sdp;
    roam_sdp_line t = {'t', SPAN("0 0")};
    roam_sdp_attribute attributes[] = {{SPAN("rtpmap"), SPAN("101 telephone-event/8000"), true},
                                       {SPAN("sendrecv"), {NULL, 0}, false}};
    sdp.origin.username = SPAN("-");
    sdp.origin.session_id = SPAN("7");
    sdp.origin.version = SPAN("8");
    sdp.origin.address = SPAN("2001:db8::1");
    sdp.origin.family = 6;
    assert_int_equal(roam_ip_parse(SPAN("2001:db8::1"), &sdp.connection.ip), ROAM_OK);
    sdp.lines = &t;
    sdp.nlines = 1;
    sdp.nmedia = 2;
    sdp.media[0] = (roam_sdp_media){.type = SPAN("audio"),
                                    .port = 4000,
                                    .nports = 1,
                                    .protocol = SPAN("RTP/AVP"),
                                    .formats = SPAN("0 101"),
                                    .attributes = attributes,
                                    .nattributes = 2};
    sdp.media[1] =
        (roam_sdp_media){.type = SPAN("audio"), .nports = 2, .protocol = SPAN("RTP/AVP"), .formats = SPAN("0")};
    assert_int_equal(roam_ip_parse(SPAN("192.0.2.1"), &sdp.media[1].connection.ip), ROAM_OK);

    char space[sizeof expected];
    for (size_t cap = 0; cap < sizeof expected; cap++) {
        roam_writer w;
        writer_init(&w, space, cap);
        write_sdp(&w, &sdp);
        assert_int_equal(w.overflow, cap < sizeof expected - 1);
        assert_true(w.len <= cap);
        if (!w.overflow)
            assert_span(writer_span(&w), expected);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(samples_are_written_as_read),
        TEST(sections_are_kept_apart),
        TEST(connections_are_read),
        TEST(loose_line_ends_are_read),
        TEST(lines_out_of_order_are_understood),
        TEST(bad_text_is_refused),
        TEST(truncated_text_is_survived),
        TEST(limits_hold),
        TEST(memory_may_be_refused),
        TEST(direction_is_found),
        TEST(direction_is_reversed),
        TEST(payload_types_are_understood),
        TEST(rtcp_port_is_found),
        TEST(attributes_are_found),
        TEST(built_sdp_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
