/* The BYE of a dialog that no call holds any more: said again after a challenge and on another path, for as long as a peer would wait, then forgotten. */
#ifndef ROAM_UA_FAREWELL_H
#define ROAM_UA_FAREWELL_H

#include "sip/dialog.h"
#include "ua/account.h"

/* Takes the dialog (which is zeroed). It leaves when there is a path; where there is no memory to wait, once, by `flow` (which may be NULL). */
void farewell_say(roam_account *account, roam_dialog *dialog, roam_flow *flow);
void farewell_look_all(roam_ua *ua); /* the paths may be others now */
void farewell_free_all(roam_ua *ua); /* with the agent */

#endif
