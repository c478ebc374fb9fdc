/* lib/base: the pieces everything else is made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/writer.h"

#define assert_span(s, literal)                                                                                         \
    do {                                                                                                                \
        roam_span assert_span_ = (s);                                                                                   \
        assert_int_equal(assert_span_.len, sizeof(literal) - 1);                                                        \
        assert_memory_equal(assert_span_.ptr, (literal), sizeof(literal) - 1);                                          \
    } while (0)

/* An allocator that refuses after `budget` requests and refuses nothing when it is negative. */
typedef struct miser {
    int budget;
} miser;

static void *miser_realloc(void *user, void *ptr, size_t size)
{
    miser *m = user;
    if (!size) {
        free(ptr);
        return NULL;
    }
    if (m->budget == 0)
        return NULL;
    if (m->budget > 0)
        m->budget--;
    return realloc(ptr, size);
}

static void span_trims_and_cuts(void **state)
{
    /* Blanks of all kinds go at both ends only; a cut without its character leaves a NULL rest, with it an empty one. */
    (void)state;
    roam_span rest;
    assert_span(span_trim(SPAN(" \t\r\n a b \r\n ")), "a b");
    assert_int_equal(span_trim(SPAN(" \t ")).len, 0);
    assert_int_equal(span_trim(span_of(NULL)).len, 0);
    assert_span(span_cut(SPAN("a=b=c"), '=', &rest), "a");
    assert_span(rest, "b=c");
    assert_span(span_cut(SPAN("a="), '=', &rest), "a");
    assert_non_null(rest.ptr);
    assert_int_equal(rest.len, 0);
    assert_span(span_cut(SPAN("a"), '=', &rest), "a");
    assert_null(rest.ptr);
    roam_span s = SPAN("x,y");
    assert_span(span_cut(s, ',', &s), "x"); /* `rest` may be the span itself */
    assert_span(s, "y");
    assert_int_equal(span_cut(span_of(NULL), ',', &rest).len, 0);
    assert_null(rest.ptr);
}

static void span_compares(void **state)
{
    /* Only ASCII letters lose their case; '@' and '`' differ by the same bit and must not be equal. */
    (void)state;
    assert_true(span_ieq(SPAN("Via"), SPAN("vIA")));
    assert_false(span_ieq(SPAN("@"), SPAN("`")));
    assert_false(span_ieq(SPAN("ab"), SPAN("abc")));
    assert_true(span_eq(span_of(NULL), SPAN("")));
    assert_false(span_eq(SPAN("a"), SPAN("A")));
    assert_true(span_starts(SPAN("sip:a"), SPAN("sip:")));
    assert_false(span_starts(SPAN("si"), SPAN("sip:")));
}

