/*
 * sim_calls.h: included before the product's sources in a schedules build; leads their few system
 * calls to sim.h's kernel. futex and clock are led there by futex.h and layout.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

int sim_eventfd(unsigned initial, int flags);
int sim_close(int fd);
long sim_write(int fd, const void *data, size_t size);
int sim_clock_gettime(clockid_t clock, struct timespec *ts);
void sim_buffered_store(_Atomic uint64_t *p, uint64_t value, const char *label);

#define eventfd sim_eventfd
#define close sim_close
#define write sim_write
#define clock_gettime sim_clock_gettime
