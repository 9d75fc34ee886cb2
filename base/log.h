/*
 * log.h: log lines of our own programs (never a guest's output): to the journal, with fields, when
 * stderr is connected to it, else to stderr as "<program>: text". Thread-safe; never fails the
 * caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <syslog.h>

/** `program` is used from then on; debug lines are dropped unless `debug`. Before the first call:
 *  "stillpoint", no debug lines. */
void log_init(const char *program, int debug);

/** Whether log_init() asked for debug lines. */
extern bool log_is_debug;

/** level: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** A field of a record, beside its text; value NULL: left out. Names are the journal's: A-Z, 0-9,
 * _. */
struct log_field {
    const char *name, *value;
};

/** A line as above, which in the journal has these fields and this MESSAGE_ID. */
void log_record(int level, const char *message_id, const struct log_field *fields, size_t n,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_is_debug ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)
