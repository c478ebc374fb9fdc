/* Subscriptions (RFC 6665): a dialog that is kept alive, renewed, and moved with its account. */
#include "ua/ua.h"

const char *roam_subscription_state_text(roam_subscription_state state)
{
    static const char *const text[] = {"waiting", "subscribing", "pending", "active", "ended"};
    return (unsigned)state < sizeof text / sizeof *text ? text[state] : "";
}
