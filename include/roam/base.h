/**
 * @file base.h
 * The types that every other roam header uses: time, text, addresses, errors, memory.
 *
 * Thread rules for all of roam: one agent lives on one thread. Two agents in one process share nothing, so each may have
 * a thread of its own. The only function that another thread may call is `roam_post()` (roam.h).
 */
#ifndef ROAM_BASE_H
#define ROAM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ROAM_API __attribute__((visibility("default")))
#else
#define ROAM_API
#endif

/** Microseconds on a clock that never goes back. Its zero means nothing; only differences do. */
typedef uint64_t roam_time;

/** A deadline that never comes. */
#define ROAM_NEVER UINT64_MAX
#define ROAM_MS(n) ((roam_time)(n)*1000u)
#define ROAM_SECONDS(n) ((roam_time)(n)*1000000u)

/** Bytes that belong to somebody else. Not terminated by NUL; `ptr` may be NULL when `len` is 0. */
typedef struct roam_span {
    const char *ptr;
    size_t len;
} roam_span;

/** Every function that can fail returns 0 or one of these. The first error of an operation wins. */
typedef enum roam_err {
    ROAM_OK = 0,
    ROAM_ENOMEM = -1,       /**< the allocator refused */
    ROAM_EINVAL = -2,       /**< an argument or a configuration value is wrong */
    ROAM_ESYNTAX = -3,      /**< bytes that do not follow their grammar */
    ROAM_ELIMIT = -4,       /**< a stated limit was reached (see lib/base/limits.h) */
    ROAM_ENOTFOUND = -5,    /**< no such account, call, header, file, ... */
    ROAM_ESTATE = -6,       /**< not possible in the present state, e.g. resume of a call that is not held */
    ROAM_EOFFLINE = -7,     /**< no path to the destination at the moment */
    ROAM_EUNSUPPORTED = -8, /**< understood, and deliberately not done (auth-int, an unknown codec, ...) */
    ROAM_EAUTH = -9,        /**< credentials were refused, or none are configured for the challenge */
    ROAM_EOVERFLOW = -10,   /**< does not fit into the space given */
    ROAM_EIO = -11,         /**< the operating system refused; the edge says why in the trace */
    ROAM_EBUSY = -12,       /**< the same thing is under way already */
    ROAM_ETIMEOUT = -13     /**< nobody answered in time */
} roam_err;

/** A short English phrase for an error, never NULL, static. */
ROAM_API const char *roam_strerror(int err);

/** An IP address. `family` is 4, 6, or 0 for "none". IPv4 uses the first four of `bytes`, network order. */
typedef struct roam_ip {
    uint8_t family;
    uint8_t bytes[16];
    uint32_t scope; /**< the link of an IPv6 link-local address, else 0 */
} roam_ip;

/** An address and a port (host order). */
typedef struct roam_addr {
    roam_ip ip;
    uint16_t port;
} roam_addr;

/** Enough for any `roam_ip_format()` or `roam_addr_format()` result and its NUL. */
#define ROAM_ADDR_TEXT_MAX 64

/** Parses "192.0.2.1", "2001:db8::1", "fe80::1%3" or "[2001:db8::1]". ROAM_ESYNTAX when it is none of them. */
ROAM_API int roam_ip_parse(roam_span text, roam_ip *out);
/** Parses "192.0.2.1:5060", "[2001:db8::1]:5060", or an address alone (port 0). */
ROAM_API int roam_addr_parse(roam_span text, roam_addr *out);
/** Writes the address as RFC 5952 says, NUL-terminated, into `out` of ROAM_ADDR_TEXT_MAX bytes. Returns its length. */
ROAM_API size_t roam_ip_format(const roam_ip *ip, char *out);
/** The same with ":port"; IPv6 in brackets. */
ROAM_API size_t roam_addr_format(const roam_addr *addr, char *out);
ROAM_API bool roam_ip_equal(const roam_ip *a, const roam_ip *b);
ROAM_API bool roam_addr_equal(const roam_addr *a, const roam_addr *b);

/**
 * Where memory comes from. `realloc(user, NULL, n)` allocates, `realloc(user, p, 0)` frees and returns NULL; a NULL result
 * for n > 0 is a refusal, which roam survives with ROAM_ENOMEM. Called on the agent's thread only.
 */
typedef struct roam_allocator {
    void *(*realloc)(void *user, void *ptr, size_t size);
    void *user;
} roam_allocator;

#ifdef __cplusplus
}
#endif
#endif
