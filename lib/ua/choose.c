#include "ua/choose.h"

#include "ua/watch.h"
#include "ua/ua.h"

bool choose_reachable(const roam_ua *ua, const roam_net_dest *dest, uint32_t link, roam_ip *source, uint32_t *source_link)
{
    if (!net_route(ua, dest, link, source, source_link))
        return false;
    if (!watch_dead(ua, dest, source, *source_link))
        return true;
    const roam_net_hop *around = &dest->detour;
    if (!around->ip.family || (link && link != around->link) || !net_addr(ua, &around->ip, around->link) ||
        watch_dead(ua, dest, &around->ip, around->link))
        return false;
    *source = around->ip;
    *source_link = around->link;
    return true;
}

/* ---- the application's say ---- */

static bool same_addr(const roam_net_addr *a, const roam_net_addr *b)
{
    return roam_ip_equal(&a->ip, &b->ip) && a->link == b->link && a->flags == b->flags && (!a->network || !b->network || a->network == b->network);
}

static roam_path_choice ask(roam_ua *ua, const roam_net_dest *dest, const roam_net_addr *from, const roam_net_addr *to)
{
    roam_choose *c = &ua->choose;
    for (size_t i = 0; i < CHOICES_KEPT; i++)
        if (c->kept[i].given && same_addr(&c->kept[i].from, from) && same_addr(&c->kept[i].to, to))
            return c->kept[i].choice;
    roam_path_offer offer = {.from = *from, .to = *to, .destination = dest->ip};
    roam_path_choice choice = ua->config.choose_path(ua->config.choose_path_user, &offer);
    c->kept[c->next] = (roam_choice){true, *from, *to, choice};
    c->next = (c->next + 1) % CHOICES_KEPT;
    static const char *const text[] = {"both", "move", "stay"};
    char before[ROAM_ADDR_TEXT_MAX], after[ROAM_ADDR_TEXT_MAX];
    roam_ip_format(&from->ip, before);
    roam_ip_format(&to->ip, after);
    trace_path(&ua->env.trace, "choice", to->link, before, after, (unsigned)choice < 3 ? text[choice] : "both");
    return choice;
}

bool choose_leaves(const roam_ua *ua, const roam_ip *source, uint32_t link)
{
    for (size_t i = 0; i < CHOICES_KEPT; i++) {
        const roam_choice *c = &ua->choose.kept[i];
        if (c->given && c->choice == ROAM_PATH_MOVE && roam_ip_equal(&c->from.ip, source) && c->from.link == link)
            return true;
    }
    return false;
}

void choose_died(roam_ua *ua, const roam_ip *source, uint32_t link)
{
    for (size_t i = 0; i < CHOICES_KEPT; i++) {
        roam_choice *c = &ua->choose.kept[i];
        if (c->given && c->choice == ROAM_PATH_STAY && roam_ip_equal(&c->from.ip, source) && c->from.link == link)
            c->choice = ROAM_PATH_BOTH;
    }
}

void choose_review(roam_ua *ua)
{
    for (size_t i = 0; i < CHOICES_KEPT; i++) {
        roam_choice *c = &ua->choose.kept[i];
        const roam_net_addr *from = c->given ? net_addr(ua, &c->from.ip, c->from.link) : NULL;
        const roam_net_addr *to = c->given ? net_addr(ua, &c->to.ip, c->to.link) : NULL;
        c->given = from && to && same_addr(from, &c->from) && same_addr(to, &c->to);
    }
}

bool choose_route(roam_ua *ua, roam_net_dest *dest, uint32_t link, roam_ip *source, uint32_t *source_link)
{
    if (!choose_reachable(ua, dest, link, source, source_link))
        return false;
    if (link)
        return true; /* pinned: the choice is made */
    roam_net_hop *used = &dest->used;
    bool other = used->ip.family && (used->link != *source_link || !roam_ip_equal(&used->ip, source));
    if (other && ua->config.choose_path) {
        const roam_net_addr *from = net_addr(ua, &used->ip, used->link), *to = net_addr(ua, source, *source_link);
        bool works = from && to && !watch_dead(ua, dest, &used->ip, used->link);
        if (works && ask(ua, dest, from, to) == ROAM_PATH_STAY) {
            *source = used->ip;
            *source_link = used->link;
            return true;
        }
    }
    *used = (roam_net_hop){*source, *source_link};
    return true;
}
