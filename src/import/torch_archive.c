/* SPDX-License-Identifier: Apache-2.0 */
/* PyTorch archives. A zip file holds data.pkl and a stored (never compressed) member data/KEY for
 * each storage; the older form is a row of pickles (magic number, protocol, system, state dict,
 * list of keys) with the storages behind them, each after its count. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "import/pickle.h"
#include "import/source_tensors.h"
#include "import/zip_archive.h"

enum { MAX_STORAGES = 1 << 14 };

typedef struct storage {
    sqzi_span key;
    const unsigned char *data;
    uint64_t bytes;
} storage;

typedef struct archive {
    sqzi_source *source;
    sqzi_source_shard *shard;
    storage *storages; /* [MAX_STORAGES] */
    uint32_t n_storages;
    sqzi_pickled_tensor *tensors; /* of a legacy file, whose storages come later; [MAX_STORAGES] */
    uint32_t n_tensors;
    size_t names_used;
} archive;

static const struct {
    const char *name;
    sqzi_type type;
    uint32_t bytes;
    bool unread; /* its size alone is known: numbers behind it must be found */
} types[] = {
    {"FloatStorage", SQZI_F32, 4, false},       {"HalfStorage", SQZI_F16, 2, false},
    {"BFloat16Storage", SQZI_BF16, 2, false},   {"DoubleStorage", SQZI_F64, 8, false},
    {"LongStorage", SQZI_I32, 8, false},        {"IntStorage", SQZI_I32, 4, false},
    {"ShortStorage", SQZI_I32, 2, false},       {"CharStorage", SQZI_I32, 1, false},
    {"ByteStorage", SQZI_I32, 1, false},        {"BoolStorage", SQZI_I32, 1, false},
    {"ComplexFloatStorage", SQZI_I32, 8, true}, {"ComplexDoubleStorage", SQZI_I32, 16, true},
    {"QInt8Storage", SQZI_I32, 1, true},        {"QUInt8Storage", SQZI_I32, 1, true},
    {"QInt32Storage", SQZI_I32, 4, true}};

static int find_type(sqzi_span name)
{
    for (int i = 0; i < (int)(sizeof types / sizeof *types); i++)
        if (sqzi_span_is(name, types[i].name)) return i;
    return -1;
}

static uint64_t little(const unsigned char *b, int n)
{
    uint64_t value = 0;
    for (int i = n; i-- > 0;) value = value << 8 | b[i];
    return value;
}

static const storage *find_storage(const archive *a, sqzi_span key)
{
    for (uint32_t i = 0; i < a->n_storages; i++)
        if (a->storages[i].key.n == key.n &&
            memcmp(a->storages[i].key.bytes, key.bytes, key.n) == 0)
            return &a->storages[i];
    return NULL;
}

/* Shape and strides within the storage's `room` numbers, checked so that no product overflows. */
static sqz_status take_shape(const archive *a, const sqzi_pickled_tensor *from, uint64_t room,
                             sqzi_source_tensor *t, sqz_error *error)
{
    uint64_t last = 0, step = 1;
    t->n = 1;
    t->n_dims = from->n_dims;
    const bool placed = from->offset >= 0 && (uint64_t)from->offset <= room;
    for (uint32_t d = from->n_dims; placed && d-- > 0;) {
        const int64_t size = from->shape[d], stride = from->stride[d];
        if (size < 0 || stride < 0 || (uint64_t)size > room || (uint64_t)stride > room)
            return sqzi_fail(error, SQZ_EFORMAT, 0,
                             "%s: dimension %u of tensor '%s' leaves its storage", a->shard->path,
                             d, t->name);
        t->shape[d] = (uint64_t)size;
        t->stride[d] = (uint64_t)stride;
        if (size > 1 && t->stride[d] != step) t->strided = true;
        step *= size ? t->shape[d] : 1;
        t->n *= t->shape[d];
        if (size > 0) last += (t->shape[d] - 1) * t->stride[d];
        if (t->n > room || step > room + 1 || last > room)
            return sqzi_fail(error, SQZ_EFORMAT, 0,
                             "%s: tensor '%s' is larger than its storage of %" PRIu64 " numbers",
                             a->shard->path, t->name, room);
    }
    if (!placed || (t->n && (uint64_t)from->offset + last >= room))
        return sqzi_fail(error, SQZ_EFORMAT, 0,
                         "%s: tensor '%s' (of %u dimensions) leaves its storage of %" PRIu64
                         " numbers",
                         a->shard->path, t->name, from->n_dims, room);
    return SQZ_OK;
}

/* expand: one number, or one row, that stands for many. No parameter is stored so. */
static bool is_spread(const sqzi_pickled_tensor *t)
{
    for (uint32_t d = 0; d < t->n_dims; d++)
        if (t->stride[d] == 0 && t->shape[d] > 1) return true;
    return false;
}

