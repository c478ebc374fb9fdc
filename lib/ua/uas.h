/* Requests of peers: what is answered at once, and who gets the rest. */
#ifndef ROAM_UA_UAS_H
#define ROAM_UA_UAS_H

#include "ua/ua.h"

/* Every request but ACK and CANCEL. */
void uas_request(roam_ua *ua, roam_server_txn *txn, const roam_message *request);

/* A whole small response. `header`: header lines of its own with their CRLF, or "". */
void uas_respond(roam_ua *ua, roam_server_txn *txn, unsigned status, const char *header);
/* The same with the To tag of the dialog, where the transaction has another. */
void uas_respond_tagged(roam_ua *ua, roam_server_txn *txn, unsigned status, const char *header, roam_span tag);
/* Supported: 100rel, unless the account says no. The other extensions are in write_agent_headers. */
struct roam_account;
void uas_write_reliable(const struct roam_account *account, roam_writer *w);
/* Refusals of INVITEs that left, or did not, by a path that is no more leave by another one: a caller must not hear it ring for ever. */
void uas_keep_answers(roam_ua *ua);
/* 500 with a Retry-After of 0 to 10 s (RFC 3261 14.2). */
void uas_respond_retry_after(roam_ua *ua, roam_server_txn *txn);
/* 420 where the request requires an extension that we do not have (RFC 3261 8.2.2.3). True: answered. */
bool uas_refuse_required(roam_ua *ua, roam_server_txn *txn, const roam_message *m);
/* 415 for a body that is not SDP. True: answered. */
bool uas_refuse_body(roam_ua *ua, roam_server_txn *txn, const roam_message *m);

#endif
