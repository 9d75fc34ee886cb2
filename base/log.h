/*
 * log.h: records of our own programs, and copies of what others say: to the journal, with fields,
 * when stderr is connected to it, else to stderr as "<program>: text". The one way by which they
 * get there. It owns the count of what the journal had no room for; never waits, never fails the
 * caller. Any process, one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <syslog.h>

/** MESSAGE_ID of the record that says how many were lost. */
#define LOG_LOST_ID "9508f30e11034a8f96f6f07691e927c9"

/** `program` is used from then on; debug lines are dropped unless `debug`. Before the first call:
 *  "stillpoint", no debug lines. */
void log_init(const char *program, int debug);

/** Whether log_init() asked for debug lines. */
extern bool log_is_debug;

/** Whether records go to the journal. */
bool log_is_journal(void);

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

/** Who has said what is only copied: SYSLOG_IDENTIFIER and SYSLOG_PID (0: not known). */
struct log_speaker {
    const char *identifier;
    pid_t pid;
};

/** A record for the journal alone, which the caller counts if it is not written. `by` NULL: it is
 * our own. 0, or negative errno: -EAGAIN, it has no room; -ENOTCONN, stderr is no journal. */
int log_offer(const struct log_speaker *by, int level, const char *message_id,
              const struct log_field *fields, size_t n, const char *text);

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_is_debug ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)
