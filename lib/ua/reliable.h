/* The caller's half of reliable provisional responses (RFC 3262), for one early dialog: which ones came, and the PRACK that is owed.
 *
 * They are taken in the order of their RSeq; one that comes too early is dropped and comes again. Each gets its PRACK, one at a time. A PRACK whose path is gone is
 * sent anew on the next one; a callee that had it already says 481, which is as good. */
#ifndef ROAM_UA_RELIABLE_H
#define ROAM_UA_RELIABLE_H

#include "ua/credentials.h"
#include "ua/ua.h"

struct roam_early_dialog;

typedef enum roam_pracks_verdict {
    RELIABLE_NOT,   /* an ordinary provisional response */
    RELIABLE_NEXT,  /* the next one: to be handled, its PRACK is owed */
    RELIABLE_AGAIN, /* had already: nothing but its PRACK, if that is still owed, matters */
    RELIABLE_DROP   /* out of order, or without a usable RSeq */
} roam_pracks_verdict;

typedef struct roam_pracks {
    bool begun;
    uint32_t first, last;   /* RSeq of the first and the latest response taken */
    uint32_t done;          /* PRACKs answered; owed are those up to last - first + 1 */
    bool repeated;          /* the PRACK under way was sent by another path before */
    roam_client_txn *prack;
    roam_auth_attempt attempt;
} roam_pracks;

/* What is this 101..199 of the dialog? Records it. */
roam_pracks_verdict pracks_take(roam_pracks *r, const roam_message *response);
/* Is a PRACK owed or under way? */
static inline bool pracks_owes(const roam_pracks *r)
{
    return r->begun && r->done <= r->last - r->first;
}
/* Sends the PRACK that is owed, if none is under way, toward `flow`. */
void pracks_run(struct roam_early_dialog *early, roam_flow *flow);
/* The path of the PRACK under way is no more. */
void pracks_path_lost(roam_pracks *r);
/* No more PRACKs. */
void pracks_stop(roam_pracks *r);

#endif
