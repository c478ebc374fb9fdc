/* Every limit on what a peer can make grow, in one place. */
#ifndef ROAM_BASE_LIMITS_H
#define ROAM_BASE_LIMITS_H

#define ROAM_MAX_MESSAGE 65535u       /* bytes of a SIP message: what UDP carries */
#define ROAM_MAX_HEADERS 256u         /* header lines of a message; more: 400 or dropped */
#define ROAM_MAX_VIAS 70u             /* Max-Forwards' usual start */
#define ROAM_MAX_ROUTES 32u           /* Record-Route entries of a dialog */
#define ROAM_MAX_URI 4096u            /* bytes; longer: 414 */
#define ROAM_MAX_SDP_MEDIA 16u        /* m= lines */
#define ROAM_MAX_SDP_ATTRIBUTES 512u  /* a= lines of a session */
#define ROAM_MAX_SDP_FORMATS 1024u    /* bytes of the formats of an m= line: all payload types take 401 */
#define ROAM_MAX_SDP_LINES 128u       /* lines of other types that are only kept */
#define ROAM_MAX_TRANSACTIONS 20000u  /* client and server together */
#define ROAM_MAX_INCOMING_CALLS 64u   /* ringing at once; more: 486 */
#define ROAM_MAX_INCOMING_SHARE 16u   /* of them from one address that is not the account's own server; more: 486 */
#define ROAM_MAX_CALLS 2048u
#define ROAM_MAX_LINGERING 256u       /* calls that are over, whose dialogs wait for the end of a transfer */
#define ROAM_MAX_ACCOUNTS 16384u
#define ROAM_MAX_SUBSCRIPTIONS 32768u /* of ours, all accounts together */
#define ROAM_MAX_PAGES 256u           /* MESSAGEs of ours on their way at once */
#define ROAM_MAX_BODY 32768u          /* bytes of a NOTIFY, MESSAGE or INFO that are given to the application; more: 413 */
#define ROAM_MAX_INFO_BODY 8192u      /* bytes of an INFO of ours */
#define ROAM_MAX_OUTPUTS 65536u       /* queued for the edge; an edge that drains never sees it */
#define ROAM_MAX_FORKS 16u            /* early dialogs of one INVITE */
#define ROAM_MAX_CHALLENGES 4u        /* new nonces accepted for one request before it fails */
#define ROAM_MAX_FAREWELLS 64u        /* good-byes to dialogs that no call holds, at once */
#define ROAM_MAX_BINDINGS 32u         /* contacts of one AOR at the test registrar */
#define ROAM_MAX_RETRY_AFTER 1800u    /* seconds: a registrar that asks for more is asked again then */
#define ROAM_MAX_CALL_RETRY_AFTER 32u /* seconds: for a request in a call, which cannot wait for half an hour */

#endif
