/* roam_addr and the sockets' own form of it. */
#ifndef ROAM_EDGE_ADDRESS_H
#define ROAM_EDGE_ADDRESS_H

#include <sys/socket.h>

#include "roam/base.h"

/* Fills `out`; 0 for an address that is none. `link` is the scope of a link-local address that names none itself. */
socklen_t address_to_sockaddr(const roam_addr *addr, uint32_t link, struct sockaddr_storage *out);
/* False for a family that is not IP; IPv4 in an IPv6 socket's form becomes IPv4. */
bool address_from_sockaddr(const struct sockaddr *in, roam_addr *out);
/* `bytes` in network order, 4 or 16 of them. `link` becomes the scope where the address is link-local. */
roam_ip address_ip(uint8_t family, const void *bytes, uint32_t link);
bool address_is_link_local(const roam_ip *ip); /* fe80::/10 only: IPv4 has no scope */
bool address_is_loopback(const roam_ip *ip);   /* 127.0.0.0/8 and ::1 */
static inline size_t address_length(const roam_ip *ip)
{
    return ip->family == 4 ? 4 : ip->family == 6 ? 16 : 0;
}

#endif
