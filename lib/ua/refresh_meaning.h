/* What the failure of a refresh means, by its status alone; what follows from it is with call_refresh.c. */
#ifndef ROAM_UA_REFRESH_MEANING_H
#define ROAM_UA_REFRESH_MEANING_H

/* What a failure means (docs/handover.md has the same table with the reasons). */
typedef enum refresh_meaning {
    MEANS_NO,           /* refused for good: everything stays as it was */
    MEANS_CHALLENGE,    /* answered once per fresh nonce */
    MEANS_UNREGISTERED, /* an edge that wants the REGISTER first */
    MEANS_GONE,         /* the dialog is unknown: there, or at an edge that has not seen our REGISTER */
    MEANS_NO_UPDATE,
    MEANS_INTERVAL,     /* our Session-Expires is too short */
    MEANS_MEDIA,        /* the offer is refused */
    MEANS_GLARE,
    MEANS_LATER
} refresh_meaning;

refresh_meaning refresh_meaning_of(unsigned code);

#endif
