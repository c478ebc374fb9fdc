/* INVITE with Replaces (RFC 3891), as the one who is asked: which dialog is meant, whether it may be replaced, and by what.
 *
 * The same party calls from elsewhere (the From of the INVITE is the remote party of the old dialog): the call goes on in the new dialog, the same roam_call with its
 * sound, its hold and its stream. Somebody else: a transfer. A new call begins, answered by itself, and the old one ends. */
#ifndef ROAM_UA_REPLACES_H
#define ROAM_UA_REPLACES_H

#include "ua/call.h"

typedef struct roam_replaces {
    roam_span call_id, to_tag, from_tag;
    bool early_only;
} roam_replaces;
int replaces_parse(roam_span value, roam_replaces *out); /* ROAM_ESYNTAX */

/* An INVITE with Replaces outside of any dialog: answers it, or gives it to a call. */
void replaces_invited(roam_ua *ua, roam_account *account, roam_server_txn *txn, const roam_message *invite);
/* The call that was begun by it has sent its 200: it takes the place of the other. */
void replaces_answered(roam_call *call);
/* Another dialog is about to take the place of the call's: nothing is under way in it any more, and it is remembered, so that the peer may name it. */
void replaces_leave_dialog(roam_call *call);
/* A dialog is over: an INVITE that wants to replace it later is told so (603). */
void replaces_remember_end(roam_call *call);
bool replaces_has_ended(const roam_ua *ua, roam_span call_id, roam_span local_tag, roam_span remote_tag);

#endif
