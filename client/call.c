#include "client/call.h"

int call_for_vm(struct stillpoint *sp, conn_envelope *request, int fd,
                struct stillpoint_vms *ret_vms)
{
    _cleanup_envelope_ conn_envelope *reply = NULL;
    int r = conn_call(sp, request, fd, STILLPOINT__API__ENVELOPE__BODY_VM_REPLY, &reply);
    return r != 0 ? r : decode_only_vm(reply->vm_reply->vm, ret_vms);
}

int call_for_world(struct stillpoint *sp, conn_envelope *request,
                   struct stillpoint_worlds *ret_worlds)
{
    _cleanup_envelope_ conn_envelope *reply = NULL;
    int r = conn_call(sp, request, -1, STILLPOINT__API__ENVELOPE__BODY_WORLD_REPLY, &reply);
    return r != 0 ? r : decode_only_world(reply->world_reply->world, ret_worlds);
}
