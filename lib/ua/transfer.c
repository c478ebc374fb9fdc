/* Transfers (RFC 3515, 5589): REFER both ways, and the news of how it goes. */
#include "ua/call.h"

const char *roam_transfer_state_text(roam_transfer_state state)
{
    static const char *const text[] = {"none", "pending", "accepted", "done", "failed"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "";
}
