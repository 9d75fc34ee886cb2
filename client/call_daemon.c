/* Requests about events and about the daemon itself. */
#include "client/call.h"

int stillpoint_subscribe(struct stillpoint *sp, const struct stillpoint_subscription *subscription,
                         uint64_t *ret_last_seq)
{
    Stillpoint__Api__Subscribe m = STILLPOINT__API__SUBSCRIBE__INIT;
    conn_envelope e = CONN_ENVELOPE(SUBSCRIBE, subscribe, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    size_t n = subscription->kinds ? subscription->n_kinds : 0;
    _cleanup_free_ Stillpoint__Api__EventKind *kinds = calloc(n + 1, sizeof *kinds);
    if (!kinds)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        kinds[i] = (Stillpoint__Api__EventKind)subscription->kinds[i];
    m.kinds = kinds;
    m.n_kinds = n;
    CONN_SET(m, since_seq, subscription->since_seq);
    CONN_SET(m, replay, subscription->replay);
    CONN_SET(m, once, subscription->once);
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_SUBSCRIBE_REPLY, &reply);
    if (r == 0)
        *ret_last_seq = reply->subscribe_reply->last_seq;
    return r;
}

int stillpoint_unsubscribe(struct stillpoint *sp)
{
    Stillpoint__Api__Unsubscribe m = STILLPOINT__API__UNSUBSCRIBE__INIT;
    conn_envelope e = CONN_ENVELOPE(UNSUBSCRIBE, unsubscribe, &m);
    return conn_call_done(sp, &e, -1);
}

int stillpoint_doctor(struct stillpoint *sp, struct stillpoint_checkup *ret_checkup)
{
    Stillpoint__Api__Doctor m = STILLPOINT__API__DOCTOR__INIT;
    conn_envelope e = CONN_ENVELOPE(DOCTOR, doctor, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    if (!memory)
        return -ENOMEM;
    int r = conn_call(sp, &e, -1, STILLPOINT__API__ENVELOPE__BODY_DOCTOR_REPLY, &reply);
    if (r != 0)
        return r;
    struct stillpoint_checkup checkup;
    decode_checkup(memory, reply->doctor_reply, &checkup);
    if (memory_failed(memory))
        return -ENOMEM;
    checkup.memory = TAKE_PTR(memory);
    *ret_checkup = checkup;
    return 0;
}

void *stillpoint_checkup_free(struct stillpoint_checkup *checkup)
{
    CALL_FREE(checkup);
}
