/* Events, states and figures as JSON: the format of docs/agent.md. */
#ifndef ROAM_CLI_EVENTS_H
#define ROAM_CLI_EVENTS_H

#include "cli/json.h"
#include "cli/session.h"

/* The line of an event, complete. */
void event_write(json *j, cli_session *session, const roam_event *event);
/* {"event":NAME,"time":NOW ... left open: json_object_end() and json_line_end() are the caller's. */
void event_begin(json *j, const char *name);

/* Objects in a line that is being written. */
void account_write(json *j, cli_session *session, roam_account_id id);
void call_write(json *j, cli_session *session, roam_call_id id);
void media_write(json *j, const char *key, const roam_media_stats *stats);
void subscription_write(json *j, cli_session *session, roam_subscription_id id);
void counters_write(json *j, cli_session *session);

const char *hold_text(roam_hold hold);
const char *link_text(roam_link_state link);

#endif
