/* Errors in words. */
#include "roam/base.h"

const char *roam_strerror(int err)
{
    switch ((roam_err)err) {
    case ROAM_OK: return "no error";
    case ROAM_ENOMEM: return "out of memory";
    case ROAM_EINVAL: return "invalid argument";
    case ROAM_ESYNTAX: return "syntax error";
    case ROAM_ELIMIT: return "limit reached";
    case ROAM_ENOTFOUND: return "not found";
    case ROAM_ESTATE: return "not possible in this state";
    case ROAM_EOFFLINE: return "no network path to the destination";
    case ROAM_EUNSUPPORTED: return "not supported";
    case ROAM_EAUTH: return "authentication failed";
    case ROAM_EOVERFLOW: return "does not fit";
    case ROAM_EIO: return "refused by the operating system";
    case ROAM_EBUSY: return "already under way";
    case ROAM_ETIMEOUT: return "no answer in time";
    }
    return "unknown error";
}
