/* The service manager is played by a socket of this program, which reads and keeps nothing. */
#include "tests/support/notified.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/fd_store.h"
#include "daemon/service.h"

/* The kernel's bound of one string of an environment, and a margin for what is not ours. */
#define ENVIRONMENT_BYTES (128u * 1024 - 4096)

static struct service *service;
static struct fd_store *store;

static int set_up(void **state)
{
    (void)state;
    if (!notified_begin())
        return -1;
    service = service_new();
    store = service ? fd_store_new(service) : NULL;
    return store ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store = fd_store_free(store);
    service = service_free(service);
    return notified_end();
}

static void read_all(void)
{
    while (*notified_told())
        continue;
}

static int put(const char *what, unsigned number)
{
    int r = fd_store_put(STDERR_FILENO, "%s-%u", what, number);
    read_all();
    return r;
}

static void drop(const char *what, unsigned number)
{
    fd_store_drop("%s-%u", what, number);
    read_all();
}

/* 10 bytes each, with what separates them. */
#define FIRST 100000u
#define NAME_BYTES sizeof "vm-100000"

static void no_more_is_stored_than_a_next_daemon_can_be_handed(void **state)
{
    (void)state;
    unsigned n = 0;
    int r;
    while ((r = put("vm", FIRST + n)) == 0)
        n++;
    assert_int_equal(r, -ENOSPC);
    assert_true(n > 5000 && n * NAME_BYTES < ENVIRONMENT_BYTES);
    /* What has a place does not need another, and one that is dropped makes room for one. */
    assert_int_equal(put("vm", FIRST), 0);
    drop("vm", FIRST + 1);
    drop("vm", FIRST + 1);
    assert_int_equal(put("vm", FIRST + n), 0);
    assert_int_equal(put("vm", FIRST + n + 1), -ENOSPC);
    /* VMs do not take the room of what there is besides. */
    assert_int_equal(put("state", 1), 0);
    for (unsigned i = 0; i <= n; i++)
        drop("vm", FIRST + i);
    drop("state", 1);
    assert_int_equal(put("vm", FIRST), 0);
}

static unsigned fill(const char *what)
{
    unsigned n = 0;
    while (put(what, FIRST + n) == 0)
        n++;
    return n;
}

static void empty(const char *what, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        drop(what, FIRST + i);
}

static void logs_of_vms_take_no_room_from_vms_nor_these_from_them(void **state)
{
    (void)state;
    unsigned vms = fill("vm");
    unsigned logs = fill("log"), hits = fill("hits");
    assert_true(logs > 800 && hits > 800);
    assert_true((vms + logs) * NAME_BYTES + hits * sizeof "hits-100000" < ENVIRONMENT_BYTES);
    empty("vm", vms);
    empty("hits", hits);
    assert_int_equal(put("log", FIRST + logs), -ENOSPC);
    assert_int_equal(fill("vm"), vms);
    empty("log", logs);
    assert_int_equal(fill("log"), logs);
    empty("log", logs);
    empty("vm", vms);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(no_more_is_stored_than_a_next_daemon_can_be_handed, set_up,
                                    tear_down),
    cmocka_unit_test_setup_teardown(logs_of_vms_take_no_room_from_vms_nor_these_from_them, set_up,
                                    tear_down),
};

UNIT_MAIN(tests)
