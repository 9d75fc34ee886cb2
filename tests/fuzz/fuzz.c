#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

static unsigned long accepted, refused;
static int lowest_free = -1;

/* libFuzzer ends by exit(3): whoever runs it reads this line. */
static void report(void)
{
    fprintf(stderr, "fuzz: accepted %lu, refused %lu\n", accepted, refused);
}

static void count(unsigned long *counter)
{
    static bool registered;
    if (!registered)
        registered = atexit(report) == 0;
    ++*counter;
}

void fuzz_accepted(void)
{
    count(&accepted);
}

void fuzz_refused(void)
{
    count(&refused);
}

unsigned long fuzz_count_accepted(void)
{
    return accepted;
}

unsigned long fuzz_count_refused(void)
{
    return refused;
}

void fuzz_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

/* ---- inputs */

uint8_t fuzz_u8(struct fuzz_input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->data++;
}

uint16_t fuzz_u16(struct fuzz_input *in)
{
    unsigned low = fuzz_u8(in);
    return (uint16_t)(low | (unsigned)fuzz_u8(in) << 8);
}

uint64_t fuzz_u64(struct fuzz_input *in)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)fuzz_u8(in) << (8 * i);
    return v;
}

const uint8_t *fuzz_bytes(struct fuzz_input *in, size_t n, size_t *ret_n)
{
    const uint8_t *at = in->data;
    *ret_n = n < in->left ? n : in->left;
    in->data += *ret_n;
    in->left -= *ret_n;
    return at;
}

uint8_t *fuzz_copy(const void *data, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    FUZZ_REQUIRE(copy);
    if (n > 0)
        memcpy(copy, data, n);
    return copy;
}

char *fuzz_text(struct fuzz_input *in, size_t n)
{
    size_t len;
    const uint8_t *at = fuzz_bytes(in, n, &len);
    char *text = malloc(len + 1);
    FUZZ_REQUIRE(text);
    if (len > 0)
        memcpy(text, at, len);
    text[len] = '\0';
    return text;
}

/* ---- messages */

void fuzz_require_text(const char *text, bool one_line)
{
    size_t len = strlen(text);
    FUZZ_REQUIRE(text_is_utf8(text, len));
    for (size_t i = 0; one_line && i < len; i++) {
        unsigned char c = (unsigned char)text[i], next = (unsigned char)text[i + 1];
        FUZZ_REQUIRE(c >= 0x20 && c != 0x7f && !(c == 0xc2 && next >= 0x80 && next <= 0x9f));
    }
}

static void touch_bytes(const void *data, size_t n)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < n; i++)
        (void)*(const volatile uint8_t *)&p[i];
}

static void touch_value(const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING: {
        const char *text;
        memcpy(&text, at, sizeof text);
        if (text)
            FUZZ_REQUIRE(text_is_utf8(text, strlen(text)));
        break;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData bytes;
        memcpy(&bytes, at, sizeof bytes);
        touch_bytes(bytes.data, bytes.len);
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *m;
        memcpy(&m, at, sizeof m);
        if (m)
            fuzz_touch(m);
        break;
    }
    default:
        break;
    }
}

static size_t element_bytes(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

static bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return true;
    uint32_t which;
    memcpy(&which, (const uint8_t *)m + f->quantifier_offset, sizeof which);
    return which == f->id;
}

void fuzz_touch(const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const uint8_t *at = (const uint8_t *)m + f->offset;
        if (f->label != PROTOBUF_C_LABEL_REPEATED) {
            if (is_set(m, f))
                touch_value(f, at);
            continue;
        }
        size_t n, size = element_bytes(f->type);
        const uint8_t *elements;
        memcpy(&n, (const uint8_t *)m + f->quantifier_offset, sizeof n);
        memcpy(&elements, at, sizeof elements);
        touch_bytes(elements, n * size);
        for (size_t k = 0; k < n; k++)
            touch_value(f, elements + k * size);
    }
}

/* ---- descriptors */

/* The kernel gives the lowest number that is free: where none was left, that is the same again. */
static int probe(void)
{
    int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    FUZZ_REQUIRE(fd >= 0);
    close(fd);
    return fd;
}

void fuzz_fds_note(void)
{
    lowest_free = probe();
}

void fuzz_fds_require(void)
{
    FUZZ_REQUIRE(probe() == lowest_free);
}