static void span_reads_numbers(void **state)
{
    /* The limits of each width are read, one more is refused, and so is anything that is not only digits. */
    (void)state;
    uint64_t n = 7;
    uint32_t m = 7;
    assert_true(span_u64(SPAN("18446744073709551615"), UINT64_MAX, &n));
    assert_true(n == UINT64_MAX);
    assert_false(span_u64(SPAN("18446744073709551616"), UINT64_MAX, &n));
    assert_false(span_u64(SPAN("99999999999999999999999"), UINT64_MAX, &n));
    assert_true(span_u64(SPAN("0070"), 70, &n));
    assert_int_equal(n, 70);
    assert_false(span_u64(SPAN("71"), 70, &n));
    assert_false(span_u64(SPAN("9"), 3, &n));
    assert_true(span_u32(SPAN("4294967295"), &m));
    assert_int_equal(m, UINT32_MAX);
    m = 7;
    assert_false(span_u32(SPAN("4294967296"), &m));
    const char *bad[] = {"", "-1", "+1", " 1", "1 ", "0x10", "1e3"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(span_u32(span_of(bad[i]), &m));
    assert_int_equal(m, 7); /* a refusal writes nothing */
}

static void writer_overflow_is_sticky(void **state)
{
    /* What does not fit is left out as a whole; a shorter text after it is refused too, so one look at the end is enough. */
    (void)state;
    char space[8];
    roam_writer w;
    writer_init(&w, space, sizeof space);
    write_lit(&w, "12345");
    write_u64(&w, 6789);
    assert_true(w.overflow);
    write_char(&w, 'x');
    write_hex(&w, "a", 1);
    assert_span(writer_span(&w), "12345");
    writer_init(&w, space, sizeof space);
    write_hex(&w, "\x00\xff\x5a\x01", 4); /* exactly full */
    assert_false(w.overflow);
    assert_span(writer_span(&w), "00ff5a01");
    write_hex(&w, "", 0);
    write_cstr(&w, NULL);
    assert_false(w.overflow);
    write_hex(&w, "a", 1);
    assert_true(w.overflow);
}

static void writer_writes_numbers_and_hosts(void **state)
{
    /* Extremes of u64, and an IPv6 address in the three spellings the wire wants; the zone stays at home (RFC 4007). */
    (void)state;
    char space[256];
    roam_writer w;
    roam_addr addr;
    writer_init(&w, space, sizeof space);
    write_u64(&w, 0);
    write_char(&w, ' ');
    write_u64(&w, UINT64_MAX);
    assert_span(writer_span(&w), "0 18446744073709551615");
    assert_int_equal(roam_addr_parse(SPAN("[fe80::1%3]:5060"), &addr), ROAM_OK);
    writer_init(&w, space, sizeof space);
    write_ip(&w, &addr.ip);
    write_char(&w, ' ');
    write_host(&w, &addr.ip);
    write_char(&w, ' ');
    write_addr(&w, &addr);
    assert_span(writer_span(&w), "fe80::1 [fe80::1] [fe80::1]:5060");
    assert_int_equal(roam_addr_parse(SPAN("192.0.2.1:5061"), &addr), ROAM_OK);
    writer_init(&w, space, sizeof space);
    write_host(&w, &addr.ip);
    write_char(&w, ' ');
    write_addr(&w, &addr);
    assert_span(writer_span(&w), "192.0.2.1 192.0.2.1:5061");
}

static void memory_counts_and_survives_refusal(void **state)
{
    /* Every block is counted until it is freed; a refused request changes nothing, a refused growth keeps the old block. */
    (void)state;
    miser m = {2};
    roam_mem mem;
    mem_init(&mem, &(roam_allocator){miser_realloc, &m});
    char *text = mem_strdup(&mem, SPAN("roam"));
    assert_string_equal(text, "roam");
    char *empty = mem_alloc(&mem, 0);
    assert_non_null(empty);
    assert_int_equal(mem.live, 2);
    assert_null(mem_zalloc(&mem, 10));
    assert_null(mem_strdup(&mem, SPAN("x")));
    assert_null(mem_realloc(&mem, text, 100));
    assert_string_equal(text, "roam");
    assert_int_equal(mem.live, 2);
    mem_free(&mem, NULL);
    mem_free(&mem, text);
    mem_free(&mem, empty);
    assert_int_equal(mem.live, 0);
}

static void arena_keeps_pieces_apart(void **state)
{
    /* 2,000 pieces of sizes from 0 to far above a block are filled with their number and must all still hold it. */
    (void)state;
    enum { PIECES = 2000 };
    roam_mem mem;
    roam_arena arena;
    static struct {
        unsigned char *ptr;
        size_t size;
    } piece[PIECES];
    mem_init(&mem, NULL);
    arena_init(&arena, &mem);
    for (size_t i = 0; i < PIECES; i++) {
        piece[i].size = i % 97 == 0 ? i * 40 : i % 61;
        piece[i].ptr = arena_alloc(&arena, piece[i].size);
        assert_non_null(piece[i].ptr);
        assert_int_equal((uintptr_t)piece[i].ptr % _Alignof(max_align_t), 0);
        memset(piece[i].ptr, (int)(i & 0xff), piece[i].size);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t k = 0; k < piece[i].size; k++)
            assert_int_equal(piece[i].ptr[k], i & 0xff);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX / 2 + 2));
    arena_free(&arena);
    assert_int_equal(mem.live, 0);
    assert_non_null(arena_alloc(&arena, 1)); /* usable again */
    arena_free(&arena);
    assert_int_equal(mem.live, 0);
}

