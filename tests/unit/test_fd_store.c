/* The service manager is played by a socket of this program, which reads and keeps nothing. */
#include "tests/support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/fd_store.h"
#include "daemon/service.h"

/* The kernel's bound of one string of an environment, and a margin for what is not ours. */
#define ENVIRONMENT_BYTES (128u * 1024 - 4096)

static char folder[256];
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int manager;
static struct service *service;
static struct fd_store *store;

static int set_up(void **state)
{
    (void)state;
    if (!unit_make_folder(folder, sizeof folder))
        return -1;
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/notify", folder);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(manager, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    service = service_new();
    store = service ? fd_store_new(service) : NULL;
    return store ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    store = fd_store_free(store);
    service = service_free(service);
    fd_close(&manager);
    unlink(address.sun_path);
    return rmdir(folder);
}

static void read_all(void)
{
    char message[512];
    while (recv(manager, message, sizeof message, MSG_DONTWAIT) > 0)
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(no_more_is_stored_than_a_next_daemon_can_be_handed, set_up,
                                    tear_down),
};

UNIT_MAIN(tests)
