#include "worker/host/imports.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/text.h"
#include "proto/limits.h"

struct bundle_file {
    const uint8_t *text;
    size_t text_bytes;
    char path[];
};

static int compare(const void *a, const void *b)
{
    const struct bundle_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static struct bundle_file *file_new(const char *path)
{
    size_t size = strlen(path) + 1;
    struct bundle_file *f = malloc(sizeof *f + size);
    if (f) {
        *f = (struct bundle_file){0};
        memcpy(f->path, path, size);
    }
    return f;
}

void imports_init(struct imports *i, struct daemon_channel *channel)
{
    *i = (struct imports){.channel = channel};
    i->end = &i->first;
}

static void file_free(void *file)
{
    struct bundle_file *f = file;
    fd_memfd_unmap(f->text, f->text_bytes);
    free(f);
}

void imports_done(struct imports *i)
{
    struct import_answer *a;
    while ((a = imports_take(i)) != NULL)
        import_answer_free(a);
    tdestroy(i->files, file_free);
    i->files = NULL;
}

int imports_add_file(struct imports *i, const char *path, int memfd)
{
    if (!text_is_bundle_path(path, LIMIT_PATH_BYTES))
        return -EINVAL;
    if (i->n_files >= LIMIT_BUNDLE_FILES)
        return -E2BIG;
    _cleanup_free_ struct bundle_file *f = file_new(path);
    if (!f)
        return -ENOMEM;
    int r = fd_memfd_map(memfd, LIMIT_BUNDLE_BYTES - i->bytes, &f->text, &f->text_bytes);
    if (r < 0)
        return r;
    struct bundle_file **found = tsearch(f, &i->files, compare);
    if (!found || *found != f) {
        /* The first one of a name stays: the engine may have read it. */
        fd_memfd_unmap(f->text, f->text_bytes);
        return found ? 0 : -ENOMEM;
    }
    i->n_files++;
    i->bytes += f->text_bytes;
    TAKE_PTR(f);
    return 0;
}

static int push(struct imports *i, uint64_t id, const char *error, const uint8_t *text,
                size_t text_bytes)
{
    struct import_answer *a = malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct import_answer){.id = id, .text = text, .text_bytes = text_bytes};
    if (error && !(a->error = strdup(error))) {
        free(a);
        return -ENOMEM;
    }
    *i->end = a;
    i->end = &a->next;
    return 0;
}

int imports_answer(struct imports *i, uint64_t id, const char *error, int memfd)
{
    if (error || memfd < 0)
        return push(i, id, error ? error : "no such file", NULL, 0);
    const uint8_t *text;
    size_t text_bytes;
    int r = fd_memfd_map(memfd, LIMIT_FILE_BYTES, &text, &text_bytes);
    return r < 0 ? r : push(i, id, NULL, text, text_bytes);
}

int imports_request(struct imports *i, uint64_t id, const char *path)
{
    if (!text_is_bundle_path(path, LIMIT_PATH_BYTES))
        return -EINVAL;
    _cleanup_free_ struct bundle_file *key = file_new(path);
    if (!key)
        return -ENOMEM;
    struct bundle_file **found = tfind(key, &i->files, compare);
    if (found)
        return push(i, id, NULL, (*found)->text, (*found)->text_bytes);

    Stillpoint__Worker__ImportWanted wanted = STILLPOINT__WORKER__IMPORT_WANTED__INIT;
    wanted.has_import_id = true;
    wanted.import_id = id;
    wanted.path = key->path;
    Stillpoint__Worker__Fact fact = STILLPOINT__WORKER__FACT__INIT;
    fact.body_case = STILLPOINT__WORKER__FACT__BODY_IMPORT_WANTED;
    fact.import_wanted = &wanted;
    return daemon_channel_send(i->channel, &fact);
}

struct import_answer *imports_take(struct imports *i)
{
    struct import_answer *a = i->first;
    if (!a)
        return NULL;
    i->first = a->next;
    if (!i->first)
        i->end = &i->first;
    return a;
}

struct import_answer *import_answer_free(struct import_answer *a)
{
    if (a) {
        free(a->error);
        free(a);
    }
    return NULL;
}
