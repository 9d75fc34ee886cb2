/* Looking at a whole world. Its answer is a reply, or a sealed memfd beside one, which is judged
 * like anything else that comes from a socket: it has to be sealed, and unpacking has a budget. */
#include "base/fd.h"
#include "client/call.h"
#include "proto/unpack.h"

static void message_free(ProtobufCMessage **message)
{
    unpack_free(*message);
    *message = NULL;
}

static int decode_whole(const Stillpoint__Api__Inspection *i,
                        struct stillpoint_inspection *ret_inspection)
{
    _cleanup_memory_ struct stillpoint_memory *memory = memory_new();
    struct stillpoint_inspection inspection;
    if (!memory)
        return -ENOMEM;
    decode_inspection(memory, i, &inspection);
    if (memory_failed(memory))
        return -ENOMEM;
    inspection.memory = TAKE_PTR(memory);
    *ret_inspection = inspection;
    return 0;
}

static int decode_memfd(int fd, struct stillpoint_inspection *ret_inspection)
{
    const uint8_t *data;
    size_t bytes;
    const char *why;
    /* One that is missing, not sealed or too large is the daemon's fault. */
    if (fd_memfd_map(fd, LIMIT_INSPECTION_BYTES, &data, &bytes) < 0)
        return -EPROTO;
    _cleanup_(message_free) ProtobufCMessage *m =
        unpack_large_message(&stillpoint__api__inspection__descriptor, data, bytes,
                             LIMIT_INSPECTION_ELEMENTS, LIMIT_INSPECTION_UNPACK_BYTES, &why);
    fd_memfd_unmap(data, bytes);
    return m ? decode_whole((const Stillpoint__Api__Inspection *)m, ret_inspection) : -EPROTO;
}

int stillpoint_world_inspect(struct stillpoint *sp, const struct stillpoint_inspect *inspect,
                             struct stillpoint_inspection *ret_inspection)
{
    Stillpoint__Api__InspectWorld m = STILLPOINT__API__INSPECT_WORLD__INIT;
    conn_envelope e = CONN_ENVELOPE(INSPECT_WORLD, inspect_world, &m);
    _cleanup_envelope_ conn_envelope *reply = NULL;
    _cleanup_close_ int fd = -1;
    m.world = conn_text(inspect->world);
    m.debugger = conn_text(inspect->debugger);
    CONN_SET(m, kind, (Stillpoint__Api__InspectKind)inspect->kind);
    CONN_SET(m, deadline_us, inspect->deadline_us);
    CONN_SET(m, wait_us, inspect->wait_us);
    CONN_SET(m, timeout_us, inspect->timeout_us);
    int r = conn_call_for_fd(sp, &e, STILLPOINT__API__ENVELOPE__BODY_INSPECTION, &reply, &fd);
    if (r != 0)
        return r;
    if (reply->inspection->in_memfd)
        return decode_memfd(fd, ret_inspection);
    return decode_whole(reply->inspection, ret_inspection);
}

void *stillpoint_inspection_free(struct stillpoint_inspection *inspection)
{
    CALL_FREE(inspection);
}
