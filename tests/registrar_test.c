/* testbed/registrar and testbed/auth, through the whole server: bindings, lifetimes, digest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "testbed_world.h"

#define ALICE "192.0.2.50:5060"
#define WIFI "<sip:alice@192.0.2.50>"
#define CELL "<sip:alice@192.0.2.60:5070>"

static const roam_link_config perfect = {.delay = ROAM_MS(10)};

/* A REGISTER of alice; `lines` are whole header lines. */
static unsigned ask_register(world *w, const char *from, unsigned cseq, const char *lines)
{
    return world_ask(w, from,
                     "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP %s;branch=$branch;rport\nMax-Forwards: 70\n"
                     "From: <sip:alice@example.com>;tag=a1\nTo: <sip:alice@example.com>\nCall-ID: reg-alice\nCSeq: %u "
                     "REGISTER\n%sContent-Length: 0\n\n",
                     from, cseq, lines);
}

/* With credentials for `challenge`. */
static unsigned ask_register_with(world *w, const char *from, unsigned cseq, const roam_challenge *challenge,
                                  const char *password, uint32_t count)
{
    char lines[2048];
    roam_writer out;
    writer_init(&out, lines, sizeof lines - 1);
    write_lit(&out, "Contact: " WIFI "\nAuthorization: ");
    roam_digest_input in = {.algorithm = challenge->algorithm,
                            .username = SPAN("alice"),
                            .realm = challenge->realm,
                            .password = span_of(password),
                            .nonce = challenge->nonce,
                            .uri = SPAN("sip:example.com"),
                            .method = SPAN("REGISTER"),
                            .qop = count != 0,
                            .nc = count,
                            .cnonce = SPAN("0a4f113b")};
    assert_int_equal(write_authorization(&out, &in, challenge->algorithm_text), ROAM_OK);
    write_lit(&out, "\n");
    lines[out.len] = '\0';
    return ask_register(w, from, cseq, lines);
}

/* The challenge in w->reply, its texts copied to `space`. */
static roam_challenge keep_challenge(world *w, char space[1024])
{
    roam_challenge c;
    roam_writer out;
    assert_int_equal(challenge_pick(&w->reply, HEADER_WWW_AUTHENTICATE, (roam_span){0}, &c), ROAM_OK);
    writer_init(&out, space, 1024);
    roam_span *texts[] = {&c.realm, &c.nonce, &c.algorithm_text};
    for (size_t i = 0; i < 3; i++) {
        size_t at = out.len;
        write_span(&out, *texts[i]);
        *texts[i] = span_make(space + at, out.len - at);
    }
    return c;
}

static void registers_with_digest(void **state)
{
    /* For each algorithm, and all at once: a peer without credentials is challenged once, answers, and its Contact is
     * bound; the strongest is offered first. */
    (void)state;
    static const struct {
        bool md5, sha256, sha512;
        roam_digest_algorithm used;
    } cases[] = {{true, false, false, DIGEST_MD5},
                 {false, true, false, DIGEST_SHA256},
                 {false, false, true, DIGEST_SHA512_256},
                 {true, true, true, DIGEST_SHA512_256}};
    for (size_t i = 0; i < 4; i++) {
        world *w = world_new(
            &(roam_testserver_config){
                .auth = {.md5 = cases[i].md5, .sha256 = cases[i].sha256, .sha512_256 = cases[i].sha512}},
            &perfect);
        assert_int_equal(testserver_add_user(&w->server, "bob", "secret"), ROAM_OK);
        world_peer *bob = world_add_peer(w, 0, "bob", "secret", NULL);
        assert_int_equal(peer_register(&bob->peer, w->now), ROAM_OK);
        world_run(w, ROAM_SECONDS(1));
        assert_int_equal(world_count(bob, PEER_REGISTERED), 1);
        assert_int_equal(bob->peer.registrar.algorithm, cases[i].used);
        const roam_aor *aor = registrar_find(&w->server.registrar, SPAN("bob"));
        assert_non_null(aor);
        assert_int_equal(aor->nbindings, 1);
        assert_string_equal(container_of(aor->bindings.next, roam_binding, node)->contact, "sip:bob@192.0.2.10:5060");
        assert_int_equal(w->server.auth.counters.challenges, 1);
        assert_int_equal(w->server.auth.counters.accepted, 1);
        assert_true(registrar_has_source(&w->server.registrar, &bob->local));
        assert_true(world_free(w));
    }
}

