#include "daemon/status_line.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/registry.h"
#include "daemon/world.h"
#include "daemon/worlds.h"

/* For "; stopping: " and " and 4096 more". */
#define RESERVED 48u

struct line {
    char *text;
    size_t used, size;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(l->text + l->used, l->size - l->used, format, args);
    va_end(args);
    if (n > 0)
        l->used += (size_t)n < l->size - l->used ? (size_t)n : l->size - l->used - 1;
}

static void add_worlds(struct line *l, struct worlds *worlds, enum world_mode mode)
{
    unsigned listed = 0, more = 0;
    for (struct world *w = worlds_after(worlds, NULL); w; w = worlds_after(worlds, world_name(w))) {
        if (world_mode(w) != mode)
            continue;
        if (l->used + strlen(world_name(w)) + RESERVED > l->size) {
            more++;
            continue;
        }
        if (listed++ == 0)
            add(l, "; %s: %s", world_mode_name(mode), world_name(w));
        else
            add(l, ", %s", world_name(w));
    }
    if (more > 0 && listed > 0)
        add(l, " and %u more", more);
    else if (more > 0)
        add(l, "; %u %s", more, world_mode_name(mode));
}

void status_line_write(const struct registry *registry, struct worlds *worlds, char *line,
                       size_t size)
{
    struct line l = {.text = line, .size = size};
    size_t vms = registry_alive(registry);
    line[0] = '\0';
    add(&l, "%zu VM%s", vms, vms == 1 ? "" : "s");
    add_worlds(&l, worlds, WORLD_STOPPED);
    add_worlds(&l, worlds, WORLD_STOPPING);
    add_worlds(&l, worlds, WORLD_RUN_ONE);
}