static void arena_reports_refusal_once_and_for_all(void **state)
{
    /* `ok` stays false after one refusal, though a later copy succeeds; empty spans need no memory and keep NULL apart. */
    (void)state;
    miser m = {0};
    roam_mem mem;
    roam_arena arena;
    bool ok = true;
    mem_init(&mem, &(roam_allocator){miser_realloc, &m});
    arena_init(&arena, &mem);
    assert_null(arena_copy(&arena, span_of(NULL), &ok).ptr);
    assert_non_null(arena_copy(&arena, SPAN(""), &ok).ptr);
    assert_true(ok);
    assert_int_equal(arena_copy(&arena, SPAN("lost"), &ok).len, 0);
    assert_false(ok);
    m.budget = -1;
    assert_span(arena_copy(&arena, SPAN("kept"), &ok), "kept");
    assert_false(ok);
    arena_free(&arena);
    assert_int_equal(mem.live, 0);
}

static void list_keeps_order_and_forgives(void **state)
{
    /* Nodes come out as they went in; removing twice is harmless; the body of list_each may remove its own node. */
    (void)state;
    struct item {
        int n;
        roam_list node;
    } item[4];
    roam_list list;
    list_init(&list);
    assert_null(list_pop(&list));
    for (int i = 0; i < 4; i++) {
        item[i].n = i;
        list_push(&list, &item[i].node);
    }
    list_remove(&item[1].node);
    list_remove(&item[1].node);
    int seen = 0;
    list_each (it, &list, struct item, node) {
        seen = seen * 10 + it->n;
        if (it->n == 2)
            list_remove(&it->node);
    }
    assert_int_equal(seen, 23);
    assert_ptr_equal(list_pop(&list), &item[0].node);
    assert_ptr_equal(list_pop(&list), &item[3].node);
    assert_true(list_empty(&list));
}

static void siphash_matches_other_implementations(void **state)
{
    /* SipHash-1-3 of CPython (seed 0, which is what PYTHONHASHSEED=0 gives hash(b"...")) and of Rust's core (00..0f). */
    (void)state;
    const uint64_t zero[2] = {0, 0}, counting[2] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    assert_true(roam_siphash(zero, SPAN("abc")) == 0xc03bc3a0042630f2u);
    assert_true(roam_siphash(zero, SPAN("abcdefgh")) == 0x3f7b849c0b8e35eau);
    assert_true(roam_siphash(zero, SPAN("z9hG4bK-roam-siphash")) == 0xa0e0ff1d141d4605u);
    assert_true(roam_siphash(counting, span_of(NULL)) == 0xabac0158050fc4dcu);
}

typedef struct entry {
    roam_map_node node;
    char key[12];
    int n;
} entry;

static void entry_init(entry *e, int n)
{
    roam_writer w;
    map_node_init(&e->node);
    writer_init(&w, e->key, sizeof e->key);
    write_lit(&w, "key");
    write_u64(&w, (uint64_t)n);
    e->n = n;
}

static roam_span entry_key(const entry *e)
{
    return span_of(e->key);
}

static void map_finds_and_iterates_in_order(void **state)
{
    /* 500 entries through several growths: each is found, a removed one is not, iteration is the order of insertion. */
    (void)state;
    enum { N = 500 };
    static entry e[N];
    roam_mem mem;
    roam_map map;
    const uint64_t seed[2] = {1, 2};
    memset(e, 0, sizeof e);
    mem_init(&mem, NULL);
    map_init(&map, &mem, seed);
    assert_null(map_find(&map, SPAN("key0")));
    for (int i = 0; i < N; i++) {
        entry_init(&e[i], i);
        assert_int_equal(map_insert(&map, &e[i].node, entry_key(&e[i])), ROAM_OK);
    }
    for (int i = 0; i < N; i += 3) {
        map_remove(&map, &e[i].node);
        map_remove(&map, &e[i].node); /* harmless */
    }
    for (int i = 0; i < N; i++)
        assert_ptr_equal(map_find(&map, entry_key(&e[i])), i % 3 ? &e[i].node : NULL);
    int expected = 1;
    map_each (it, &map, entry, node) {
        assert_int_equal(it->n, expected);
        expected += expected % 3 == 1 ? 1 : 2;
        map_remove(&map, &it->node);
    }
    assert_int_equal(expected, 500);
    assert_int_equal(map.count, 0);
    map_free(&map);
    assert_int_equal(mem.live, 0);
}