static void wrong_password_and_user(void **state)
{
    /* A wrong password, an unknown user, and a user who names himself another: each gets 401 without stale, and nothing
     * is bound. */
    (void)state;
    world *w = world_new(NULL, &perfect);
    char space[1024];
    assert_int_equal(testserver_add_user(&w->server, "alice", "secret"), ROAM_OK);
    world_peer *liar = world_add_peer(w, 0, "alice", "guess", NULL),
               *nobody = world_add_peer(w, 1, "nobody", "secret", NULL);
    assert_int_equal(peer_register(&liar->peer, w->now), ROAM_OK);
    assert_int_equal(peer_register(&nobody->peer, w->now), ROAM_OK);
    world_run(w, ROAM_SECONDS(5));
    assert_int_equal(world_last(liar, PEER_REGISTER_FAILED)->status, 401);
    assert_int_equal(world_last(nobody, PEER_REGISTER_FAILED)->status, 401);
    assert_true(w->server.auth.counters.wrong >= 2);
    assert_int_equal(ask_register(w, ALICE, 1, ""), 401);
    roam_challenge c = keep_challenge(w, space);
    assert_int_equal(ask_register_with(w, ALICE, 2, &c, "wrong", 1), 401);
    assert_false(keep_challenge(w, space).stale);
    assert_int_equal(w->server.registrar.nbindings, 0);
    assert_true(world_free(w));
}

static void nonce_counts(void **state)
{
    /* On one nonce: count 1 passes, the same bytes as a new transaction are a replay (401, stale=true), 3 passes, 2
     * that was overtaken passes once, not twice. A strict server refuses 2. */
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        world *w = world_new(&(roam_testserver_config){.auth = {.strict_count = strict}}, &perfect);
        char space[1024], other[1024];
        assert_int_equal(testserver_add_user(&w->server, "alice", "secret"), ROAM_OK);
        assert_int_equal(ask_register(w, ALICE, 1, ""), 401);
        roam_challenge c = keep_challenge(w, space);
        assert_false(c.stale);
        assert_int_equal(ask_register_with(w, ALICE, 2, &c, "secret", 1), 200);
        assert_int_equal(ask_register_with(w, ALICE, 3, &c, "secret", 1), 401);
        assert_true(keep_challenge(w, other).stale);
        assert_int_equal(ask_register_with(w, ALICE, 4, &c, "secret", 3), 200);
        assert_int_equal(ask_register_with(w, ALICE, 5, &c, "secret", 2), strict ? 401 : 200);
        assert_int_equal(ask_register_with(w, ALICE, 6, &c, "secret", 2), 401);
        assert_int_equal(w->server.auth.counters.replayed, strict ? 3 : 2);
        assert_true(world_free(w));
    }
}

static void nonces_end(void **state)
{
    /* A nonce past its lifetime is stale, though the password is right. A wrong password on it is not called stale.
     * Without qop a nonce is good once. */
    (void)state;
    world *w = world_new(&(roam_testserver_config){.auth = {.nonce_lifetime = ROAM_SECONDS(60)}}, &perfect);
    char space[1024], other[1024];
    assert_int_equal(testserver_add_user(&w->server, "alice", "secret"), ROAM_OK);
    assert_int_equal(ask_register(w, ALICE, 1, ""), 401);
    roam_challenge c = keep_challenge(w, space);
    world_run(w, ROAM_SECONDS(50));
    assert_int_equal(ask_register_with(w, ALICE, 2, &c, "secret", 1), 200);
    world_run(w, ROAM_SECONDS(10));
    assert_int_equal(ask_register_with(w, ALICE, 3, &c, "secret", 2), 401);
    roam_challenge fresh = keep_challenge(w, other);
    assert_true(fresh.stale);
    assert_int_equal(ask_register_with(w, ALICE, 4, &fresh, "secret", 0), 200);
    assert_int_equal(ask_register_with(w, ALICE, 5, &fresh, "secret", 0), 401);
    assert_int_equal(ask_register_with(w, ALICE, 6, &c, "wrong", 3), 401);
    assert_false(keep_challenge(w, space).stale);
    assert_true(world_free(w));
}

