#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

#include "cli/events.h"

enum { WORDS_MAX = 16, IDS_MAX = 4096 };

static const cli_command *command_find(const char *name);
static int each_account(cli_session *session, int argc, char **argv, json *result, int (*fn)(roam_ua *, roam_account_id));
static int call_argument(cli_session *session, const char *text, unsigned states, roam_call_id *id, const char **wrong);
static bool number(const char *text, uint32_t *out);

enum {
    RINGING = 1 << ROAM_CALL_INCOMING,
    TALKING = 1 << ROAM_CALL_CONFIRMED,
    LIVE = RINGING | TALKING | 1 << ROAM_CALL_CALLING | 1 << ROAM_CALL_EARLY | 1 << ROAM_CALL_CONNECTING,
};

bool command_run(cli_session *session, char *line, json *result)
{
    char *words[WORDS_MAX], *rest = line, *word;
    int n = 0;
    const cli_command *command = NULL;
    while (n < WORDS_MAX && !(n && command && command->text == n) && (word = strtok_r(n ? NULL : line, " \t", &rest))) {
        words[n++] = word;
        if (n == 1)
            command = command_find(word);
    }
    if (n == 0)
        return false;
    if (command && command->text == n && rest) {
        rest += strspn(rest, " \t");
        if (*rest)
            words[n++] = rest;
    }
    const char *wrong = NULL;
    json body = {0};
    int err = ROAM_EINVAL;
    if (command)
        err = command->run(session, n, words, &body, &wrong);
    else
        wrong = "there is no such command; try help";
    event_begin(result, "result");
    json_text(result, "command", words[0]);
    json_bool(result, "ok", err == 0);
    if (err) {
        json_i64(result, "status", err);
        json_text(result, "error", wrong ? wrong : roam_strerror(err));
    }
    if (body.len && !body.failed)
        json_raw(result, NULL, (roam_span){body.ptr, body.len});
    json_free(&body);
    json_object_end(result);
    json_line_end(result);
    return true;
}

/* ---- the commands ---- */

static int run_register(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    (void)wrong;
    return each_account(s, argc, argv, result, roam_account_register);
}

static int run_unregister(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    (void)wrong;
    return each_account(s, argc, argv, result, roam_account_unregister);
}

static int run_call(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id = 0;
    uint32_t account = 0;
    if (argc < 2 || argc > 3 || (argc == 3 && !number(argv[2], &account)))
        return ROAM_EINVAL;
    int err = cli_session_make_call(s, account, argv[1], &id, wrong);
    if (id)
        json_u64(result, "call", id);
    return err;
}

