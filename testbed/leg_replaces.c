/* The callee's side of Replaces (RFC 3891 3): one call takes the place of another. */
#include "testbed/leg_inside.h"

static roam_leg *find_replaced(const roam_leg *leg, roam_span call_id, roam_span to_tag, roam_span from_tag);

bool leg_replace(roam_leg *leg, const roam_message *invite)
{
    roam_peer *peer = leg->peer;
    roam_span value = message_value(invite, HEADER_REPLACES), params, to_tag = {0}, from_tag = {0}, flag;
    if (!value.len || peer->config.no_replaces)
        return false;
    roam_span call_id = span_trim(span_cut(value, ';', &params));
    (void)param_find(params, SPAN("to-tag"), &to_tag);
    (void)param_find(params, SPAN("from-tag"), &from_tag);
    if (message_next(invite, HEADER_REPLACES, message_first(invite, HEADER_REPLACES)) >= 0 || !call_id.len ||
        !to_tag.len || !from_tag.len) {
        (void)leg_reject(leg, 400);
        return true;
    }
    roam_leg *old = find_replaced(leg, call_id, to_tag, from_tag);
    bool confirmed = old && (old->state == LEG_CONFIRMED || old->state == LEG_CLOSING);
    if (!old || old->state == LEG_RINGING || old->state == LEG_CANCELLING) {
        (void)leg_reject(leg, 481); /* none, or an early one that is not ours to replace */
    } else if (old->state == LEG_ENDED || old->state == LEG_CLOSING) {
        (void)leg_reject(leg, 603);
    } else if (confirmed && param_find(params, SPAN("early-only"), &flag)) {
        (void)leg_reject(leg, 486);
    } else {
        peer_event(peer, PEER_CALL_INCOMING, leg, 0, "replaces");
        if (leg_answer(leg) != ROAM_OK || leg->state != LEG_CONFIRMED)
            return true;
        old->end_why = "replaced";
        accept_stop(&old->accept);
        (void)(confirmed ? leg_send_bye(old) : leg_hangup(old)); /* an early one of ours: CANCEL */
    }
    return true;
}

/* The newest first: one that ended long ago may have the same name by chance only. */
static roam_leg *find_replaced(const roam_leg *leg, roam_span call_id, roam_span to_tag, roam_span from_tag)
{
    roam_leg *found = NULL;
    list_each (other, &leg->peer->legs, roam_leg, node)
        if (other != leg && other->dialog.remote_tag && span_eq(call_id, span_of(other->dialog.call_id)) &&
            span_eq(to_tag, span_of(other->dialog.local_tag)) && span_eq(from_tag, span_of(other->dialog.remote_tag)))
            found = other;
    return found;
}
