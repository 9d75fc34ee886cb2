#include "cli/hits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/print.h"
#include "cli/show.h"

static void add_named(struct print_text *t, const char *before, const char *after,
                      const struct stillpoint_named_value *values, size_t n)
{
    if (n == 0)
        return;
    print_add(t, "%s", before);
    for (size_t i = 0; i < n; i++) {
        print_add(t, "%s%s=%s", i ? ", " : "", values[i].name, values[i].threw ? "<threw> " : "");
        show_add_value(t, &values[i].value);
    }
    print_add(t, "%s", after);
}

static void add_what(struct print_text *t, const struct stillpoint_hit *h)
{
    if (h->location) {
        print_add(t, " ");
        show_add_place(t, h->location, "?");
        if (h->location->function[0])
            print_add(t, " in %s", h->location->function);
    }
    add_named(t, "(", ")", h->arguments, h->n_arguments);
    if (h->completion)
        print_add(t, " %s", h->completion);
    if (h->value) {
        print_add(t, " ");
        show_add_value(t, h->value);
    }
    add_named(t, " {", "}", h->expressions, h->n_expressions);
    if (h->log)
        print_add(t, " %s", h->log);
    if (h->paused)
        print_add(t, " paused=%s", h->paused);
    if (h->budget_dropped > 0)
        print_add(t, " dropped=%" PRIu64, h->budget_dropped);
    if (h->condition_error)
        print_add(t, " condition threw: %s", h->condition_error);
}

static void print_hit_line(const struct stillpoint_hit *h)
{
    struct print_text text = {0};
    if (h->dropped > 0) {
        print_line("%" PRIu64 " hits before %" PRIu64 " are gone", h->dropped, h->before_seq);
        return;
    }
    add_what(&text, h);
    print_line("%8" PRIu64 " %s %s (%" PRIu64 ") %s%s%s", h->seq, print_time(h->time_us),
               h->vm_name, h->vm, stillpoint_hook_kind_text(h->kind), text.text,
               text.at < sizeof text.text ? "" : "…");
    for (size_t i = 0; i < h->n_frames; i++)
        show_frame(&h->frames[i]);
}

void hits_print(const struct hits *hits, const struct stillpoint_hit *hit)
{
    if (hits->list)
        json_array_append_new(hits->list, json_of_hit(hit, hits->debugger));
    else if (hits->cli->format == CLI_TABLE)
        print_hit_line(hit);
    else if (hits->cli->format != CLI_NAME)
        print_json_line(json_of_hit(hit, hits->debugger));
    else if (hit->dropped == 0)
        print_line("%s", stillpoint_hook_kind_text(hit->kind));
}
