#include "worker/appointment.h"

#define AGAIN_NS 4000000000ull
#define AGAIN_MOST_NS 64000000000ull

bool appointment_is_due(struct appointment *a, uint64_t at_ns, uint64_t now_ns)
{
    if (at_ns != a->at_ns)
        *a = (struct appointment){at_ns, at_ns == 0 ? UINT64_MAX : at_ns, AGAIN_NS};
    if (now_ns < a->due_ns)
        return false;
    a->due_ns = now_ns + a->again_ns;
    a->again_ns = 4 * a->again_ns < AGAIN_MOST_NS ? 4 * a->again_ns : AGAIN_MOST_NS;
    return true;
}
