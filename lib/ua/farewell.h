/* The BYE of a dialog that no call holds any more: sent, challenged, answered, forgotten. */
#ifndef ROAM_UA_FAREWELL_H
#define ROAM_UA_FAREWELL_H

#include "sip/dialog.h"
#include "ua/account.h"

/* Takes the dialog (which is zeroed), also where there is no memory for a good-bye. `flow` NULL or not usable: nothing is sent. */
void farewell_say(roam_account *account, roam_dialog *dialog, roam_flow *flow);
void farewell_free_all(roam_ua *ua); /* with the agent */

#endif
