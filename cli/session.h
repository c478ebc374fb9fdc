/* An agent with its loop, its signals, its trace and its calls: what agent, phone, register and call stand on. */
#ifndef ROAM_CLI_SESSION_H
#define ROAM_CLI_SESSION_H

#include <uv.h>

#include "cli/settings.h"
#include "cli/tracefile.h"

/* What is remembered of a call, since the agent forgets it when it ends. */
typedef struct known_call {
    struct known_call *next;
    struct cli_session *session;
    roam_call_id id;
    roam_account_id account;
    bool outgoing;
    char remote[256];
    roam_time confirmed_at; /* 0: not yet */
    uv_timer_t answer_timer;
    bool answer_timer_open;
    bool over;
} known_call;

typedef struct cli_session {
    cli_settings *settings;
    uv_loop_t loop;
    roam_agent *agent;
    cli_tracefile trace;
    uv_signal_t interrupt, terminate;
    uv_timer_t flush_timer;
    unsigned signals;    /* that came */
    bool leaving;        /* shutdown is under way */
    bool left;           /* and done */
    known_call *calls;     /* oldest first */
    roam_call_id transfer_asked; /* the call whose peer asked last to be transferred; 0: none */
    /* What the subcommand wants to know. The call of an event is still in `calls` while this runs. */
    void (*event)(struct cli_session *session, const roam_event *event);
    void *user;
} cli_session;

/* 0, or an exit status: what is wrong was said. Adds the accounts. */
int cli_session_open(cli_session *session, cli_settings *settings, void (*event)(cli_session *, const roam_event *), void *user);
/* Until somebody leaves. */
void cli_session_run(cli_session *session);
/* Ends calls, unregisters, then cli_session_run() returns. Again: at once. */
void cli_session_leave(cli_session *session);
/* Handles that others opened on the loop must be closing by now. */
void cli_session_close(cli_session *session);

static inline roam_ua *cli_session_ua(cli_session *session)
{
    return roam_agent_ua(session->agent);
}
known_call *cli_session_call(cli_session *session, roam_call_id id); /* NULL: unknown */

/* Commands with the source and sink of the settings. `*wrong` (where the sound is at fault) says more than the roam_err. */
int cli_session_make_call(cli_session *session, roam_account_id account, const char *uri, roam_call_id *id, const char **wrong);
int cli_session_answer(cli_session *session, roam_call_id id, const char **wrong);
/* Calls whom the peer of `id` wants us to call. */
int cli_session_accept_transfer(cli_session *session, roam_call_id id, roam_call_id *new_id, const char **wrong);

#endif
