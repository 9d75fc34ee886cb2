#include "daemon/record.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/log.h"

void record_fields(const struct record_about *about, struct record_texts *texts,
                   struct log_field *ret_fields)
{
    snprintf(texts->vm, sizeof texts->vm, "%llu", (unsigned long long)about->vm);
    snprintf(texts->uid, sizeof texts->uid, "%u", (unsigned)about->uid);
    const struct log_field fields[RECORD_FIELDS] = {
        {"STILLPOINT_VM", about->vm ? texts->vm : NULL},
        {"STILLPOINT_VM_NAME", about->vm_name},
        {"STILLPOINT_WORLD", about->world},
        {"STILLPOINT_DEBUGGER", about->debugger},
        {"STILLPOINT_CLIENT_UID", about->has_uid ? texts->uid : NULL},
    };
    for (size_t i = 0; i < RECORD_FIELDS; i++)
        ret_fields[i] = fields[i];
}

void record_write(int level, const char *message_id, const struct record_about *about,
                  const char *format, ...)
{
    int saved = errno;
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    static const struct record_about nothing = {.vm = 0};
    struct record_texts texts;
    struct log_field fields[RECORD_FIELDS];
    record_fields(about ? about : &nothing, &texts, fields);
    log_record(level, message_id, fields, RECORD_FIELDS, "%s", text);
    errno = saved;
}