static void map_prefers_the_newest_of_equal_keys(void **state)
{
    /* Three entries with one key among enough others to force growth: the newest is found, then the one before it. */
    (void)state;
    static entry same[3], other[64];
    roam_mem mem;
    roam_map map;
    const uint64_t seed[2] = {3, 4};
    mem_init(&mem, NULL);
    map_init(&map, &mem, seed);
    for (int i = 0; i < 3; i++) {
        entry_init(&same[i], i);
        assert_int_equal(map_insert(&map, &same[i].node, SPAN("same")), ROAM_OK);
    }
    for (int i = 0; i < 64; i++) {
        memset(&other[i], 0, sizeof other[i]);
        entry_init(&other[i], i);
        assert_int_equal(map_insert(&map, &other[i].node, entry_key(&other[i])), ROAM_OK);
    }
    for (int i = 2; i >= 0; i--) {
        assert_ptr_equal(map_find(&map, SPAN("same")), &same[i].node);
        map_remove(&map, &same[i].node);
    }
    assert_null(map_find(&map, SPAN("same")));
    map_free(&map);
}

static void map_survives_refused_memory(void **state)
{
    /* Without a first table nothing is inserted; a refused growth later makes chains longer and loses nothing. */
    (void)state;
    static entry e[40];
    miser m = {0};
    roam_mem mem;
    roam_map map;
    const uint64_t seed[2] = {5, 6};
    memset(e, 0, sizeof e);
    mem_init(&mem, &(roam_allocator){miser_realloc, &m});
    map_init(&map, &mem, seed);
    entry_init(&e[0], 0);
    assert_int_equal(map_insert(&map, &e[0].node, entry_key(&e[0])), ROAM_ENOMEM);
    map_remove(&map, &e[0].node); /* it is in no map */
    m.budget = 1;
    for (int i = 0; i < 40; i++) {
        entry_init(&e[i], i);
        assert_int_equal(map_insert(&map, &e[i].node, entry_key(&e[i])), ROAM_OK);
    }
    for (int i = 0; i < 40; i++)
        assert_ptr_equal(map_find(&map, entry_key(&e[i])), &e[i].node);
    map_free(&map);
    assert_int_equal(mem.live, 0);
}

static void timer_never(roam_timer *timer)
{
    (void)timer;
    fail_msg("this timer is popped by hand");
}

static void timers_fire_by_deadline_then_by_arming(void **state)
{
    /* 300 timers on few deadlines, some re-armed, some cancelled: compared with a search for the minimum each time. */
    (void)state;
    enum { N = 300 };
    static roam_timer t[N];
    roam_mem mem;
    roam_timers timers;
    roam_random random;
    uint8_t seed[32] = {42};
    mem_init(&mem, NULL);
    random_init(&random, seed);
    timers_init(&timers, &mem);
    assert_true(timers_deadline(&timers) == ROAM_NEVER);
    for (size_t i = 0; i < N; i++) {
        timer_init(&t[i], timer_never, "test");
        assert_int_equal(timer_arm(&timers, &t[i], 100 + random_below(&random, 20)), ROAM_OK);
    }
    for (size_t i = 0; i < N; i += 4)
        assert_int_equal(timer_arm(&timers, &t[i], 100 + random_below(&random, 20)), ROAM_OK);
    for (size_t i = 1; i < N; i += 5) {
        timer_cancel(&timers, &t[i]);
        timer_cancel(&timers, &t[i]); /* harmless */
        assert_false(timer_armed(&t[i]));
    }
    size_t fired = 0;
    for (;;) {
        roam_timer *first = NULL;
        for (size_t i = 0; i < N; i++)
            if (timer_armed(&t[i]) && (!first || t[i].deadline < first->deadline ||
                                       (t[i].deadline == first->deadline && t[i].sequence < first->sequence)))
                first = &t[i];
        if (!first)
            break;
        assert_true(timers_deadline(&timers) == first->deadline);
        assert_null(timers_pop_due(&timers, first->deadline - 1));
        assert_ptr_equal(timers_pop_due(&timers, first->deadline), first);
        assert_false(timer_armed(first));
        fired++;
    }
    assert_int_equal(fired, N - N / 5);
    assert_true(timers_deadline(&timers) == ROAM_NEVER);
    timers_free(&timers);
    assert_int_equal(mem.live, 0);
}