static void nonce_options(void **state)
{
    /* bind_source: the nonce of one address is stale from another. one_time: the second request on a nonce is stale,
     * whatever its count. */
    (void)state;
    char space[1024], other[1024];
    world *w = world_new(&(roam_testserver_config){.auth = {.bind_source = true}}, &perfect);
    assert_int_equal(testserver_add_user(&w->server, "alice", "secret"), ROAM_OK);
    assert_int_equal(ask_register(w, ALICE, 1, ""), 401);
    roam_challenge c = keep_challenge(w, space);
    assert_int_equal(ask_register_with(w, "192.0.2.60:5060", 2, &c, "secret", 1), 401);
    assert_true(keep_challenge(w, other).stale);
    assert_int_equal(ask_register_with(w, ALICE, 3, &c, "secret", 1), 200);
    assert_int_equal(w->server.auth.counters.other_source, 1);
    assert_true(world_free(w));

    w = world_new(&(roam_testserver_config){.auth = {.one_time = true}}, &perfect);
    assert_int_equal(testserver_add_user(&w->server, "alice", "secret"), ROAM_OK);
    assert_int_equal(ask_register(w, ALICE, 1, ""), 401);
    c = keep_challenge(w, space);
    assert_int_equal(ask_register_with(w, ALICE, 2, &c, "secret", 1), 200);
    assert_int_equal(ask_register_with(w, ALICE, 3, &c, "secret", 2), 401);
    assert_true(keep_challenge(w, other).stale);
    assert_true(world_free(w));
}

static void bindings_expire_and_are_refreshed(void **state)
{
    /* A peer with a lease of 100 s stays bound for 1000 s by its own refreshes; when it is cut off, the binding goes
     * when the lease ends, and the notice says so. */
    (void)state;
    world *w = world_new(NULL, &perfect);
    world_peer *bob = world_add_peer(w, 0, "bob", NULL, &(roam_peer_config){.expires = 100});
    assert_int_equal(peer_register(&bob->peer, w->now), ROAM_OK);
    world_run(w, ROAM_SECONDS(1000));
    assert_int_equal(w->server.registrar.nbindings, 1);
    assert_true(world_count_notices(w, NOTICE_BINDING_REFRESHED) >= 10);
    assert_int_equal(world_count_notices(w, NOTICE_BINDING_ADDED), 1);
    link_set_up(&w->link, false, true);
    world_run(w, ROAM_SECONDS(101));
    assert_int_equal(w->server.registrar.nbindings, 0);
    assert_int_equal(world_count_notices(w, NOTICE_BINDING_REMOVED), 1);
    assert_null(registrar_find(&w->server.registrar, SPAN("bob")));
    assert_true(world_free(w));
}

static void several_contacts_at_once(void **state)
{
    /* Two Contacts, one with its own lifetime, one by the Expires header; both are in the 200. Then a request with one
     * good and one too short Contact: 423 with Min-Expires, and not even the good one was taken. Removing one leaves
     * the other. A REGISTER without Contact only asks. */
    (void)state;
    world *w = world_new(NULL, &perfect);
    uint32_t expires = 0;
    assert_int_equal(ask_register(w, ALICE, 1, "Contact: " WIFI ";expires=600;q=0.5, " CELL "\nExpires: 1200\n"), 200);
    assert_int_equal(world_contacts(w, NULL, NULL), 2);
    assert_int_equal(world_contacts(w, "sip:alice@192.0.2.50", &expires), 1);
    assert_int_equal(expires, 600);
    assert_int_equal(world_contacts(w, "sip:alice@192.0.2.60:5070", &expires), 1);
    assert_int_equal(expires, 1200);

    assert_int_equal(
        ask_register(w, ALICE, 2, "Contact: " WIFI ";expires=900\nContact: <sip:alice@192.0.2.70>;expires=5\n"), 423);
    assert_true(span_eq(message_value(&w->reply, HEADER_MIN_EXPIRES), SPAN("60")));
    world_run(w, ROAM_SECONDS(97)); /* each request took a second of the world: 100 s are gone */
    assert_int_equal(ask_register(w, ALICE, 3, ""), 200);
    assert_int_equal(world_contacts(w, NULL, NULL), 2);
    assert_int_equal(world_contacts(w, "sip:alice@192.0.2.50", &expires), 1);
    assert_in_range(expires, 500, 502);

    assert_int_equal(ask_register(w, ALICE, 4, "Contact: " CELL ";expires=0\n"), 200);
    assert_int_equal(world_contacts(w, NULL, NULL), 1);
    assert_int_equal(world_contacts(w, "sip:alice@192.0.2.50", NULL), 1);
    assert_true(world_free(w));
}

