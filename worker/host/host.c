#include "worker/host/host.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int host_init(struct host *h, struct daemon_channel *channel, struct safepoint *safepoint)
{
    *h = (struct host){.channel = channel, .safepoint = safepoint};
    imports_init(&h->imports, channel);
    messages_init(&h->messages, channel);
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return h->wake_fd < 0 ? -errno : 0;
}

void host_done(struct host *h)
{
    timers_done(&h->timers);
    imports_done(&h->imports);
    messages_done(&h->messages);
    wasi_done(&h->wasi);
    free(h->load_error);
    if (h->wake_fd >= 0)
        close(h->wake_fd);
}

static bool not_congested(void *userdata)
{
    return !daemon_channel_congested(userdata);
}

int host_make_room(struct host *h)
{
    if (!safepoint_may_wait(h->safepoint) && daemon_channel_congested(h->channel))
        return -EWOULDBLOCK;
    safepoint_expect_fact(h->safepoint);
    return 0;
}

void host_settle(struct host *h)
{
    if (safepoint_may_wait(h->safepoint))
        safepoint_wait(h->safepoint, not_congested, h->channel);
}

void host_sent(struct host *h, int r)
{
    /* Without memory for a fact, or with a broken channel, nothing true can be said any more. */
    if (r < 0)
        safepoint_orphaned();
    host_settle(h);
}

void host_say_ready(struct host *h)
{
    if (h->said_ready)
        return;
    h->said_ready = true;
    Stillpoint__Worker__Ready ready = STILLPOINT__WORKER__READY__INIT;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_READY;
    fact.ready = &ready;
    host_sent(h, daemon_channel_send(h->channel, &fact));
}

int host_sleep_until(struct host *h, uint64_t deadline_ns)
{
    if (!safepoint_may_wait(h->safepoint))
        return -EWOULDBLOCK;
    host_say_ready(h);
    safepoint_sleep(h->safepoint, deadline_ns);
    return 0;
}
