/* Memory that is watched. Nothing in the engine does that: a VM that has any runs by steps, and
 * after each its memory is compared with what it was. */
#include "gateway/gdbserver/target_private.h"

#include <errno.h>
#include <string.h>

static struct watch *find(struct target *t, uint64_t asked)
{
    for (size_t i = 0; i < t->n_watches; i++)
        if (t->watches[i].asked == asked)
            return &t->watches[i];
    return NULL;
}

static uint64_t thread_of(const struct target *t, const struct watch *w)
{
    const struct instance *in = target_instance(t, address_instance(w->address));
    return in ? in->seen.thread : 0;
}

uint64_t target_watched(const struct target *t)
{
    return t->n_watches > 0 ? thread_of(t, &t->watches[0]) : 0;
}

static int read_watched(struct target *t, const struct watch *w, uint8_t *ret)
{
    size_t n = 0;
    int r = target_read(t, w->address, ret, w->len, &n);
    return r == 0 && n < w->len ? target_fail(t, -EFAULT, "it is beyond the memory's end") : r;
}

int target_set_watch(struct target *t, uint64_t asked, uint64_t address, size_t len)
{
    struct watch w = {.asked = asked, .address = address, .len = len};
    uint64_t thread = thread_of(t, &w);
    if (!address_is(address, ADDRESS_MEMORY) || thread == 0)
        return target_fail(t, -ENOENT, "there is no memory at this address");
    if (len == 0 || len > sizeof w.bytes)
        return target_fail(t, -EINVAL, "1 to %zu bytes can be watched at once", sizeof w.bytes);
    if (t->n_watches > 0 && thread != target_watched(t))
        return target_fail(t, -EBUSY, "memory of another VM is watched: that is one at a time");
    struct watch *there = find(t, asked);
    if (!there && t->n_watches == TARGET_MOST_WATCHES)
        return target_fail(t, -ENOSPC, "too much is watched");
    int r = read_watched(t, &w, w.bytes);
    if (r == 0)
        *(there ? there : &t->watches[t->n_watches++]) = w;
    return r;
}

int target_clear_watch(struct target *t, uint64_t asked)
{
    struct watch *w = find(t, asked);
    if (!w)
        return target_fail(t, -ENOENT, "nothing is watched at this address");
    *w = t->watches[--t->n_watches];
    return 0;
}

void target_end_watches(struct target *t, const struct instance *in)
{
    for (size_t i = t->n_watches; i-- > 0;)
        if (address_instance(t->watches[i].address) == in->seen.id)
            t->watches[i] = t->watches[--t->n_watches];
}

bool target_watch_changed(struct target *t, uint64_t *ret_asked)
{
    for (size_t i = 0; i < t->n_watches; i++) {
        struct watch *w = &t->watches[i];
        uint8_t now[TARGET_MOST_WATCHED_BYTES];
        /* Where it cannot be read now, it can be once its instance is on the stack again. */
        if (read_watched(t, w, now) < 0 || memcmp(now, w->bytes, w->len) == 0)
            continue;
        memcpy(w->bytes, now, w->len);
        *ret_asked = w->asked;
        return true;
    }
    return false;
}

void target_watch_written(struct target *t, uint64_t address, size_t len)
{
    for (size_t i = 0; i < t->n_watches; i++) {
        struct watch *w = &t->watches[i];
        if (w->address < address + len && address < w->address + w->len)
            (void)read_watched(t, w, w->bytes);
    }
}