static void old_and_new_in_one_request(void **state)
{
    /* The move of an agent: the old Contact with expires=0 and the new one in one REGISTER, from the new address. One
     * binding is left, the new one, in either order. */
    (void)state;
    static const char *const moves[] = {"Contact: " WIFI ";expires=0\nContact: " CELL ";expires=300\n",
                                        "Contact: " CELL ";expires=300, " WIFI ";expires=0\n"};
    for (size_t i = 0; i < 2; i++) {
        world *w = world_new(NULL, &perfect);
        assert_int_equal(ask_register(w, ALICE, 1, "Contact: " WIFI "\n"), 200);
        assert_int_equal(ask_register(w, "192.0.2.60:5070", 2, moves[i]), 200);
        assert_int_equal(world_contacts(w, NULL, NULL), 1);
        assert_int_equal(world_contacts(w, "sip:alice@192.0.2.60:5070", NULL), 1);
        assert_int_equal(w->server.registrar.nbindings, 1);
        roam_addr source = world_addr("192.0.2.60:5070"), old = world_addr(ALICE);
        assert_true(registrar_has_source(&w->server.registrar, &source));
        assert_false(registrar_has_source(&w->server.registrar, &old));
        assert_true(world_free(w));
    }
}

static void requests_out_of_order(void **state)
{
    /* The same Call-ID with a CSeq that is not higher changes nothing and fails (RFC 3261 10.3, 7); another Call-ID
     * may. The same holds for the wildcard. */
    (void)state;
    world *w = world_new(NULL, &perfect);
    assert_int_equal(ask_register(w, ALICE, 10, "Contact: " WIFI ";expires=600\n"), 200);
    assert_int_equal(ask_register(w, ALICE, 9, "Contact: " WIFI ";expires=0\n"), 500);
    assert_int_equal(ask_register(w, ALICE, 10, "Contact: *\nExpires: 0\n"), 500);
    assert_int_equal(w->server.registrar.nbindings, 1);
    assert_int_equal(ask_register(w, ALICE, 11, "Contact: *\n"), 400);
    assert_int_equal(ask_register(w, ALICE, 12, "Contact: *\nExpires: 100\n"), 400);
    assert_int_equal(ask_register(w, ALICE, 13, "Contact: *, " CELL "\nExpires: 0\n"), 400);
    assert_int_equal(w->server.registrar.nbindings, 1);
    assert_int_equal(ask_register(w, ALICE, 14, "Contact: " CELL "\n"), 200);
    assert_int_equal(ask_register(w, ALICE, 15, "Contact: *\nExpires: 0\n"), 200);
    assert_int_equal(world_contacts(w, NULL, NULL), 0);
    assert_int_equal(w->server.registrar.nbindings, 0);
    assert_int_equal(world_ask(w, ALICE,
                               "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP " ALICE
                               ";branch=$branch;rport\nMax-Forwards: 70\n"
                               "From: <sip:alice@example.com>;tag=b\nTo: <sip:alice@example.com>\nCall-ID: "
                               "other\nCSeq: 1 REGISTER\nContact: " WIFI "\nContent-Length: 0\n\n"),
                     200);
    assert_true(world_free(w));
}

static void instance_and_reg_id(void **state)
{
    /* RFC 5626: a Contact with the same +sip.instance and reg-id replaces, whatever its URI; another reg-id stands
     * beside it. Require: outbound comes back where the client supports it. */
    (void)state;
    world *w = world_new(NULL, &perfect);
    assert_int_equal(
        ask_register(w, ALICE, 1, "Supported: outbound\nContact: " WIFI ";reg-id=1;+sip.instance=\"<urn:uuid:1>\"\n"),
        200);
    assert_true(message_has_token(&w->reply, HEADER_REQUIRE, SPAN("outbound")));
    assert_int_equal(ask_register(w, "192.0.2.60:5070", 2,
                                  "Supported: outbound\nContact: " CELL ";reg-id=1;+sip.instance=\"<urn:uuid:1>\"\n"),
                     200);
    assert_int_equal(world_contacts(w, NULL, NULL), 1);
    assert_int_equal(world_contacts(w, "sip:alice@192.0.2.60:5070", NULL), 1);
    assert_int_equal(ask_register(w, ALICE, 3, "Contact: " WIFI ";reg-id=2;+sip.instance=\"<urn:uuid:1>\"\n"), 200);
    assert_int_equal(world_contacts(w, NULL, NULL), 2);
    assert_false(message_has_token(&w->reply, HEADER_REQUIRE, SPAN("outbound")));
    /* The instance comes back as it was given. */
    assert_non_null(strstr(w->inbox, "+sip.instance=\"<urn:uuid:1>\""));
    assert_true(world_free(w));
}