static sqz_status copy_name(archive *a, sqzi_span name, const char **out, sqz_error *error)
{
    if (name.n >= a->shard->n_names - a->names_used || memchr(name.bytes, '\0', name.n))
        return sqzi_fail(error, SQZ_EFORMAT, 0, "%s: a tensor's name is none", a->shard->path);
    char *to = a->shard->names + a->names_used;
    memcpy(to, name.bytes, name.n);
    to[name.n] = '\0';
    a->names_used += name.n + 1;
    *out = to;
    return SQZ_OK;
}

static sqz_status add_tensor(archive *a, const sqzi_pickled_tensor *from, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_source_tensor t = {.file = a->shard->path};
    const int type = find_type(from->storage_type);
    const storage *s = find_storage(a, from->key);
    TRY(copy_name(a, from->name, &t.name, error));
    if (type < 0 || types[type].unread || from->n_dims > 4 || is_spread(from)) {
        t.unread = from->n_dims > 4  ? "it has more than 4 dimensions"
                   : is_spread(from) ? "its numbers stand for several places each (expand)"
                                     : "its type is none of floats of 16, 32 and 64 bits and "
                                       "integers up to 64";
        return sqzi_buffer_append(&a->source->tensors, &t, sizeof t, error);
    }
    FAIL_IF(!s, SQZ_EFORMAT, 0, "%s: the storage of tensor '%s' is missing", a->shard->path,
            t.name);
    const uint64_t room = s->bytes / types[type].bytes;
    FAIL_IF(from->storage_n < 0 || (uint64_t)from->storage_n > room, SQZ_EFORMAT, 0,
            "%s: tensor '%s' claims a storage of %" PRId64 " numbers, %" PRIu64 " are there",
            a->shard->path, t.name, from->storage_n, room);
    t.type = types[type].type;
    TRY(take_shape(a, from, (uint64_t)from->storage_n, &t, error));
    t.data = s->data + (uint64_t)from->offset * types[type].bytes;
    TRY(sqzi_buffer_append(&a->source->tensors, &t, sizeof t, error));
fail:
    return status;
}

static sqz_status put_tensor(void *user, const sqzi_pickled_tensor *tensor, sqz_error *error)
{
    return add_tensor(user, tensor, error);
}

static sqz_status make_names(archive *a, size_t pickle_bytes, sqz_error *error)
{
    a->shard->n_names = pickle_bytes + 1;
    a->shard->names = sqzi_allocate(a->source->allocator, a->shard->n_names);
    return a->shard->names ? SQZ_OK
                           : sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for the names of tensors");
}

/* ---- zip ---- */

/* "NAME/data.pkl" or "NAME/data/KEY" becomes a storage with the part behind "NAME/" as its key. */
static sqz_status add_member(void *user, const sqzi_zip_member *member, sqz_error *error)
{
    archive *a = user;
    const char *slash = memchr(member->name.bytes, '/', member->name.n);
    if (!slash) return SQZ_OK;
    const sqzi_span key = {slash + 1, member->name.n - (size_t)(slash + 1 - member->name.bytes)};
    if (member->deflated)
        return sqzi_fail(error, SQZ_EUNSUPPORTED, 0, "%s: the member '%.*s' is compressed",
                         a->shard->path, (int)(member->name.n > 80 ? 80 : member->name.n),
                         member->name.bytes);
    if (a->n_storages == MAX_STORAGES)
        return sqzi_fail(error, SQZ_ELIMIT, 0, "%s: more than %d members", a->shard->path,
                         MAX_STORAGES);
    a->storages[a->n_storages++] = (storage){key, member->data, member->packed_bytes};
    return SQZ_OK;
}

/* Keys of storages are without their folder; data.pkl is taken out before. */
static sqz_status read_zip(archive *a, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(sqzi_zip_read(a->shard->path, a->shard->map.data, a->shard->map.bytes, add_member, a,
                      error));
    const storage *pickle = find_storage(a, sqzi_span_of("data.pkl"));
    FAIL_IF(!pickle, SQZ_EFORMAT, 0, "%s: a zip file without data.pkl: not an archive of PyTorch",
            a->shard->path);
    const unsigned char *bytes = pickle->data;
    const size_t n_bytes = (size_t)pickle->bytes;
    const storage *order = find_storage(a, sqzi_span_of("byteorder"));
    FAIL_IF(order && (order->bytes < 6 || memcmp(order->data, "little", 6) != 0), SQZ_EUNSUPPORTED,
            0, "%s: its numbers are not little endian", a->shard->path);
    for (uint32_t i = 0; i < a->n_storages; i++) {
        sqzi_span *key = &a->storages[i].key;
        if (key->n > 5 && memcmp(key->bytes, "data/", 5) == 0)
            *key = (sqzi_span){key->bytes + 5, key->n - 5};
    }
    TRY(make_names(a, n_bytes, error));
    size_t used;
    const sqzi_pickle_sink sink = {.put = put_tensor, .user = a};
    TRY(sqzi_pickle_run(a->source->allocator, a->shard->path, bytes, n_bytes, &sink, &used, error));
fail:
    return status;
}

