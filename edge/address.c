/* roam_addr and the sockets' own form of it. */
#include "edge/address.h"

#include <netinet/in.h>
#include <string.h>

socklen_t address_to_sockaddr(const roam_addr *addr, uint32_t link, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (addr->ip.family == 4) {
        struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
        memcpy(&sin.sin_addr, addr->ip.bytes, 4);
        memcpy(out, &sin, sizeof sin);
        return sizeof sin;
    }
    if (addr->ip.family == 6) {
        struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(addr->port)};
        memcpy(&sin6.sin6_addr, addr->ip.bytes, 16);
        if (address_is_link_local(&addr->ip))
            sin6.sin6_scope_id = addr->ip.scope ? addr->ip.scope : link;
        memcpy(out, &sin6, sizeof sin6);
        return sizeof sin6;
    }
    return 0;
}

bool address_from_sockaddr(const struct sockaddr *in, roam_addr *out)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* RFC 4291 2.5.5.2 */
    if (in->sa_family == AF_INET) {
        struct sockaddr_in sin;
        memcpy(&sin, in, sizeof sin);
        *out = (roam_addr){address_ip(4, &sin.sin_addr, 0), ntohs(sin.sin_port)};
        return true;
    }
    if (in->sa_family == AF_INET6) {
        struct sockaddr_in6 sin6;
        memcpy(&sin6, in, sizeof sin6);
        const uint8_t *bytes = sin6.sin6_addr.s6_addr;
        if (memcmp(bytes, mapped, sizeof mapped) == 0)
            *out = (roam_addr){address_ip(4, bytes + 12, 0), ntohs(sin6.sin6_port)};
        else
            *out = (roam_addr){address_ip(6, bytes, sin6.sin6_scope_id), ntohs(sin6.sin6_port)};
        return true;
    }
    return false;
}

roam_ip address_ip(uint8_t family, const void *bytes, uint32_t link)
{
    roam_ip ip = {.family = family};
    memcpy(ip.bytes, bytes, address_length(&ip));
    if (address_is_link_local(&ip))
        ip.scope = link;
    return ip;
}

bool address_is_link_local(const roam_ip *ip)
{
    return ip->family == 6 && ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

bool address_is_loopback(const roam_ip *ip)
{
    static const uint8_t one[16] = {[15] = 1};
    if (ip->family == 4)
        return ip->bytes[0] == 127;
    return ip->family == 6 && memcmp(ip->bytes, one, sizeof one) == 0;
}
