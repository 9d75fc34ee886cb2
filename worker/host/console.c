#include <string.h>
#include <time.h>

#include "proto/limits.h"
#include "worker/host/host.h"

static uint64_t monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* How much of the text goes into the next fact: all of it, or a chunk that cuts no UTF-8 character.
 */
static size_t chunk_of(const char *text, size_t len)
{
    if (len <= LIMIT_CONSOLE_CHUNK_BYTES)
        return len;
    size_t n = LIMIT_CONSOLE_CHUNK_BYTES;
    for (int i = 0; i < 3 && ((unsigned char)text[n] & 0xc0) == 0x80; i++)
        n--;
    return n;
}

int console_write(struct host *h, enum engine_stream stream, enum engine_level level,
                  const char *text, size_t len)
{
    bool newline = level != ENGINE_LEVEL_RAW;
    while (len > 0 || newline) {
        char line[LIMIT_CONSOLE_CHUNK_BYTES];
        int r = host_make_room(h);
        if (r < 0)
            return r;
        size_t n = chunk_of(text, len);
        Stillpoint__Worker__Console console = STILLPOINT__WORKER__CONSOLE__INIT;
        console.data = (ProtobufCBinaryData){.len = n, .data = (uint8_t *)(uintptr_t)text};
        text += n;
        len -= n;
        if (newline && len == 0 && n < sizeof line) {
            memcpy(line, console.data.data, n);
            line[n] = '\n';
            console.data = (ProtobufCBinaryData){.len = n + 1, .data = (uint8_t *)line};
            newline = false;
        }
        console.has_stream = console.has_level = console.has_data = console.has_mono_ns = true;
        console.stream = stream;
        console.level = level;
        console.mono_ns = monotonic_ns();
        Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
        fact.body_case = STILLPOINT__WORKER__FACT__BODY_CONSOLE;
        fact.console = &console;
        host_sent(h, daemon_channel_send(h->channel, &fact));
    }
    return 0;
}