static void timers_reserve_makes_arming_safe(void **state)
{
    /* With memory refused: arming the first timer fails and leaves it unarmed; after a reservation a hundred succeed. */
    (void)state;
    static roam_timer t[100];
    miser m = {0};
    roam_mem mem;
    roam_timers timers;
    mem_init(&mem, &(roam_allocator){miser_realloc, &m});
    timers_init(&timers, &mem);
    for (size_t i = 0; i < 100; i++)
        timer_init(&t[i], timer_never, "test");
    assert_int_equal(timer_arm(&timers, &t[0], 1), ROAM_ENOMEM);
    assert_false(timer_armed(&t[0]));
    assert_int_equal(timers_reserve(&timers, 100), ROAM_ENOMEM);
    assert_int_equal(timers_reserve(&timers, SIZE_MAX), ROAM_ENOMEM);
    m.budget = 1;
    assert_int_equal(timers_reserve(&timers, 100), ROAM_OK);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(timer_arm(&timers, &t[i], 1000 - i), ROAM_OK);
    timers_free(&timers);
    assert_false(timer_armed(&t[50])); /* the heap is gone, so is every place in it */
    assert_int_equal(mem.live, 0);
}

static void chacha20_matches_rfc8439(void **state)
{
    /* The block of RFC 8439, 2.3.2: key 00..1f, counter 1, nonce 00000009 0000004a 00000000. */
    (void)state;
    static const uint8_t expected[64] = {
        0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4,
        0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e,
        0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2,
        0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
    const uint32_t nonce[3] = {0x09000000, 0x4a000000, 0};
    uint8_t seed[32], out[64];
    roam_random random;
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)i;
    random_init(&random, seed);
    chacha20_block(random.key, 1, nonce, out);
    assert_memory_equal(out, expected, sizeof out);
}

static void random_repeats_and_continues(void **state)
{
    /* One seed gives one sequence however it is asked for; the start is RFC 8439, appendix A.1, vector 1 (key and nonce
     * zero); another seed gives another sequence; the carry into the upper half of the counter changes the stream. */
    (void)state;
    static const uint8_t first[16] = {0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90,
                                      0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28};
    uint8_t seed[32] = {0}, whole[300], parts[300];
    roam_random a, b;
    random_init(&a, seed);
    random_init(&b, seed);
    random_bytes(&a, whole, sizeof whole);
    for (size_t at = 0, n = 1; at < sizeof parts; at += n, n = at % 71 + 1)
        random_bytes(&b, parts + at, n < sizeof parts - at ? n : sizeof parts - at);
    assert_memory_equal(whole, first, sizeof first);
    assert_memory_equal(whole, parts, sizeof whole);
    seed[31] = 1;
    random_init(&b, seed);
    random_bytes(&b, parts, sizeof parts);
    assert_memory_not_equal(whole, parts, 64);
    seed[31] = 0;
    random_init(&b, seed);
    b.counter = (uint64_t)1 << 32;
    random_bytes(&b, parts, 64);
    assert_memory_not_equal(whole, parts, 64);
}

