/*
 * log.h: log lines of our own programs (never a guest's output): to the journal, with fields, when
 * stderr is connected to it, else to stderr as "<program>: text". Thread-safe; never fails the
 * caller.
 */
#pragma once

#include <stdbool.h>
#include <syslog.h>

/** `program` is used from then on; debug lines are dropped unless `debug`. Before the first call:
 *  "stillpoint", no debug lines. */
void log_init(const char *program, int debug);

/** Whether log_init() asked for debug lines. */
extern bool log_is_debug;

/** level: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG. */
void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_is_debug ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)