static int run_answer(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    int err = call_argument(s, argc > 1 ? argv[1] : NULL, RINGING, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    return cli_session_answer(s, id, wrong);
}

static int run_reject(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    uint32_t code = 0;
    if (argc > 2 && !number(argv[2], &code))
        return ROAM_EINVAL;
    int err = call_argument(s, argc > 1 ? argv[1] : NULL, RINGING, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    return roam_call_reject(cli_session_ua(s), id, code);
}

static int run_on_call(cli_session *s, int argc, char **argv, json *result, const char **wrong, unsigned states, int (*fn)(roam_ua *, roam_call_id))
{
    roam_call_id id;
    int err = call_argument(s, argc > 1 ? argv[1] : NULL, states, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    return fn(cli_session_ua(s), id);
}

static int run_hold(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    return run_on_call(s, argc, argv, result, wrong, TALKING, roam_call_hold);
}

static int run_resume(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    return run_on_call(s, argc, argv, result, wrong, TALKING, roam_call_resume);
}

static int run_hangup(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    return run_on_call(s, argc, argv, result, wrong, LIVE, roam_call_hangup);
}

static int run_dtmf(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    if (argc != 3)
        return ROAM_EINVAL;
    int err = call_argument(s, argv[1], TALKING, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    return roam_call_dtmf(cli_session_ua(s), id, argv[2]);
}

static int run_transfer(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    if (argc != 3)
        return ROAM_EINVAL;
    int err = call_argument(s, argv[1], TALKING, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    return roam_call_transfer(cli_session_ua(s), id, argv[2]);
}

static int run_transfer_to_call(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id, other;
    if (argc != 3)
        return ROAM_EINVAL;
    int err = call_argument(s, argv[1], TALKING, &id, wrong);
    if (!err)
        err = call_argument(s, argv[2], TALKING, &other, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    json_u64(result, "other_call", other);
    return roam_call_transfer_to_call(cli_session_ua(s), id, other);
}

/* The call may be over by now, and its id is good all the same. */
static int asked_argument(cli_session *s, const char *text, roam_call_id *id, const char **wrong)
{
    *id = s->transfer_asked;
    if (text)
        return number(text, id) ? 0 : ROAM_EINVAL;
    *wrong = *id ? NULL : "nobody asked for a transfer";
    return *id ? 0 : ROAM_ENOTFOUND;
}

static int run_accept_transfer(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id, new_id = 0;
    int err = asked_argument(s, argc > 1 ? argv[1] : NULL, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    err = cli_session_accept_transfer(s, id, &new_id, wrong);
    if (new_id)
        json_u64(result, "new_call", new_id);
    return err;
}

static int run_reject_transfer(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    uint32_t code = 0;
    if (argc > 2 && !number(argv[2], &code))
        return ROAM_EINVAL;
    int err = asked_argument(s, argc > 1 ? argv[1] : NULL, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    return roam_call_transfer_reject(cli_session_ua(s), id, code);
}

static int run_source(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    roam_audio_source *source;
    if (argc != 3)
        return ROAM_EINVAL;
    int err = call_argument(s, argv[1], LIVE, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    *wrong = sound_source(argv[2], &source);
    return *wrong ? ROAM_EIO : roam_call_set_source(cli_session_ua(s), id, source);
}

static int run_sink(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    roam_audio_sink *sink;
    if (argc != 3)
        return ROAM_EINVAL;
    int err = call_argument(s, argv[1], LIVE, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    *wrong = sound_sink(argv[2], id, &sink);
    return *wrong ? ROAM_EIO : roam_call_set_sink(cli_session_ua(s), id, sink);
}

static int run_subscribe(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_subscription_config config = {.event = argc > 1 ? argv[1] : NULL, .uri = argc > 2 && strcmp(argv[2], "-") != 0 ? argv[2] : NULL};
    roam_subscription_id id = 0;
    if (argc < 2 || argc > 4 || (argc == 4 && !number(argv[3], &config.account))) {
        *wrong = "EVENT, then the URI or -, then the account";
        return ROAM_EINVAL;
    }
    const int err = roam_subscribe(cli_session_ua(s), &config, &id);
    if (id)
        json_u64(result, "subscription", id);
    return err;
}

static int run_unsubscribe(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_subscription_id id;
    (void)wrong;
    if (argc != 2 || !number(argv[1], &id))
        return ROAM_EINVAL;
    json_u64(result, "subscription", id);
    return roam_unsubscribe(cli_session_ua(s), id);
}

/* "\\n" is a line end, "\\\\" a backslash; in place. */
static roam_span body_of(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] == 'n') {
            *to++ = '\r'; /* two bytes for two */
            *to++ = '\n';
            from++;
        } else {
            from += from[0] == '\\' && from[1] == '\\';
            *to++ = *from;
        }
    }
    return (roam_span){text, (size_t)(to - text)};
}

static int run_message(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_message_id id = 0;
    if (argc != 3) {
        *wrong = "to whom, then the text";
        return ROAM_EINVAL;
    }
    const int err = roam_message_send(cli_session_ua(s), 0, argv[1], NULL, body_of(argv[2]), &id);
    if (id)
        json_u64(result, "message", id);
    return err;
}

static int run_info(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_call_id id;
    if (argc < 3) {
        *wrong = "the call, the type, then the body";
        return ROAM_EINVAL;
    }
    const int err = call_argument(s, argv[1], LIVE, &id, wrong);
    if (err)
        return err;
    json_u64(result, "call", id);
    return roam_call_send_info(cli_session_ua(s), id, argv[2], argc > 3 ? body_of(argv[3]) : (roam_span){0});
}

static int run_ip_change(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    static const char *const words[] = {"restart-listener=no", "restart-listener=yes", "shutdown-transport=no", "shutdown-transport=yes", NULL};
    roam_ip_change_param param;
    (void)result;
    roam_ip_change_param_default(&param);
    for (int i = 1; i < argc; i++) {
        const int word = options_word(argv[i], words);
        if (word >= 0 && word < 2) {
            param.restart_listener = word == 1;
        } else if (word >= 2) {
            param.shutdown_transport = word == 3;
        } else if (strncmp(argv[i], "restart-delay=", 14) != 0 || !number(argv[i] + 14, &param.restart_listener_delay_ms)) {
            *wrong = "restart-listener=yes|no, restart-delay=MS or shutdown-transport=yes|no";
            return ROAM_EINVAL;
        }
    }
    return roam_handle_ip_change(cli_session_ua(s), &param);
}

static int run_status(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    roam_ua *ua = cli_session_ua(s);
    (void)argc, (void)argv, (void)wrong;
    const size_t naccounts = roam_account_list(ua, NULL, 0), ncalls = roam_call_list(ua, NULL, 0), nsubs = roam_subscription_list(ua, NULL, 0);
    uint32_t *ids = calloc(naccounts + ncalls + nsubs + 1, sizeof *ids);
    if (!ids)
        return ROAM_ENOMEM;
    roam_account_list(ua, ids, naccounts);
    roam_call_list(ua, ids + naccounts, ncalls);
    roam_subscription_list(ua, ids + naccounts + ncalls, nsubs);
    json_array(result, "accounts");
    for (size_t i = 0; i < naccounts; i++)
        account_write(result, s, ids[i]);
    json_array_end(result);
    json_array(result, "calls");
    for (size_t i = 0; i < ncalls; i++)
        call_write(result, s, ids[naccounts + i]);
    json_array_end(result);
    json_array(result, "subscriptions");
    for (size_t i = 0; i < nsubs; i++)
        subscription_write(result, s, ids[naccounts + ncalls + i]);
    json_array_end(result);
    counters_write(result, s);
    free(ids);
    return 0;
}

static int run_quit(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    (void)argc, (void)argv, (void)result, (void)wrong;
    cli_session_leave(s);
    return 0;
}

static int run_help(cli_session *s, int argc, char **argv, json *result, const char **wrong)
{
    (void)s, (void)argc, (void)argv, (void)wrong;
    json_array(result, "commands");
    for (const cli_command *c = commands; c->name; c++) {
        json_object(result, NULL);
        json_text(result, "name", c->name);
        json_text(result, "arguments", c->arguments);
        json_text(result, "help", c->help);
        json_object_end(result);
    }
    json_array_end(result);
    return 0;
}

const cli_command commands[] = {
    {"register", "[ACCOUNT]", "register now; without a number all accounts", run_register, 0},
    {"unregister", "[ACCOUNT]", "take the registration back", run_unregister, 0},
    {"call", "URI [ACCOUNT]", "call somebody: sip:bob@example.com, or bob in the account's own domain", run_call, 0},
    {"answer", "[CALL]", "answer an incoming call", run_answer, 0},
    {"reject", "[CALL] [CODE]", "refuse an incoming call, with 486 or another status", run_reject, 0},
    {"hold", "[CALL]", "hold", run_hold, 0},
    {"resume", "[CALL]", "take the hold back", run_resume, 0},
    {"dtmf", "CALL DIGITS", "send digits: 0-9 * # A-D", run_dtmf, 0},
    {"hangup", "[CALL]", "end a call in any state", run_hangup, 0},
    {"transfer", "CALL URI", "ask the peer to call somebody else", run_transfer, 0},
    {"transfer-to-call", "CALL CALL", "ask the peer of the first call to take our place in the second", run_transfer_to_call, 0},
    {"accept-transfer", "[CALL]", "call whom the peer asked us to call", run_accept_transfer, 0},
    {"reject-transfer", "[CALL] [CODE]", "do not, with 603 or another status", run_reject_transfer, 0},
    {"source", "CALL WHAT", "play something else: tone:HZ, a sound file, null", run_source, 0},
    {"sink", "CALL FILE", "record elsewhere; null: nowhere", run_sink, 0},
    {"subscribe", "EVENT [URI|-] [ACCOUNT]", "be told of a state: message-summary, reg, ...; of the account itself, or of somebody", run_subscribe, 0},
    {"unsubscribe", "SUBSCRIPTION", "no more of it", run_unsubscribe, 0},
    {"message", "URI TEXT", "send a text, from the first account; \\n in it is a line end", run_message, 2},
    {"info", "CALL TYPE [TEXT]", "send a body of this media type in the call", run_info, 3},
    {"ip-change", "[OPTION...]", "say that the network changed: restart-listener=yes|no restart-delay=MS shutdown-transport=yes|no", run_ip_change, 0},
    {"status", "", "accounts, calls, counters", run_status, 0},
    {"quit", "", "end the calls, unregister, leave", run_quit, 0},
    {"help", "", "this list", run_help, 0},
    {0},
};

/* ---- arguments ---- */

static const cli_command *command_find(const char *name)
{
    for (const cli_command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

static bool number(const char *text, uint32_t *out)
{
    uint64_t n;
    if (options_number(text, 0, UINT32_MAX, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

/* The first error counts; the others are tried all the same. */
static int each_account(cli_session *session, int argc, char **argv, json *result, int (*fn)(roam_ua *, roam_account_id))
{
    roam_ua *ua = cli_session_ua(session);
    uint32_t id;
    if (argc > 1) {
        if (!number(argv[1], &id))
            return ROAM_EINVAL;
        json_u64(result, "account", id);
        return fn(ua, id);
    }
    const size_t n = roam_account_list(ua, NULL, 0);
    uint32_t *ids = calloc(n + 1, sizeof *ids);
    if (!ids)
        return ROAM_ENOMEM;
    roam_account_list(ua, ids, n);
    int first = n ? 0 : ROAM_ENOTFOUND;
    for (size_t i = 0; i < n; i++) {
        int err = fn(ua, ids[i]);
        first = first ? first : err;
    }
    free(ids);
    return first;
}

/* A number, or nothing: then the newest call in one of these states. */
static int call_argument(cli_session *session, const char *text, unsigned states, roam_call_id *id, const char **wrong)
{
    roam_call_info info;
    if (text)
        return number(text, id) ? 0 : ROAM_EINVAL;
    *id = 0;
    for (const known_call *call = session->calls; call; call = call->next)
        if (roam_call_get_info(cli_session_ua(session), call->id, &info) == 0 && (states & 1u << info.state))
            *id = call->id;
    if (*id)
        return 0;
    *wrong = states == RINGING ? "no call rings" : states == TALKING ? "there is no call in progress" : "there is no call";
    return ROAM_ENOTFOUND;
}
