#include "journal.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define JOURNAL "/run/systemd/journal/socket"
/* A record of ours is a line or two, and a few short fields. */
#define RECORD_BYTES (16u * 1024)

static int connection(void)
{
    static int fd = -1;
    if (fd < 0)
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return fd < 0 ? -errno : fd;
}

/* The journal's own form: "NAME=value\n"; or, where a value has a newline, "NAME\n", its length in
 * 64 bits, the value, "\n". Returns the bytes taken, 0 if there is no room. */
static size_t put_field(uint8_t *at, size_t room, const struct iovec *field)
{
    const char *text = field->iov_base;
    const char *equals = memchr(text, '=', field->iov_len);
    if (!equals || room < field->iov_len + sizeof(uint64_t) + 2)
        return 0;
    size_t name = (size_t)(equals - text), value = field->iov_len - name - 1;
    uint8_t *end = at;
    if (!memchr(equals, '\n', value + 1)) {
        end = mempcpy(end, text, field->iov_len);
    } else {
        end = mempcpy(end, text, name);
        *end++ = '\n';
        for (unsigned i = 0; i < sizeof(uint64_t); i++)
            *end++ = (uint8_t)((uint64_t)value >> (8 * i));
        end = mempcpy(end, equals + 1, value);
    }
    *end++ = '\n';
    return (size_t)(end - at);
}

static int send_record(const uint8_t *record, size_t len)
{
    static const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL};
    int fd = connection();
    if (fd < 0)
        return fd;
    ssize_t n = sendto(fd, record, len, MSG_DONTWAIT | MSG_NOSIGNAL,
                       (const struct sockaddr *)&address, sizeof address);
    return n < 0 ? -errno : 0;
}

int journal_sendv(const struct iovec *fields, int n)
{
    static uint8_t record[RECORD_BYTES];
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += put_field(record + len, sizeof record - len, &fields[i]);
    return send_record(record, len);
}