/* ---- legacy ---- */

static sqz_status keep_tensor(void *user, const sqzi_pickled_tensor *tensor, sqz_error *error)
{
    archive *a = user;
    if (a->n_tensors == MAX_STORAGES)
        return sqzi_fail(error, SQZ_ELIMIT, 0, "%s: more than %d tensors", a->shard->path,
                         MAX_STORAGES);
    a->tensors[a->n_tensors++] = *tensor;
    return SQZ_OK;
}

static sqz_status keep_key(void *user, sqzi_span key, sqz_error *error)
{
    archive *a = user;
    if (a->n_storages == MAX_STORAGES)
        return sqzi_fail(error, SQZ_ELIMIT, 0, "%s: more than %d storages", a->shard->path,
                         MAX_STORAGES);
    a->storages[a->n_storages++] = (storage){key, NULL, 0};
    return SQZ_OK;
}

/* Numbers of a storage have the size that its tensors say. */
static uint32_t size_of(const archive *a, sqzi_span key)
{
    for (uint32_t i = 0; i < a->n_tensors; i++) {
        const sqzi_pickled_tensor *t = &a->tensors[i];
        const int type = find_type(t->storage_type);
        if (type >= 0 && t->key.n == key.n && memcmp(t->key.bytes, key.bytes, key.n) == 0)
            return types[type].bytes;
    }
    return 0;
}

static sqz_status read_legacy(archive *a, sqz_error *error)
{
    static const unsigned char magic[] = {0x6c, 0xfc, 0x9c, 0x46, 0xf9,
                                          0x20, 0x6a, 0xa8, 0x50, 0x19};
    sqz_status status = SQZ_OK;
    const sqzi_file_map *map = &a->shard->map;
    const sqz_allocator *allocator = a->source->allocator;
    const sqzi_pickle_sink pass = {.user = a}, tensors = {.put = keep_tensor, .user = a},
                           keys = {.put_key = keep_key, .user = a};
    const sqzi_pickle_sink *const sinks[] = {&pass, &pass, &pass, &tensors, &keys};
    size_t at = 0, used = 0;
    FAIL_IF(map->bytes < 15 || memcmp(map->data + 4, magic, sizeof magic) != 0, SQZ_EFORMAT, 0,
            "%s is neither a zip file nor begins as an archive of PyTorch", a->shard->path);
    for (int i = 0; i < 5; i++, at += used)
        TRY(sqzi_pickle_run(allocator, a->shard->path, map->data + at, map->bytes - at, sinks[i],
                            &used, error));
    TRY(make_names(a, at, error));
    for (uint32_t i = 0; i < a->n_storages; i++) {
        storage *s = &a->storages[i];
        FAIL_IF(map->bytes - at < 8, SQZ_EFORMAT, at, "%s ends before its storages",
                a->shard->path);
        const uint64_t n = little(map->data + at, 8), bytes = size_of(a, s->key);
        at += 8;
        FAIL_IF(bytes == 0 || n > (map->bytes - at) / bytes, SQZ_EFORMAT, at,
                "%s: storage %u holds %" PRIu64 " numbers, which do not fit the file",
                a->shard->path, i, n);
        s->data = map->data + at;
        s->bytes = n * bytes;
        at += (size_t)s->bytes;
    }
    for (uint32_t i = 0; i < a->n_tensors; i++) TRY(add_tensor(a, &a->tensors[i], error));
fail:
    return status;
}

sqz_status sqzi_source_read_archive(sqzi_source *source, sqzi_source_shard *shard, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    archive a = {.source = source, .shard = shard};
    a.storages = sqzi_allocate(source->allocator, MAX_STORAGES * sizeof *a.storages);
    a.tensors = sqzi_allocate(source->allocator, MAX_STORAGES * sizeof *a.tensors);
    FAIL_IF(!a.storages || !a.tensors, SQZ_ENOMEM, 0, "no memory to read %s", shard->path);
    status = sqzi_is_zip(shard->map.data, shard->map.bytes) ? read_zip(&a, error)
                                                            : read_legacy(&a, error);
fail:
    if (a.storages) sqzi_release(source->allocator, a.storages, MAX_STORAGES * sizeof *a.storages);
    if (a.tensors) sqzi_release(source->allocator, a.tensors, MAX_STORAGES * sizeof *a.tensors);
    return status;
}