static void rewritten_contacts(void **state)
{
    /* A registrar that rewrites: what is bound is the source. Old and new in one request become the same address then,
     * and the order decides: old after new leaves nothing bound. */
    (void)state;
    world *w = world_new(&(roam_testserver_config){.registrar = {.rewrite_contact = true}}, &perfect);
    assert_int_equal(ask_register(w, "198.51.100.7:3333", 1, "Contact: " WIFI ";expires=600\n"), 200);
    assert_int_equal(world_contacts(w, "sip:alice@198.51.100.7:3333", NULL), 1);
    assert_int_equal(ask_register(w, "198.51.100.8:4444", 2, "Contact: " WIFI ";expires=0, " CELL ";expires=600\n"),
                     200);
    assert_int_equal(world_contacts(w, "sip:alice@198.51.100.8:4444", NULL), 1);
    assert_int_equal(world_contacts(w, "sip:alice@198.51.100.7:3333", NULL), 1);
    assert_int_equal(ask_register(w, "198.51.100.8:4444", 3, "Contact: " CELL ";expires=600, " WIFI ";expires=0\n"),
                     200);
    assert_int_equal(world_contacts(w, "sip:alice@198.51.100.8:4444", NULL), 0);
    assert_true(world_free(w));
}

static void limits_of_contacts(void **state)
{
    /* max_contacts 2: the third is refused with 403 and the two stay; replacing one of them works. Bad Contacts are
     * 400. 40 in one request are refused whatever the limit. */
    (void)state;
    world *w = world_new(&(roam_testserver_config){.registrar = {.max_contacts = 2}}, &perfect);
    assert_int_equal(ask_register(w, ALICE, 1, "Contact: " WIFI ", " CELL "\n"), 200);
    assert_int_equal(ask_register(w, ALICE, 2, "Contact: <sip:alice@192.0.2.70>\n"), 403);
    assert_int_equal(w->server.registrar.nbindings, 2);
    assert_int_equal(ask_register(w, ALICE, 3, "Contact: " WIFI ";expires=0, <sip:alice@192.0.2.70>\n"), 200);
    assert_int_equal(world_contacts(w, NULL, NULL), 2);
    assert_int_equal(ask_register(w, ALICE, 4, "Contact: <mailto:a@b.c>\n"), 400);
    char lines[4096] = "";
    for (int i = 0; i < 40; i++) {
        size_t at = strlen(lines);
        (void)snprintf(lines + at, sizeof lines - at, "Contact: <sip:alice@192.0.2.50:%d>\n", 6000 + i);
    }
    assert_int_equal(ask_register(w, ALICE, 5, lines), 403);
    assert_int_equal(w->server.registrar.nbindings, 2);
    assert_true(world_free(w));
}

static void what_is_not_registered(void **state)
{
    /* A To of another domain is 404, an unknown extension 420 with its name in Unsupported. Lifetimes above the maximum
     * are cut. */
    (void)state;
    world *w = world_new(NULL, &perfect);
    uint32_t expires = 0;
    assert_int_equal(world_ask(w, ALICE,
                               "REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP " ALICE
                               ";branch=$branch;rport\nMax-Forwards: 70\n"
                               "From: <sip:alice@example.org>;tag=b\nTo: <sip:alice@example.org>\nCall-ID: "
                               "other\nCSeq: 1 REGISTER\nContact: " WIFI "\nContent-Length: 0\n\n"),
                     404);
    assert_int_equal(ask_register(w, ALICE, 1, "Require: moon\nContact: " WIFI "\n"), 420);
    assert_true(span_eq(message_value(&w->reply, HEADER_UNSUPPORTED), SPAN("moon")));
    assert_int_equal(ask_register(w, ALICE, 2, "Contact: " WIFI ";expires=4000000000\n"), 200);
    assert_int_equal(world_contacts(w, "sip:alice@192.0.2.50", &expires), 1);
    assert_int_equal(expires, 7200);
    assert_true(world_free(w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_with_digest),
        cmocka_unit_test(wrong_password_and_user),
        cmocka_unit_test(nonce_counts),
        cmocka_unit_test(nonces_end),
        cmocka_unit_test(nonce_options),
        cmocka_unit_test(bindings_expire_and_are_refreshed),
        cmocka_unit_test(several_contacts_at_once),
        cmocka_unit_test(old_and_new_in_one_request),
        cmocka_unit_test(requests_out_of_order),
        cmocka_unit_test(instance_and_reg_id),
        cmocka_unit_test(rewritten_contacts),
        cmocka_unit_test(limits_of_contacts),
        cmocka_unit_test(what_is_not_registered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