static void random_below_and_tokens_cover_their_range(void **state)
{
    /* 20,000 draws below 7 hit each value about equally; 62,000 characters of token are each of the 62 about equally often
     * (taking the bytes from 248 on as well would make some a quarter likelier), and nothing else. */
    (void)state;
    enum { DRAWS = 20000 };
    uint8_t seed[32] = {9};
    unsigned hits[7] = {0};
    unsigned used[256] = {0};
    static char token[62 * 1000];
    roam_random random;
    roam_writer w;
    random_init(&random, seed);
    for (int i = 0; i < DRAWS; i++) {
        uint32_t n = random_below(&random, 7);
        assert_true(n < 7);
        hits[n]++;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(hits[i], DRAWS / 7 * 9 / 10, DRAWS / 7 * 11 / 10);
    assert_int_equal(random_below(&random, 1), 0);
    assert_true(random_below(&random, UINT32_MAX) < UINT32_MAX);
    writer_init(&w, token, sizeof token);
    random_token(&random, &w, sizeof token);
    assert_int_equal(w.len, sizeof token);
    for (size_t i = 0; i < w.len; i++)
        used[(unsigned char)token[i]]++;
    for (int c = 0; c < 256; c++)
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
            assert_in_range(used[c], 850, 1150);
        else
            assert_int_equal(used[c], 0);
}

typedef struct bell {
    roam_timer timer;
    roam_env *env;
    int rung;
    bool again;
} bell;

static void bell_ring(roam_timer *timer)
{
    bell *b = container_of(timer, bell, timer);
    b->rung++;
    if (b->again)
        assert_int_equal(env_arm(b->env, timer, 0), ROAM_OK);
}

static void env_moves_forward_only(void **state)
{
    /* Timers fire once when due; time never goes back; a timer that arms itself for "at once" fires once an input, and
     * the deadline asks for the next; a delay of ROAM_NEVER does not wrap around. */
    (void)state;
    uint8_t seed[32] = {1};
    roam_env env;
    bell once = {.env = &env}, busy = {.env = &env, .again = true}, never = {.env = &env};
    env_init(&env, NULL, seed, NULL, NULL);
    env_advance(&env, ROAM_SECONDS(5));
    timer_init(&once.timer, bell_ring, "once");
    timer_init(&busy.timer, bell_ring, "busy");
    timer_init(&never.timer, bell_ring, "never");
    assert_int_equal(env_arm(&env, &once.timer, ROAM_MS(10)), ROAM_OK);
    assert_int_equal(env_arm(&env, &busy.timer, ROAM_MS(10)), ROAM_OK);
    assert_int_equal(env_arm(&env, &never.timer, ROAM_NEVER), ROAM_OK);
    env_advance(&env, ROAM_SECONDS(4));
    assert_true(env.now == ROAM_SECONDS(5));
    assert_int_equal(once.rung + busy.rung, 0);
    env_advance(&env, ROAM_SECONDS(6));
    assert_int_equal(once.rung, 1);
    assert_int_equal(busy.rung, 1);
    assert_true(timers_deadline(&env.timers) == env.now);
    env_advance(&env, ROAM_SECONDS(6));
    assert_int_equal(busy.rung, 2);
    env_cancel(&env, &busy.timer);
    env_advance(&env, ROAM_SECONDS(1000000));
    assert_int_equal(once.rung, 1);
    assert_int_equal(busy.rung, 2);
    assert_int_equal(never.rung, 0);
    env_free(&env);
    assert_int_equal(env.mem.live, 0);
}

static void env_depends_on_its_seed(void **state)
{
    /* Two environments of one seed hash and draw alike, of two seeds they do not. */
    (void)state;
    uint8_t seed[32] = {1}, other[32] = {2};
    roam_env a, b, c;
    env_init(&a, NULL, seed, NULL, NULL);
    env_init(&b, NULL, seed, NULL, NULL);
    env_init(&c, NULL, other, NULL, NULL);
    assert_memory_equal(a.hash_seed, b.hash_seed, sizeof a.hash_seed);
    assert_memory_not_equal(a.hash_seed, c.hash_seed, sizeof a.hash_seed);
    assert_true(random_u64(&a.random) == random_u64(&b.random));
    env_free(&a);
    env_free(&b);
    env_free(&c);
}

static void errors_have_words(void **state)
{
    /* Every error has a phrase of its own, and an unknown number still gets one. */
    (void)state;
    for (int a = ROAM_OK; a >= ROAM_ETIMEOUT; a--)
        for (int b = a - 1; b >= ROAM_ETIMEOUT - 1; b--)
            assert_string_not_equal(roam_strerror(a), roam_strerror(b));
    assert_string_equal(roam_strerror(12345), roam_strerror(-12345));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(span_trims_and_cuts),
        cmocka_unit_test(span_compares),
        cmocka_unit_test(span_reads_numbers),
        cmocka_unit_test(writer_overflow_is_sticky),
        cmocka_unit_test(writer_writes_numbers_and_hosts),
        cmocka_unit_test(memory_counts_and_survives_refusal),
        cmocka_unit_test(arena_keeps_pieces_apart),
        cmocka_unit_test(arena_reports_refusal_once_and_for_all),
        cmocka_unit_test(list_keeps_order_and_forgives),
        cmocka_unit_test(siphash_matches_other_implementations),
        cmocka_unit_test(map_finds_and_iterates_in_order),
        cmocka_unit_test(map_prefers_the_newest_of_equal_keys),
        cmocka_unit_test(map_survives_refused_memory),
        cmocka_unit_test(timers_fire_by_deadline_then_by_arming),
        cmocka_unit_test(timers_reserve_makes_arming_safe),
        cmocka_unit_test(chacha20_matches_rfc8439),
        cmocka_unit_test(random_repeats_and_continues),
        cmocka_unit_test(random_below_and_tokens_cover_their_range),
        cmocka_unit_test(env_moves_forward_only),
        cmocka_unit_test(env_depends_on_its_seed),
        cmocka_unit_test(errors_have_words),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
